"""Everything in memory that the next step depends on: which variables, how they are read and put back.

    snapshot = take(model)                # immutable tensors; training may go on at once
    restore(model, tensors)               # by position; role, shape and dtype asserted, then read back

Matched by position and never by name: Keras numbers its automatic names through the life of a
process, so the same model may be ``dense`` here and ``dense_7`` there. What Keras' own files leave
out (seed generators, metrics) is listed in docs/resume.md.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.src.random.seed_generator import global_seed_generator  # not public, and state all the same

from keepfit.shared.errors import CorruptCheckpoint
from keepfit.worker.training.tensorfile import Array, raw_bytes


@dataclass(frozen=True)
class Slot:
    """One variable and its part in training: model, optimizer, metric or seed."""

    role: str
    variable: Any


@dataclass(frozen=True)
class Tensor:
    """One value of a snapshot; ``value`` is an immutable tensor or a NumPy array."""

    name: str
    value: Any

    def numpy(self) -> Array:
        """The value as an array."""
        return self.value if isinstance(self.value, np.ndarray) else self.value.numpy()

    @property
    def dtype(self) -> str:
        """The name of its type."""
        return str(self.value.dtype) if isinstance(self.value, np.ndarray) else str(self.value.dtype.name)

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return tuple(self.value.shape)

    @property
    def nbytes(self) -> int:
        """Its size on disk."""
        if isinstance(self.value, np.ndarray):
            return self.value.nbytes
        return int(np.prod(self.value.shape, dtype=np.int64)) * int(self.value.dtype.size)


def seed_everything(seed: int) -> None:
    """Make what follows, the building of a model above all, a function of ``seed``."""
    keras.utils.set_random_seed(seed)
    global_seed_generator()  # made now, outside of any graph, so that it is state like the others


def slots(model: Any) -> list[Slot]:
    """The variables that the next step depends on, in an order that is the same for the same model."""
    optimizer = model.optimizer.variables if model.optimizer is not None else []
    roles = (
        ("model", model.variables),
        ("optimizer", optimizer),
        ("metric", model.metrics_variables),
        ("seed", [global_seed_generator().state]),
    )
    seen: set[int] = set()
    found = []
    for role, variables in roles:
        for variable in variables:
            if id(variable) not in seen:
                seen.add(id(variable))
                found.append(Slot(role, variable))
    return found


def take(model: Any) -> list[Tensor]:
    """The values of all slots as they are now. Copies nothing: TensorFlow copies a variable when it is next written."""
    return [
        Tensor(f"{index:05d}|{slot.role}|{slot.variable.path}", _read(slot.variable.value))
        for index, slot in enumerate(slots(model))
    ]


def _read(variable: Any) -> Any:
    # What `variable.read_value()` comes to, in a fifth of its time (docs/decisions/0006-snapshot.md).
    return tf.raw_ops.ReadVariableOp(resource=variable.handle, dtype=variable.dtype)


def restore(model: Any, tensors: Mapping[str, Array]) -> None:
    """Put ``tensors`` (the part of a checkpoint that ``take`` made) into ``model``.

    Raises:
        CorruptCheckpoint: they do not fit, each by its position, and then nothing is changed; or they read back
            differently.
    """
    targets = slots(model)
    if len(targets) != len(tensors):
        raise CorruptCheckpoint(f"it holds {len(tensors)} variables, the model has {len(targets)}")
    for slot, (name, value) in zip(targets, tensors.items(), strict=True):
        role = name.split("|")[1:2]
        wanted = (slot.role, tuple(slot.variable.shape), keras.backend.standardize_dtype(slot.variable.dtype))
        if (*role, value.shape, str(value.dtype)) != wanted:
            raise CorruptCheckpoint(f"its variable {name[:200]!r} ({value.dtype}{value.shape}) does not fit {wanted}")
    for slot, value in zip(targets, tensors.values(), strict=True):
        slot.variable.assign(value)
    for slot, (name, value) in zip(targets, tensors.items(), strict=True):
        if raw_bytes(slot.variable.value.numpy()) != raw_bytes(value):
            raise CorruptCheckpoint(f"its variable {name[:200]!r} reads back differently")


def digest(arrays: Sequence[Array]) -> str:
    """sha256 (hex) over the raw bytes of ``arrays``."""
    sha = hashlib.sha256()
    for array in arrays:
        sha.update(raw_bytes(array))
    return sha.hexdigest()


def weights_digest(model: Any) -> str:
    """sha256 (hex) over the raw bytes of the model's weights, in their order."""
    return digest(model.get_weights())


def state_digest(model: Any) -> str:
    """sha256 (hex) over the raw bytes of all state."""
    return digest([tensor.numpy() for tensor in take(model)])
