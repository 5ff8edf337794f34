"""How a model is trained: epochs, batches, learning rate, seed, validation, checkpoints, callbacks."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticKnownError

from keepfit.shared.spec.task import DEFAULT_TASK
from keepfit.shared.spec.values import Number, Whole


def _check_monitor(name: str) -> str:
    known = DEFAULT_TASK.monitors
    if name not in known:
        raise PydanticKnownError("literal_error", {"expected": f"{', '.join(map(repr, known[:-1]))} or {known[-1]!r}"})
    return name


Monitor = Annotated[str, AfterValidator(_check_monitor)]
"""A metric that a callback can watch."""


class EarlyStoppingSpec(BaseModel):
    """Stop when ``monitor`` has not improved for ``patience`` epochs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    monitor: Monitor = "val_loss"
    patience: Whole = Field(3, ge=0, le=1000)
    min_delta: Number = Field(0.0, ge=0, allow_inf_nan=False)
    restore_best_weights: bool = True


class ReduceLRSpec(BaseModel):
    """Multiply the learning rate by ``factor`` when ``monitor`` has not improved for ``patience`` epochs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    monitor: Literal["val_loss", "loss"] = "val_loss"
    factor: Number = Field(0.5, gt=0, lt=1)
    patience: Whole = Field(2, ge=0, le=1000)
    min_lr: Number = Field(0.0, ge=0, allow_inf_nan=False)
    cooldown: Whole = Field(0, ge=0, le=1000)


class TrainingSpec(BaseModel):
    """One training run. The optimizer is adam, loss and metrics are those of the task."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: Whole = Field(10, ge=1, le=100_000, title="Epochs")
    batch_size: Whole = Field(32, ge=1, le=65_536, title="Batch size")
    learning_rate: Number = Field(0.001, gt=0, le=100, allow_inf_nan=False, title="Learning rate")
    seed: Whole = Field(1, ge=0, le=2**32 - 1, title="Seed")
    validation_share: Number = Field(
        0.1, ge=0, lt=1, allow_inf_nan=False, title="Validation share", description="0 for none"
    )
    checkpoint_interval_s: Number = Field(
        10.0,
        ge=0.1,
        le=86_400,
        allow_inf_nan=False,
        title="Checkpoint interval",
        description="seconds; the ends of epochs are checkpoints as well, as often as that costs next to nothing",
    )
    checkpoint_every_steps: Whole | None = Field(
        None, ge=1, le=1_000_000_000, description="a checkpoint every N steps, besides"
    )
    early_stopping: EarlyStoppingSpec | None = None
    reduce_lr: ReduceLRSpec | None = None
    plan: Literal["auto", "graph", "xla"] = Field(
        "auto", description="how the engine compiles the step; auto chooses by the model"
    )
