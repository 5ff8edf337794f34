"""Tensors in one file, in the safetensors layout: 8 bytes of header length, a JSON header, raw bytes.

The layout is written here because a checkpoint streams its tensors, one at a time, through the hash
to the disk; any safetensors reader opens the result. Knows nothing of what the tensors mean.
"""

import math
import struct
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from keepfit.shared.durable import from_json, to_json
from keepfit.shared.errors import CorruptCheckpoint

Array = NDArray[Any]

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
        ValueError: they are more than ``parse`` takes.
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


def parse(content: bytes) -> dict[str, Array]:
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
