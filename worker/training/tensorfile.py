"""Tensors in one file, in the safetensors layout: 8 bytes of header length, a JSON header, raw bytes.

The layout is written here because a checkpoint streams its tensors, one at a time, through the hash
to the disk; any safetensors reader opens the result. Knows nothing of what the tensors mean.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from shared.durable import from_json, to_json
from shared.errors import CorruptCheckpoint

Array = NDArray[Any]

_NAMES = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "uint16": "U16", "int16": "I16", "uint32": "U32", "int32": "I32",
    "uint64": "U64", "int64": "I64", "float16": "F16", "bfloat16": "BF16", "float32": "F32", "float64": "F64",
}  # fmt: skip
_DTYPES = {code: np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name) for name, code in _NAMES.items()}


def header(tensors: Sequence[tuple[str, str, tuple[int, ...]]]) -> bytes:
    """The start of a file of ``tensors`` (name, dtype name, shape), whose bytes follow in this order."""
    entries: dict[str, Any] = {}
    offset = 0
    for name, dtype, shape in tensors:
        code = _NAMES[dtype]
        size = int(np.prod(shape, dtype=np.int64)) * _DTYPES[code].itemsize
        entries[name] = {"dtype": code, "shape": list(shape), "data_offsets": [offset, offset + size]}
        offset += size
    raw = to_json(entries).encode()
    raw += b" " * (-len(raw) % 8)
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
        CorruptCheckpoint: ``content`` is not such a file.
    """
    try:
        (length,) = struct.unpack_from("<Q", content)
        entries = from_json(content[8 : 8 + length])
        return dict(_views(entries, memoryview(content)[8 + length :]))
    except (struct.error, ValueError, KeyError, TypeError, AttributeError) as exc:
        raise CorruptCheckpoint("its tensors cannot be read") from exc


def _views(entries: dict[str, Any], data: memoryview) -> Iterable[tuple[str, Array]]:
    for name, entry in entries.items():
        start, stop = entry["data_offsets"]
        yield name, np.frombuffer(data[start:stop], dtype=_DTYPES[entry["dtype"]]).reshape(entry["shape"])
