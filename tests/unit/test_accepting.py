"""Acceptance: what is left unsaid is filled in, and what does not fit together is refused field by field."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from keepfit.shared.catalog.accepting import accept
from keepfit.shared.catalog.cards import DatasetCard
from keepfit.shared.catalog.library import Library, builtin_library
from keepfit.shared.errors import InvalidSpec
from keepfit.shared.spec import TrainSpec, parse_spec
from tests.unit.test_catalog import write

BUILTIN = builtin_library()
DATA, MODEL = BUILTIN.datasets()[0], BUILTIN.models()[0]
SMALL: dict[str, Any] = {
    "name": "small",
    "id": "5" * 64,
    "classes": ("no", "yes"),
    "train": {"samples": 4, "per_class": (2, 2)},
    "test": {"samples": 2, "per_class": (1, 1)},
}
NARROW: dict[str, Any] = {"name": "narrow", "id": "9" * 64}


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """The built-in cards, and two data sets more: of two classes, and of samples too small for a convolution."""
    features = [{**feature.model_dump(), "shape": (9, 9)} for feature in DATA.features[:1]]
    rows = [SMALL, NARROW | {"features": [*features, DATA.features[1].model_dump()]}]
    for card in (*BUILTIN.models(), *BUILTIN.datasets()):
        write(tmp_path, "datasets" if isinstance(card, DatasetCard) else "models", card)
    for row in rows:
        write(tmp_path, "datasets", DatasetCard.model_validate(DATA.model_dump() | row))
    return Library([tmp_path])


def fields(exc: InvalidSpec) -> dict[str, str]:
    """What is wrong with each field."""
    assert isinstance(exc.__cause__, ValidationError)
    return {".".join(map(str, error["loc"])): error["msg"] for error in exc.__cause__.errors()}


def test_a_short_spec_is_completed() -> None:
    """What says nothing gets the first data set and model, by name and id."""
    spec = accept(parse_spec({"name": "short"}), BUILTIN)

    assert isinstance(spec, TrainSpec)
    assert (spec.data.name, spec.data.id) == (DATA.name, DATA.id)
    assert (spec.model.name, spec.model.id) == (MODEL.name, MODEL.id)
    assert accept(spec, BUILTIN) == spec
    assert parse_spec(spec.model_dump(mode="json"), kept=True) == spec


@pytest.mark.parametrize("version", [1, 2])
def test_a_spec_that_names_cards_gets_their_ids(version: int) -> None:
    """In the form of either version."""
    other, model = BUILTIN.datasets()[1], BUILTIN.models()[1]
    raw = {"version": version, "name": "n", "data": {"name": other.name}, "model": {"name": model.name}}

    spec = accept(parse_spec(raw), BUILTIN)

    assert spec.model_dump()["data"] == {"name": other.name, "id": other.id}
    assert spec.model_dump()["model"] == {"name": model.name, "id": model.id}


@pytest.mark.parametrize(
    ("raw", "field", "said"),
    [
        ({"data": {"name": "cifar"}}, "train.data.name", f"'{DATA.name}', 'narrow', 'small', "),
        ({"model": {"name": "resnet"}}, "train.model.name", "'mlp' or 'cnn'"),
        (
            {"data": {"name": DATA.name, "id": "ab" * 32}},
            "train.data.id",
            "abababababab is asked for, and here is",
        ),
        ({"data": {"name": "narrow"}, "model": {"name": "cnn"}}, "train.model.name", "10 x 10 or more"),
        ({"training": {"validation_share": 0, "early_stopping": {}}}, "train", "the validation share is 0"),
        ({"training": {"validation_share": 0.0001, "reduce_lr": {}}}, "train", "the validation share is 0"),
    ],
)
def test_what_does_not_fit_is_named(library: Library, raw: dict[str, Any], field: str, said: str) -> None:
    """The field, and what it may be."""
    with pytest.raises(InvalidSpec) as refused:
        accept(parse_spec({"name": "n"} | raw), library)

    assert said in fields(refused.value)[field]
    assert said in str(refused.value)


def test_several_unknown_names_are_told_at_once() -> None:
    """Nobody has to send it twice to learn of a second mistake."""
    with pytest.raises(InvalidSpec) as refused:
        accept(parse_spec({"name": "n", "data": {"name": "a"}, "model": {"name": "b"}}), BUILTIN)

    assert set(fields(refused.value)) == {"train.data.name", "train.model.name"}


@pytest.mark.parametrize(
    ("trained_on", "measured_on", "said"),
    [
        ("small", DATA.name, "has 10 classes, and the model tells 2 apart"),
        (DATA.name, "narrow", "holds samples of 9 x 9, and the model takes 28 x 28"),
        (DATA.name, "fashion-mnist", ""),
        ("gone", "narrow", ""),
    ],
)
def test_a_model_is_evaluated_on_data_that_it_can_take(
    library: Library, trained_on: str, measured_on: str, said: str
) -> None:
    """Of its shape, with as many classes; nothing is refused where nobody knows any more what it was trained on."""
    trained = parse_spec({"name": "t", "data": {"name": trained_on}})
    spec = parse_spec({"kind": "evaluate", "name": "e", "source": "a" * 12, "data": {"name": measured_on}})
    assert isinstance(trained, TrainSpec)

    if not said:
        assert accept(spec, library, trained).model_dump()["data"]["name"] == measured_on
        return
    with pytest.raises(InvalidSpec) as refused:
        accept(spec, library, trained)

    assert fields(refused.value) == {"evaluate.data.name": said}
