"""Cards: all that both sides must know of a data set or a model without opening it. JSON documents, typed here.

    card = read_card(path, DatasetCard)     # of this version, or of an older or newer one
    card.signature.shape                    # what a model for it must take

The id of a card is a digest over what decides a training. It is stored when the card is made and never computed anew
to be compared: a field that is added later changes no id. Knows no folders, and nothing of how data are read.
"""

import hashlib
import json
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from keepfit.shared.errors import DamagedFile
from keepfit.shared.jobs.documents import read_object

CARD_VERSION = 1
"""The form of the cards that this code writes."""
LAST_PLACE = 1000

Shape = tuple[Annotated[int, Field(ge=1)], ...]
Count = Annotated[int, Field(ge=0)]
CardName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,79}$")]
CardId = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    """A part of a card; what a newer version has added to it is passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Feature(_Part):
    """One array of a data set."""

    name: str
    role: Literal["input", "target"]
    shape: Shape
    """Of one sample; () for a single value."""
    dtype: str
    meaning: str


class Signature(_Part):
    """What a model must take and tell apart: with it and the model's card a model is built, without any data."""

    task: str
    shape: Shape
    """Of one sample of the inputs."""
    classes: Annotated[int, Field(ge=1)]
    low: float
    high: float
    """The range of the inputs' values."""


class Share(_Part):
    """A part of a data set, such as the one to train on."""

    samples: Count
    per_class: tuple[Count, ...]
    """Samples of each class, in the order of the classes."""


class Card(_Part):
    """What every card says."""

    identity: ClassVar[frozenset[str]]
    """The fields that decide a training: the id is a digest over them."""

    format: int = CARD_VERSION
    id: CardId
    name: CardName
    version: Annotated[int, Field(ge=1)]
    """Of what the card describes: higher for a later one of the same name."""
    title: str
    description: str
    place: int = LAST_PLACE
    """Where it stands among the others; the first is what is taken where nothing is said."""

    def digest(self) -> str:
        """The id that a card of this content gets when it is made."""
        content = self.model_dump(mode="json", include=set(self.identity))
        return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


class DatasetCard(Card):
    """A data set."""

    identity = frozenset({"task", "features", "classes", "train", "test", "value_range", "content"})

    task: str
    """What is learned from it, as "classification"."""
    features: Annotated[tuple[Feature, ...], Field(min_length=1)]
    classes: Annotated[tuple[str, ...], Field(min_length=1)]
    """Their names, in the order of their numbers."""
    train: Share
    test: Share
    value_range: tuple[float, float]
    """The least and the greatest value of the inputs."""
    content: dict[str, CardId]
    """The sha256 of each file that it comes in, by name: what is read is checked against them."""
    provenance: str
    """Who made it, from where it comes, under which licence."""
    size_bytes: Count
    """Of its files."""
    fetched_from: str = ""
    """The address under which its files are, for one that is fetched when it is used for the first time."""

    @property
    def needs_network(self) -> bool:
        """Whether it is not here before it was fetched once."""
        return bool(self.fetched_from)

    @property
    def inputs(self) -> Feature:
        """What a model takes."""
        return next(feature for feature in self.features if feature.role == "input")

    @property
    def signature(self) -> Signature:
        """What a model for this data must take and tell apart."""
        low, high = self.value_range
        return Signature(task=self.task, shape=self.inputs.shape, classes=len(self.classes), low=low, high=high)

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if sorted(feature.role for feature in self.features) != ["input", "target"]:
            raise ValueError("it needs one input and one target")
        if self.value_range[0] >= self.value_range[1]:
            raise ValueError("the range of its values has no width")
        for part in (self.train, self.test):
            if len(part.per_class) != len(self.classes) or sum(part.per_class) != part.samples:
                raise ValueError("the samples of the classes do not come to those of the part")
        return self


class Fits(_Part):
    """The data that a model can be built for."""

    task: str
    ranks: tuple[Annotated[int, Field(ge=1)], ...]
    """How many sizes the shape of a sample may have."""
    least_side: int = 1
    """The least that each of its first two sizes may be."""

    def misfit(self, data: Signature) -> PydanticCustomError | None:
        """Why the model cannot be built for ``data``; None if it can."""
        shape = " x ".join(map(str, data.shape)) or "single values"
        if data.task != self.task:
            said = "is for {wanted}, and the data set for {found}"
            return PydanticCustomError("misfit_task", said, {"wanted": self.task, "found": data.task})
        if len(data.shape) not in self.ranks:
            said = "takes samples of {wanted} dimensions, and those of the data set are {found}"
            wanted = " or ".join(map(str, self.ranks))
            return PydanticCustomError("misfit_rank", said, {"wanted": wanted, "found": shape})
        if min(data.shape[:2]) < self.least_side:
            said = "takes samples of {wanted} x {wanted} or more, and those of the data set are {found}"
            return PydanticCustomError("misfit_size", said, {"wanted": self.least_side, "found": shape})
        return None


class Parameters(_Part):
    """How large a model is: its weights, when it is built for samples of ``shape`` in so many ``classes``."""

    count: Count
    shape: Shape
    classes: Annotated[int, Field(ge=1)]


class ModelCard(Card):
    """A model that can be built for data of many shapes."""

    identity = frozenset({"name", "version", "fits", "parameters"})

    fits: Fits
    parameters: Parameters


C = TypeVar("C", bound=Card)


def read_card(path: Path, kind: type[C]) -> C:
    """The card in a file. Raises DamagedFile."""
    try:
        content = read_object(path)
        if content is None:
            raise DamagedFile("it is missing")
        return kind.model_validate(content)
    except (DamagedFile, ValidationError) as exc:
        said = exc.errors()[0]["msg"] if isinstance(exc, ValidationError) else exc
        raise DamagedFile(f"The card {path} cannot be read: {said}.") from exc
