"""How a spec names what is in the catalogue: by name and by id. Knows no cards."""

from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError

from keepfit.shared.spec.values import ReferenceId, ReferenceName


class Reference(BaseModel):
    """A card of the catalogue. What is left empty is filled in when the job is accepted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ReferenceName = ""
    """Empty: whatever the catalogue offers first."""
    id: ReferenceId = ""
    """The digest of the card's content. Empty in specs of version 1: whatever has the name."""

    @model_validator(mode="after")
    def _an_id_stands_beside_a_name(self) -> Self:
        if self.id and not self.name:
            raise PydanticCustomError("id_without_name", "needs a name beside its id")
        return self


def ask_the_same(one: BaseModel, other: BaseModel) -> bool:
    """Whether two specs ask for the same: what one of them names without an id is what the other names with one."""
    mine, theirs = one.model_dump(), other.model_dump()
    for field, value in one:
        counterpart = getattr(other, field, None)
        said_once = (
            isinstance(value, Reference) and isinstance(counterpart, Reference) and "" in (value.id, counterpart.id)
        )
        if said_once:
            del mine[field]["id"], theirs[field]["id"]
    return mine == theirs
