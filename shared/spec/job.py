"""The whole of what a person submits: a training job, or the evaluation of another job's model."""

import hashlib
import json
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from shared.errors import InvalidSpec
from shared.spec.data import DATASETS, DataSpec
from shared.spec.model import ModelSpec
from shared.spec.training import TrainingSpec
from shared.spec.values import JobName, Version

JOB_ID_PATTERN = r"^[a-z0-9]{12}$"


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
    source: str = Field(pattern=JOB_ID_PATTERN, title="Job")
    data: DataSpec = DataSpec()


JobSpec = Annotated[TrainSpec | EvaluateSpec, Field(discriminator="kind")]
_ADAPTER: TypeAdapter[TrainSpec | EvaluateSpec] = TypeAdapter(JobSpec)


def parse_spec(raw: Any, kept: bool = False) -> TrainSpec | EvaluateSpec:
    """Check ``raw`` (decoded JSON) and return the spec.

    Args:
        raw: What was sent, or read from a job's directory.
        kept: It was accepted before. An older version took names that are not taken now; such a job stays whole.

    Raises:
        InvalidSpec: a field is wrong; the message names each and says what it may be.
            The pydantic ``ValidationError`` is its ``__cause__``.
    """
    if isinstance(raw, dict) and "kind" not in raw:
        raw = {**raw, "kind": "train"}
    try:
        return _ADAPTER.validate_python(raw, context={"kept": kept})
    except ValidationError as exc:
        lines = [f"{'.'.join(str(p) for p in e['loc'][1:]) or 'spec'}: {e['msg']}" for e in exc.errors()]
        raise InvalidSpec("; ".join(lines)) from exc


def spec_digest(spec: TrainSpec | EvaluateSpec) -> str:
    """sha256 (hex) over the canonical JSON of ``spec``."""
    canonical = json.dumps(spec.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
