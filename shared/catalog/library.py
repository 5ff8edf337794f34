"""The library of cards: which data sets and models there are, and the opening of one by name and id.

    library = builtin_library()
    library.datasets()                      # cards, in the order in which they are offered
    library.dataset("mnist-5k")             # whatever has that name now
    library.dataset("mnist-5k", id)         # that very one; raises NotInLibrary if it is another by now

Knows folders of cards, and no names: a card is added by putting it into a folder. Knows nothing of specs.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import TypeVar

from keepfit.shared.catalog.cards import Card, DatasetCard, ModelCard, read_card
from keepfit.shared.errors import NotInLibrary

DATASETS, MODELS = "datasets", "models"
"""The folders of the two kinds of cards."""
_BUILTIN = Path(__file__).parent / "builtin"

C = TypeVar("C", bound=Card)


class Library:
    """The cards in some folders."""

    def __init__(self, folders: Sequence[Path]) -> None:
        """Read the cards under ``folders``. Raises DamagedFile."""
        self._datasets = _in_order(_cards(folders, DATASETS, DatasetCard))
        self._models = _in_order(_cards(folders, MODELS, ModelCard))

    def datasets(self) -> tuple[DatasetCard, ...]:
        """All data sets; the first is what is taken where nothing is said."""
        return self._datasets

    def models(self) -> tuple[ModelCard, ...]:
        """All models; the first is what is taken where nothing is said."""
        return self._models

    def dataset(self, name: str, id: str = "") -> DatasetCard:
        """The data set of this name, and of this id if one is given. Raises NotInLibrary."""
        if card := _opened(self._datasets, name, id):
            return card
        if here := _versions(self._datasets, name):
            raise NotInLibrary(
                "The data set {name!r} is another by now: {id} is asked for, here is {here}. Put the one that is asked "
                "for back, or make a new job with the one that is here.",
                name=name, id=id[:12], here=here,
            )  # fmt: skip
        raise NotInLibrary("There is no data set {name!r}; there are {names}.", name=name, names=_names(self._datasets))

    def model(self, name: str, id: str = "") -> ModelCard:
        """The model of this name, and of this id if one is given. Raises NotInLibrary."""
        if card := _opened(self._models, name, id):
            return card
        if here := _versions(self._models, name):
            raise NotInLibrary(
                "The model {name!r} is another by now: {id} is asked for, here is {here}. Make a new job with the one "
                "that is here.",
                name=name, id=id[:12], here=here,
            )  # fmt: skip
        raise NotInLibrary("There is no model {name!r}; there are {names}.", name=name, names=_names(self._models))

    def dataset_title(self, name: str) -> str:
        """What people call the data set; its name where there is no such card (any more)."""
        return _title(self._datasets, name)

    def model_title(self, name: str) -> str:
        """What people call the model; its name where there is no such card (any more)."""
        return _title(self._models, name)


@cache
def builtin_library() -> Library:
    """The cards that come with Keepfit, read once a process."""
    return Library([_BUILTIN])


def _cards(folders: Sequence[Path], kind: str, form: type[C]) -> Iterable[C]:
    return (read_card(path, form) for folder in folders for path in (folder / kind).glob("*.json"))


def _in_order(cards: Iterable[C]) -> tuple[C, ...]:
    return tuple(sorted(cards, key=lambda card: (card.place, card.name)))


def _opened(cards: Sequence[C], name: str, id: str) -> C | None:
    """The card that is meant; of several versions of a name the latest, unless the id says which."""
    found = [card for card in cards if card.name == name and id in ("", card.id)]
    return max(found, key=lambda card: card.version, default=None)


def _versions(cards: Sequence[Card], name: str) -> str:
    """What there is of this name, for people."""
    return ", ".join(f"version {card.version} ({card.id[:12]})" for card in cards if card.name == name)


def _names(cards: Sequence[Card]) -> str:
    return ", ".join(dict.fromkeys(card.name for card in cards))


def _title(cards: Sequence[C], name: str) -> str:
    return next((card.title for card in cards if card.name == name), name)
