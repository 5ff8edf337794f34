"""What must be a finite number: state that was one when its job began, the metric that a callback watches, the figures.

    known = not_finite(tensors)              # at step 0: what never was finite, and may stay so
    check(tensors, known, step, program)     # raises Diverged, naming the variable and what to try

The state is looked at where checkpoints are written, off the training thread. Metrics are left alone in there: with a
scaled loss, a step that overflows is skipped by design, and the running mean of its epoch is infinite.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keepfit.shared.errors import KeepfitError
from keepfit.worker.training.program import Program
from keepfit.worker.training.state import Tensor
from keepfit.worker.training.tensorfile import Array

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
