"""What an attempt says of itself: whose it is, where and with what it runs, how it ended."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool

from keepfit.shared.jobs.documents.document import Document, Needed, Numbers, Text, Whole, Why
from keepfit.shared.jobs.documents.upgrade import latest
from keepfit.shared.jobs.states import Outcome
from keepfit.shared.reasons import NONE


class ClaimFile(Document):
    """``claim.json``: who runs the attempt, which wish it obeys, why the one before it ended. Written first."""

    kind = "claim"

    version: Whole = latest("claim")
    owner: Text = ""
    wish_number: Whole = 0
    """Of the latest wish that the attempt has seen."""
    previous_end: Why = NONE
    """Why the attempt before it ended; a killed one could not write that down itself."""


class ResumedFrom(BaseModel):
    """The checkpoint that an attempt has gone on from."""

    model_config = ConfigDict(frozen=True)

    attempt: Whole
    step: Whole


class TensorSignature(BaseModel):
    """One tensor that a model takes or gives, for one sample."""

    model_config = ConfigDict(frozen=True)

    name: Text = ""
    at: tuple[Whole | Text, ...] = ()
    """Where it is in a nest of tensors: names and numbers; nothing where it is the only one."""
    shape: tuple[Whole | None, ...] = ()
    dtype: Text = ""


class SignatureFile(BaseModel):
    """What a model takes and gives: enough to build it again without the data of its training."""

    model_config = ConfigDict(frozen=True)

    inputs: tuple[TensorSignature, ...] = ()
    targets: tuple[TensorSignature, ...] = ()
    outputs: tuple[TensorSignature, ...] = ()
    """Empty for a model that does not say."""
    made_for: dict[str, Any] = Field(default_factory=dict)
    """What its builder was told of the data."""


class AttemptFile(Document):
    """``attempt.json``: host, process, environment, and the checkpoint resumed from. Written before the first step."""

    kind = "attempt"

    version: Whole = latest("attempt")
    attempt: Whole = 0
    host: Text = ""
    pid: Whole = 0
    started_ms: Whole = 0
    environment: dict[str, Any] = Field(default_factory=dict)
    """The fingerprint of what decides the bits."""
    plan: Text = ""
    """How the engine compiles the step; empty where nothing is trained."""
    exact: StrictBool = True
    differs: tuple[Text, ...] = ()
    """What differs from the environment of the attempt resumed from."""
    resumed: ResumedFrom | None = None
    """None for a start from the beginning."""
    notes: tuple[Text, ...] = ()
    """What was seen in the data, in words."""
    signature: SignatureFile | None = None
    """Of the model that is trained; older versions did not keep it."""
    data_as_found: StrictBool = False
    """Whether the data were taken without a look at what they mean."""


class ResultFile(Document):
    """``result.json``: how the attempt ended. Written last: the commit record. What a later version adds is kept."""

    model_config = ConfigDict(extra="allow")
    kind, lacking = "result", "it holds no outcome"

    version: Whole = latest("result")
    outcome: Annotated[Outcome, Needed]
    reason: Why = NONE
    metrics: Numbers = Field(default_factory=dict)
    """Final test metrics."""
    weights_sha256: Text = ""
    step: Whole = 0
    extra: dict[str, Any] = Field(default_factory=dict)
