"""The whole of what a person submits: a training job, or the evaluation of another job's model."""

import hashlib
import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from keepfit.shared.errors import InvalidSpec, NewerVersion
from keepfit.shared.spec.data import DATASETS, DataSpec
from keepfit.shared.spec.model import ModelSpec
from keepfit.shared.spec.training import TrainingSpec
from keepfit.shared.spec.values import JobId, JobName, Version

READS = 1
"""The highest version of a spec that this code reads."""
KINDS = ("train", "evaluate")
"""The kinds of jobs that it knows."""


class TrainSpec(BaseModel):
    """A job that trains a model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Version = 1
    kind: Literal["train"] = "train"
    name: JobName = Field(title="Name")
    data: DataSpec = DataSpec()
    model: ModelSpec = ModelSpec()
    training: TrainingSpec = TrainingSpec()

    @model_validator(mode="after")
    def _training_fits_the_data(self) -> Self:
        samples = DATASETS[self.data.name].train_samples
        if samples - int(samples * self.training.validation_share) < 1:
            raise ValueError(f"the validation share leaves no sample of {samples} to train on")
        stopping, plateau = self.training.early_stopping, self.training.reduce_lr
        watched = [c.monitor for c in (stopping, plateau) if c is not None]
        if any(m.startswith("val_") for m in watched) and int(samples * self.training.validation_share) < 1:
            raise ValueError("a callback watches a validation metric, but the validation share is 0")
        return self


class EvaluateSpec(BaseModel):
    """A job that measures the model of the job ``source`` on a data set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Version = 1
    kind: Literal["evaluate"] = "evaluate"
    name: JobName = Field(title="Name")
    source: JobId = Field(title="Job")
    data: DataSpec = DataSpec()


JobSpec = Annotated[TrainSpec | EvaluateSpec, Field(discriminator="kind")]
NEWER = "This job needs a newer version of Keepfit: it was made by one. Its directory is left as it is."
_ADAPTER: TypeAdapter[TrainSpec | EvaluateSpec] = TypeAdapter(JobSpec)


@dataclass(frozen=True)
class Needs:
    """What a reader of a spec must know; found out without reading the rest of it."""

    version: int
    kind: str

    @property
    def met(self) -> bool:
        """Whether this code reads such a spec."""
        return self.version <= READS and self.kind in KINDS


def needs_of(raw: Any) -> Needs:
    """What the reader of the kept spec ``raw`` needs. Whatever is damaged counts as of today's form."""
    spec = raw if isinstance(raw, dict) else {}
    version, kind = spec.get("version", READS), spec.get("kind", KINDS[0])
    return Needs(
        version if type(version) is int else READS, kind if isinstance(kind, str) and kind.isprintable() else KINDS[0]
    )


def parse_spec(raw: Any, kept: bool = False) -> TrainSpec | EvaluateSpec:
    """Check ``raw`` (decoded JSON) and return the spec.

    Args:
        raw: What was sent, or read from a job's directory.
        kept: It was accepted before. An older version took names that are not taken now, a later one may have
            added fields, which are passed over; such a job stays whole.

    Raises:
        NewerVersion: it was kept by a version that knows more, and cannot be understood by this one.
        InvalidSpec: a field is wrong; the message names each and says what it may be.
            The pydantic ``ValidationError`` is its ``__cause__``.
    """
    if kept and not needs_of(raw).met:
        raise NewerVersion(NEWER)
    if isinstance(raw, dict) and "kind" not in raw:
        raw = {**raw, "kind": "train"}
    try:
        return _ADAPTER.validate_python(raw, context={"kept": kept}, extra="ignore" if kept else None)
    except ValidationError as exc:
        lines = [f"{'.'.join(str(p) for p in e['loc'][1:]) or 'spec'}: {e['msg']}" for e in exc.errors()]
        raise InvalidSpec("; ".join(lines)) from exc


def spec_digest(spec: TrainSpec | EvaluateSpec) -> str:
    """sha256 (hex) over the canonical JSON of ``spec``."""
    canonical = json.dumps(spec.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
