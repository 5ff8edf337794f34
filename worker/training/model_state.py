"""Everything in memory that the next step depends on: which variables, how they are read and put back, their file.

    snapshot = take(model)                # immutable tensors; training may go on at once
    load_state(model, tensors)            # by position; role, shape and dtype asserted, then read back
    for block in blocks(snapshot): ...    # the bytes of the file
    tensors = parse_tensors(content)

Matched by position and never by name: Keras numbers its automatic names through the life of a
process, so the same model may be ``dense`` here and ``dense_7`` there. What Keras' own files leave
out (seed generators, metrics) is listed in docs/resume.md. The file has the safetensors layout: 8 bytes of header
length, a JSON header, raw bytes. It is written here because a checkpoint streams its tensors, one at a time, through
the hash to the disk; any safetensors reader opens the result.
"""

import hashlib
import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import keras
import ml_dtypes
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from keepfit.shared.durable import from_json, to_json
from keepfit.shared.errors import CorruptCheckpoint
from keepfit.worker.training.keras_private import global_seed_state

Array = NDArray[Any]


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
    global_seed_state()  # made now, outside of any graph, so that it is state like the others


def slots(model: Any) -> list[Slot]:
    """The variables that the next step depends on, in an order that is the same for the same model."""
    optimizer = model.optimizer.variables if model.optimizer is not None else []
    roles = (
        ("model", model.variables),
        ("optimizer", optimizer),
        ("metric", model.metrics_variables),
        ("seed", [global_seed_state()]),
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


def load_state(model: Any, tensors: Mapping[str, Array]) -> None:
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


_NAMES = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "uint16": "U16", "int16": "I16", "uint32": "U32", "int32": "I32",
    "uint64": "U64", "int64": "I64", "float16": "F16", "bfloat16": "BF16", "float32": "F32", "float64": "F64",
}  # fmt: skip
_OF_CODE = {code: name for name, code in _NAMES.items()}
_DTYPES = {code: np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name) for name, code in _NAMES.items()}


_MOST_TENSORS, _LONGEST_HEADER = 1 << 16, 16 << 20
"""More would take seconds to read; the largest models of Keras have some 4,000 variables, optimizer included."""


def header(tensors: Sequence[tuple[str, str, tuple[int, ...]]]) -> bytes:
    """The start of a file of ``tensors`` (name, dtype name, shape), whose bytes follow in this order.

    Raises:
        ValueError: they are more than ``parse_tensors`` takes.
    """
    if len(tensors) > _MOST_TENSORS:
        raise ValueError(f"{len(tensors):,} tensors are too many for one checkpoint")
    entries: dict[str, Any] = {}
    offset = 0
    for name, dtype, shape in tensors:
        code = _NAMES[dtype]
        size = math.prod(shape) * _DTYPES[code].itemsize
        entries[name] = {"dtype": code, "shape": list(shape), "data_offsets": [offset, offset + size]}
        offset += size
    raw = to_json(entries).encode()
    raw += b" " * (-len(raw) % 8)
    if len(raw) > _LONGEST_HEADER:
        raise ValueError(f"{len(raw):,} bytes of names and shapes are too many for one checkpoint")
    return struct.pack("<Q", len(raw)) + raw


def raw_bytes(array: Array) -> memoryview:
    """The bytes of ``array``, without a copy where it is contiguous."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


class Value(Protocol):
    """A tensor that can be turned into an array when its turn comes."""

    @property
    def name(self) -> str:
        """Its name in the file."""

    @property
    def dtype(self) -> str:
        """The name of its type."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""

    def numpy(self) -> Array:
        """Its value, which may be a copy."""


def blocks(tensors: Sequence[Value]) -> Iterator[bytes | memoryview]:
    """A whole file of ``tensors``, piece by piece; of the copies, one is in memory at a time."""
    yield header([(tensor.name, tensor.dtype, tensor.shape) for tensor in tensors])
    yield from (raw_bytes(tensor.numpy()) for tensor in tensors)


def parse_tensors(content: bytes) -> dict[str, Array]:
    """The tensors in ``content``, by name, in the order of the file; views, not copies.

    Raises:
        CorruptCheckpoint: ``content`` is not, byte for byte, a file that ``blocks`` would write for some tensors.
    """
    try:
        (length,) = struct.unpack_from("<Q", content)
        if length > _LONGEST_HEADER:
            raise CorruptCheckpoint(f"the header of its tensors has {length:,} bytes, more than any real one")
        start = 8 + length
        entries = from_json(content[8:start])
        if len(entries) > _MOST_TENSORS:
            raise CorruptCheckpoint(f"it holds {len(entries):,} tensors, more than any real one")
        described = [_description(name, entry) for name, entry in entries.items()]
        if header(described) != content[:start]:
            raise CorruptCheckpoint("the header of its tensors was changed after it was written")
        return dict(_views(described, memoryview(content)[start:]))
    except (struct.error, ValueError, KeyError, TypeError, AttributeError) as exc:
        raise CorruptCheckpoint("its tensors cannot be read") from exc


def _description(name: str, entry: Any) -> tuple[str, str, tuple[int, ...]]:
    shape = tuple(entry["shape"])
    if any(type(size) is not int or size < 0 for size in shape):
        raise ValueError(shape)
    return name, _OF_CODE[entry["dtype"]], shape


def _views(described: Sequence[tuple[str, str, tuple[int, ...]]], content: memoryview) -> Iterator[tuple[str, Array]]:
    offset = 0
    for name, dtype, shape in described:
        kind = _DTYPES[_NAMES[dtype]]
        end = offset + math.prod(shape) * kind.itemsize
        yield name, np.frombuffer(content[offset:end], dtype=kind).reshape(shape)
        offset = end
    if offset != len(content):
        raise ValueError(f"{len(content)} bytes instead of {offset}")
