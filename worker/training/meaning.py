"""Whether the numbers mean anything: what must be finite is, and a classifier does better than guessing.

    known = not_finite(tensors)              # at step 0: what never was finite, and may stay so
    words = fault(tensors, known)            # the first variable beyond these that is no number; empty: none
    share = no_better_than_guessing(task, metrics, test.y)     # 0.113: no better; None: better, or no classes

The state is looked at where checkpoints are written, off the training thread. Metrics are left alone in there: with a
scaled loss, a step that overflows is skipped by design, and the running mean of its epoch is infinite.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keepfit.shared.errors import KeepfitError
from keepfit.shared.spec.task import LOSS, Task
from keepfit.worker.training.model_state import Array, Tensor
from keepfit.worker.training.program import Program

_LARGE = 1e6
"""Data beyond this are the likelier cause than the learning rate."""


class Diverged(KeepfitError):
    """Something is no number any more. Never retried: the same steps give the same result."""


def not_finite(tensors: Sequence[Tensor]) -> list[str]:
    """The positions of those that hold NaN or infinity: weights, optimizer state, best weights."""
    return [_position(tensor) for tensor in tensors if _counts(tensor) and _bad_value(tensor.numpy()) is not None]


def fault(tensors: Sequence[Tensor], known: Collection[str]) -> str:
    """The first variable beyond ``known`` that is no number, in words; empty if there is none."""
    for tensor in tensors:
        if _counts(tensor) and _position(tensor) not in known:
            value = _bad_value(tensor.numpy())
            if value is not None:
                _, role, path = tensor.name.split("|", 2)
                what = {"model": "weights", "optimizer": "optimizer's state"}.get(role, "best weights")
                return f"the model's {what} are no numbers any more ({path} holds {value})"
    return ""


def check_figures(figures: Mapping[str, float], what: str, program: Program | None = None) -> None:
    """Refuse figures that are no numbers. Raises Diverged."""
    for name, value in figures.items():
        if not math.isfinite(value):
            advice = f" {cure(program)}" if program else ""
            raise Diverged(f"The {name} {what} is {value}, so the model's figures mean nothing.{advice}")


def cure(program: Program) -> str:
    """What usually helps: the scale of the data where that is out of bounds, else the learning rate."""
    arrays = [np.asanyarray(array) for array in tf.nest.flatten(program.train.x)]
    largest = max((float(np.abs(a).max()) for a in arrays if a.dtype.kind == "f" and a.size), default=0.0)
    if largest > _LARGE:
        return f"The training data hold values as large as {largest:.3g}: scale them down, to 0 to 1 for example."
    return "A lower learning rate usually cures this."


def _counts(tensor: Tensor) -> bool:
    return tensor.name.split("|", 2)[1] in ("model", "optimizer", "callback")


def _position(tensor: Tensor) -> str:
    """What is the same in all attempts: Keras numbers the names of variables anew in each process."""
    number, role, path = tensor.name.split("|", 2)
    return f"{number}|{role}|{path}" if role == "callback" else f"{number}|{role}"


def _bad_value(array: Array) -> Any:
    """The first value that is not finite, or None."""
    if array.dtype.kind not in "fV":
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        if array.dtype == np.float32 and np.isfinite(array.sum()):  # one pass without a copy; it may overflow
            return None
    flat = array.reshape(-1).astype(np.float64)
    bad = flat[~np.isfinite(flat)]
    return bad[0] if bad.size else None


_DEVIATIONS = 3
"""How far above the commonest class's share the right answers must be to count: chance does it once in 700 times."""
_HARDLY = 0.1
"""The part of what there is to gain over the commonest class's share that still counts as nothing."""


def no_better_than_guessing(task: Task, metrics: Mapping[str, float], labels: Any, prefix: str = "") -> float | None:
    """The share of the commonest class if the model is no better than always saying that one; else None.

    That is: it is right for a share of the samples within noise of that share, or below it; or for hardly more, while
    its cross-entropy is worse than that of one who says each class as often as it occurs. ``metrics`` are those whose
    names begin with ``prefix``. Of a task without classes there is nothing to guess.
    """
    if not task.has_classes:
        return None
    right, loss = task.primary_in(metrics, prefix), metrics.get(f"{prefix}{LOSS}")
    classes = _classes(labels)
    if right is None or classes is None:
        return None
    counts = np.unique(classes, return_counts=True)[1]
    if len(counts) < 2:
        return None
    shares = counts / counts.sum()
    share = float(shares.max())
    noise = math.sqrt(share * (1 - share) / len(classes))
    hardly = right <= share + _HARDLY * (1 - share)
    worse = loss is not None and loss > -float((shares * np.log(shares)).sum())
    return share if right <= share + _DEVIATIONS * noise or (hardly and worse) else None


def _classes(labels: Any) -> Any:
    """One class a sample, or None where the labels are something else."""
    if not isinstance(labels, np.ndarray) or labels.dtype.kind not in "biuf" or not labels.size:
        return None
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2 and ((labels == 0) | (labels == 1)).all() and (labels.sum(axis=1) == 1).all():
        labels = labels.argmax(axis=1)
    return labels if labels.ndim == 1 and (labels.dtype.kind != "f" or (labels == np.floor(labels)).all()) else None


def guessing_in_words(share: float, samples: int) -> str:
    """What to say then."""
    return (
        f"the model is no better than guessing: always saying the commonest class is right for {share:.1%} of "
        f"{samples:,} samples, and it is hardly for more"
    )
