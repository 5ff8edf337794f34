"""What a model is trained for, and what follows from it: the loss, the metrics, and which of them counts.

    task = TASKS["classification"]
    task.loss, task.metrics            # what a model is compiled with, as Keras names them
    task.primary_in(logs, "val_")      # the metric that counts, among logs of the validation part
    task.better(0.9, than=0.8)

The only place that says what counts: pages, terminal, index and the best checkpoint ask the task. Pure.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

LOSS = "loss"


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a model is trained for."""

    name: str
    loss: str
    """The default loss, by Keras' name."""
    loss_title: str
    """For people."""
    metrics: tuple[str, ...]
    """The metrics beside it, likewise."""
    primary: str
    """The one that people look at first, as it stands in the logs."""
    title: str
    """For people."""
    also_called: tuple[str, ...] = ()
    """How Keras names it where a model was compiled in other words."""
    higher_is_better: bool
    is_share: bool
    """Whether the primary metric is a share of the samples, which people read in percent."""
    has_classes: bool
    """Whether a sample has one class, so that always naming the commonest one is guessing."""

    @property
    def monitors(self) -> tuple[str, ...]:
        """What a callback of a job may watch."""
        return tuple(f"{part}{name}" for part in ("val_", "") for name in (LOSS, self.primary))

    def primary_in(self, logs: Mapping[str, float], prefix: str = "") -> float | None:
        """The primary metric among ``logs``, whose names begin with ``prefix``; None if it is not there."""
        names = (prefix + name for name in (self.primary, *self.also_called))
        return next((logs[name] for name in names if name in logs), None)

    def better(self, value: float, *, than: float) -> bool:
        """Whether ``value`` of the primary metric is the better one."""
        return value > than if self.higher_is_better else value < than

    def score(self, logs: Mapping[str, float]) -> float | None:
        """What makes a checkpoint the best one, lower for a better one; None where it is no number.

        The loss, of the validation part if there is one; not the primary metric, since a share has many ties.
        """
        value = logs.get(f"val_{LOSS}", logs.get(LOSS))
        return value if value is not None and math.isfinite(value) else None


TASKS: Mapping[str, Task] = {
    task.name: task
    for task in (
        Task(
            name="classification",
            loss="sparse_categorical_crossentropy",
            loss_title="sparse categorical cross-entropy",
            metrics=("accuracy",),
            primary="accuracy",
            title="accuracy",
            also_called=("sparse_categorical_accuracy", "categorical_accuracy"),
            higher_is_better=True,
            is_share=True,
            has_classes=True,
        ),
        Task(
            name="binary",
            loss="binary_crossentropy",
            loss_title="binary cross-entropy",
            metrics=("accuracy",),
            primary="accuracy",
            title="accuracy",
            also_called=("binary_accuracy",),
            higher_is_better=True,
            is_share=True,
            has_classes=True,
        ),
        Task(
            name="multi-label",
            loss="binary_crossentropy",
            loss_title="binary cross-entropy",
            metrics=("binary_accuracy",),
            primary="binary_accuracy",
            title="accuracy",
            higher_is_better=True,
            is_share=True,
            has_classes=False,
        ),
        Task(
            name="regression",
            loss="mean_squared_error",
            loss_title="mean squared error",
            metrics=("mean_absolute_error",),
            primary="mean_absolute_error",
            title="mean absolute error",
            also_called=("mae",),
            higher_is_better=False,
            is_share=False,
            has_classes=False,
        ),
        Task(
            name="reconstruction",
            loss="mean_squared_error",
            loss_title="mean squared error",
            metrics=("mean_absolute_error",),
            primary="mean_absolute_error",
            title="mean absolute error",
            also_called=("mae",),
            higher_is_better=False,
            is_share=False,
            has_classes=False,
        ),
    )
}
"""All that this version knows, by name."""
DEFAULT_TASK = TASKS["classification"]
"""Of a job that names none: the only one that version 0.1 knew."""


def task_named(name: str) -> Task:
    """The task of this name; the default one for a name that only a newer version knows."""
    return TASKS.get(name, DEFAULT_TASK)
