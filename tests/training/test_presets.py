"""The presets: built for whatever data their card says that they fit, and as large as it says."""

from typing import Any

import numpy as np
import pytest

from keepfit.shared.catalog.cards import ModelCard, Signature
from keepfit.shared.catalog.library import builtin_library
from keepfit.shared.spec import ModelSpec
from keepfit.worker.models import presets

CARDS = builtin_library().models()
DIGITS = builtin_library().datasets()[0].signature
LEAST = {1: (1,), 2: (1, 1), 3: (1, 1, 1)}


def built(card: ModelCard, data: Signature) -> Any:
    """The model."""
    return presets.build_model(ModelSpec.model_validate({"name": card.name}), data, 0.001)


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_a_preset_has_as_many_parameters_as_its_card_says(card: ModelCard) -> None:
    """For the data that the card names."""
    size = card.parameters
    data = DIGITS.model_copy(update={"shape": size.shape, "classes": size.classes})

    assert built(card, data).count_params() == size.count


@pytest.mark.parametrize(
    ("card", "rank"), [(card, rank) for card in CARDS for rank in card.fits.ranks], ids=lambda x: getattr(x, "name", x)
)
def test_a_preset_is_built_for_the_least_that_its_card_takes(card: ModelCard, rank: int) -> None:
    """Shape, classes and range are those of the data."""
    shape = tuple(max(side, card.fits.least_side) for side in LEAST[rank][:2]) + LEAST[rank][2:]
    data = DIGITS.model_copy(update={"shape": shape, "classes": 3, "low": -1.0, "high": 3.0})
    assert card.fits.misfit(data) is None

    model = built(card, data)

    assert (model.input_shape, model.output_shape) == ((None, *shape), (None, 3))
    scaled = [model.layers[0](np.full((1, *shape), value, np.float32)).numpy().max() for value in (-1, 3)]
    assert scaled == [0, 1]


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_data_smaller_than_the_card_takes_cannot_be_built_for(card: ModelCard) -> None:
    """What the card refuses is refused for a reason: Keras could not build it."""
    side = card.fits.least_side - 1
    if side < 1:
        return

    with pytest.raises(ValueError, match=r"[Nn]egative|larger than"):
        built(card, DIGITS.model_copy(update={"shape": (side, side)}))
