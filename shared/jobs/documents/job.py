"""What lies beside the attempts: what the job is, what is wished of it, and an end that no attempt could write."""

from typing import Annotated, Any

from pydantic import Field, field_validator

from keepfit.shared.actors import Actor
from keepfit.shared.jobs.documents.document import Document, Needed, Text, Whole, Why
from keepfit.shared.jobs.documents.upgrade import latest
from keepfit.shared.jobs.states import LARGEST_PRIORITY, JobState, Wish
from keepfit.shared.reasons import NONE

_SETTLED = (JobState.PAUSED, JobState.FAILED, JobState.CANCELLED)


class JobFile(Document):
    """``job.json``: what was submitted. Written once, by the deed that submits."""

    kind, lacking = "job", "it lacks the spec"

    version: Whole = latest("job")
    id: Text = ""
    created_ms: Whole = 0
    spec: Annotated[dict[str, Any], Field(min_length=1), Needed]
    """As it was accepted: what is in it that this version does not know stays."""
    spec_sha256: Annotated[Text, Field(min_length=1), Needed]
    """Of the spec as it was accepted. Checkpoints hold it; it is compared, and never made anew."""
    by: Actor | None = None
    """Who has submitted it; None where an older version did not write that down."""


class WishFile(Document):
    """``wish.json``: the last wish of a person. Written by the deeds of the web side only."""

    kind, lacking = "wish", "it holds no wish"

    version: Whole = latest("wish")
    wish: Annotated[Wish, Needed]
    number: Annotated[Whole, Field(ge=0), Needed]
    """Grows with each wish."""
    priority: Annotated[Whole, Field(ge=-LARGEST_PRIORITY, le=LARGEST_PRIORITY)] | None = None
    """None while nobody has changed it."""
    by: Actor | None = None
    """Who has wished it; None where an older version did not write that down."""


class VerdictFile(Document):
    """``verdict.json``: a stop that ``attempt`` could not write itself. Written by keepers, for the next rebuild.

    It holds until a later attempt begins, or a person wishes something after ``wish_number``.
    """

    kind, lacking = "verdict", "it holds no state that a job stops in"

    version: Whole = latest("verdict")
    state: Annotated[JobState, Needed]
    reason: Why = NONE
    attempt: Whole = -1
    wish_number: Whole = -1

    @field_validator("state")
    @classmethod
    def _stops(cls, state: JobState) -> JobState:
        if state not in _SETTLED:
            raise ValueError("a job does not stop in this state")
        return state


class TombstoneFile(Document):
    """``deleted/<id>.json``: all that is kept of a deleted job. Written once its space is freed."""

    kind = "tombstone"

    version: Whole = latest("tombstone")
    id: Text = ""
    deleted_ms: Whole = 0
    freed_bytes: Whole = 0
    """As far as it is known: who finishes a deletion that was cut off knows only what was left."""
    by: Actor | None = None
    """Who has deleted it; None where somebody else has finished that."""
