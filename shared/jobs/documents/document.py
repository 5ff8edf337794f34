"""What all documents have in common: a version, one writer, and one reader that fills in, passes over and upgrades.

    class WishFile(Document):
        kind, lacking = "wish", "it holds no wish"
        version: Whole = latest("wish")
        number: Annotated[Whole, Needed]

Read, a field that is missing or of the wrong type has its default, and one that is unknown is passed over; without a
``Needed`` one the document is damaged. Written, a wrong field is a fault of ours and raises.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    PlainSerializer,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
)

from keepfit.shared.durable import write_json
from keepfit.shared.errors import DamagedFile
from keepfit.shared.jobs.documents.reading import numbers, read_object, text
from keepfit.shared.jobs.documents.upgrade import upgraded
from keepfit.shared.reasons import Reason, read

_READ = {"read": True}
"""The context in which what lies on disk is read."""


class _Needed:
    """Marks a field without which a document says nothing."""


Needed = _Needed()


def _writable(value: object) -> object:
    if isinstance(value, str) and text({"value": value}, "value", default="?") != value:
        raise ValueError("half a character cannot be written down")
    return value


def _reason(value: object) -> Reason:
    if not isinstance(value, Reason | str | dict):
        raise ValueError("no reason")  # noqa: TRY004 - what pydantic takes for a wrong value
    return value if isinstance(value, Reason) else read(value)


def _only_numbers(value: object) -> object:
    return numbers({"value": value}, "value") if isinstance(value, dict) else value


Whole = Annotated[int, Field(strict=True, gt=-(2**53), lt=2**53)]
"""A whole number that a counter can have come to."""
Text = Annotated[str, Field(strict=True), BeforeValidator(_writable)]
"""Text that can be written down."""
Why = Annotated[Reason, InstanceOf[Reason], BeforeValidator(_reason), PlainSerializer(Reason.to_json)]
"""A reason, by its code."""
Numbers = Annotated[dict[str, float], BeforeValidator(_only_numbers)]
"""Numbers by name; what is no number among them (``null`` for one that was not finite) is left out."""


class Document(BaseModel):
    """One file of a job's directory."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    kind: ClassVar[str]
    """What ``upgrade`` calls it."""
    lacking: ClassVar[str] = "it lacks what it is for"
    """What is wrong with one that lacks a needed field, in words."""

    version: Whole

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """The document in ``path``, in today's form; None where there is none. Raises DamagedFile with the reason."""
        raw = read_object(path)
        return None if raw is None else cls.of(raw)

    @classmethod
    def read_or_none(cls, path: Path) -> Self | None:
        """The document in ``path``; a damaged one is as if absent."""
        try:
            return cls.read(path)
        except DamagedFile:
            return None

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Self:
        """The document that ``raw`` is, whichever version has written it. Raises DamagedFile."""
        try:
            return cls.model_validate(upgraded(cls.kind, raw), context=_READ)
        except ValidationError as exc:
            raise DamagedFile(cls.lacking) from exc

    def write(self, path: Path) -> None:
        """Replace ``path`` by this document, atomically and durably. Raises OSError."""
        write_json(path, self.model_dump())

    @field_validator("*", mode="wrap")
    @classmethod
    def _or_default(cls, value: object, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> object:
        try:
            return handler(value)
        except ValidationError:
            field = cls.model_fields[info.field_name or ""]
            if info.context is not _READ or field.is_required() or Needed in field.metadata:
                raise
            return field.get_default(call_default_factory=True)
