"""The catalogue: what a card says and what decides its id, and which card is opened by a name and an id."""

import json
from pathlib import Path
from typing import Any

import pytest

from keepfit.shared.catalog import library as catalogue
from keepfit.shared.catalog.cards import Card, DatasetCard, ModelCard, Signature, read_card
from keepfit.shared.catalog.library import Library, builtin_library
from keepfit.shared.errors import DamagedFile, NotInLibrary

BUILTIN = builtin_library()
CARDS: tuple[Card, ...] = (*BUILTIN.datasets(), *BUILTIN.models())
DIGITS = BUILTIN.datasets()[0]
OTHERS = {
    "features": [*DIGITS.model_dump()["features"][:1], {**DIGITS.model_dump()["features"][1], "dtype": "int64"}],
    "classes": ("nought", *DIGITS.classes[1:]),
    "value_range": (0, 1),
    "content": {"other.npz": "0" * 64},
    "train": {"samples": 10, "per_class": [1] * 10},
}


def write(folder: Path, kind: str, card: Card, **changed: Any) -> None:
    """Put a card into a folder of cards."""
    (folder / kind).mkdir(parents=True, exist_ok=True)
    content = card.model_dump(mode="json") | changed
    (folder / kind / f"{content['id'][:12]}.json").write_text(json.dumps(content))


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_the_id_of_a_builtin_card_is_that_of_its_content(card: Card) -> None:
    """Who changes what decides a training must give the card the id that its digest says."""
    assert card.id == card.digest()


@pytest.mark.parametrize("changed", OTHERS)
def test_what_decides_a_training_decides_the_id(changed: str) -> None:
    """Data with another meaning, other classes or other files are another data set."""
    other = DatasetCard.model_validate(DIGITS.model_dump() | {changed: OTHERS[changed]})

    assert other.digest() != DIGITS.id


def test_words_about_a_data_set_change_no_id() -> None:
    """A mended sentence ends no job."""
    said = {"title": "t", "description": "d", "provenance": "p", "place": 7, "version": 2, "name": "other"}

    assert DIGITS.model_copy(update=said).digest() == DIGITS.id


def test_a_card_of_a_newer_version_is_read(tmp_path: Path) -> None:
    """What it says besides is passed over, and its id stays what is written in it."""
    write(tmp_path, catalogue.DATASETS, DIGITS, format=2, mood="fine", id="a" * 64)

    (card,) = Library([tmp_path]).datasets()

    assert card.id == "a" * 64
    assert card.classes == DIGITS.classes


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "it is not JSON"),
        ("{}", "Field required"),
        (json.dumps(DIGITS.model_dump(mode="json") | {"classes": ["one"]}), "do not come to those of the part"),
        (json.dumps(DIGITS.model_dump(mode="json") | {"features": []}), "at least 1 item"),
        (json.dumps(DIGITS.model_dump(mode="json") | {"value_range": [1, 1]}), "no width"),
        (json.dumps(DIGITS.model_dump(mode="json") | {"id": "short"}), "String should match"),
    ],
)
def test_a_damaged_card_is_named(content: str, said: str, tmp_path: Path) -> None:
    """With what is wrong with it."""
    path = tmp_path / "card.json"
    path.write_text(content)

    with pytest.raises(DamagedFile, match=said) as refused:
        read_card(path, DatasetCard)

    assert str(path) in str(refused.value)


def test_what_needs_no_network_is_offered_first() -> None:
    """The first data set is what a job gets that names none: it must be there at once."""
    assert not BUILTIN.datasets()[0].needs_network
    assert [card.place for card in CARDS] == [10, 20, 30, 10, 20]


def test_a_card_is_opened_by_its_name() -> None:
    """Of a data set, of a model; one that nobody knows is refused with those that there are."""
    assert tuple(BUILTIN.dataset(card.name) for card in BUILTIN.datasets()) == BUILTIN.datasets()
    assert tuple(BUILTIN.model(card.name, card.id) for card in BUILTIN.models()) == BUILTIN.models()
    with pytest.raises(NotInLibrary, match=f"no data set 'cifar'; there are {DIGITS.name}, "):
        BUILTIN.dataset("cifar")


def test_of_two_versions_the_name_means_the_later_and_the_id_each(tmp_path: Path) -> None:
    """A job goes on with the one that it has named."""
    write(tmp_path, catalogue.DATASETS, DIGITS, version=2, id="b" * 64)
    write(tmp_path, catalogue.DATASETS, DIGITS)
    library = Library([tmp_path])

    found = [library.dataset(DIGITS.name).version, library.dataset(DIGITS.name, DIGITS.id).version]

    assert found == [2, 1]


def test_a_card_that_was_replaced_is_not_opened_for_the_one_that_was_meant() -> None:
    """A data set never changes under a job: it is said which is asked for, and which is here."""
    with pytest.raises(NotInLibrary, match=f"cccccccccccc is asked for, here is version 1 .{DIGITS.id[:12]}"):
        BUILTIN.dataset(DIGITS.name, "c" * 64)


def test_a_card_that_is_gone_leaves_its_name() -> None:
    """Pages of old jobs show it."""
    assert BUILTIN.dataset_title(DIGITS.name) == DIGITS.title
    assert BUILTIN.dataset_title("gone") == "gone"
    assert BUILTIN.model_title("gone") == "gone"


def signature(shape: tuple[int, ...], **changed: Any) -> Signature:
    """Of data with samples of this shape."""
    return DIGITS.signature.model_copy(update={"shape": shape, **changed})


@pytest.mark.parametrize("card", BUILTIN.models(), ids=lambda card: card.name)
@pytest.mark.parametrize("data", BUILTIN.datasets(), ids=lambda card: card.name)
def test_builtin_models_fit_builtin_data(card: ModelCard, data: DatasetCard) -> None:
    """Each each."""
    assert card.fits.misfit(data.signature) is None


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (signature((12,)), "takes samples of 2 or 3 dimensions, and those of the data set are 12"),
        (signature(()), "takes samples of 2 or 3 dimensions, and those of the data set are single values"),
        (signature((9, 28)), "takes samples of 10 x 10 or more, and those of the data set are 9 x 28"),
        (signature((28, 28), task="regression"), "is for classification, and the data set for regression"),
    ],
)
def test_data_that_a_model_cannot_take_are_refused_in_words(data: Signature, said: str) -> None:
    """What it takes, and what they are."""
    misfit = BUILTIN.model("cnn").fits.misfit(data)

    assert misfit is not None
    assert misfit.message() == said
