"""The order of the samples, and where the batches of an epoch come from: memory, or a file too big for it.

    rows = order(seed, epoch, samples)     # a pure function, so a position is all that resume needs
    source = open_source(arrays, batch_size, resident_bytes)
    source.begin(rows)
    window = source.window(17)             # batches window.start to window.stop - 1, batch 17 among them
    data, ids = source.rest()              # the partial last batch

What is read is the same either way; a window is only as much of it as is in memory at once. The order is drawn from raw
Philox bits by a stable sort: NumPy keeps the streams of its bit generators the same in all versions, but not those of
``Generator.permutation`` (NEP 19).
"""

import hashlib
import mmap
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from keepfit.worker.training.model_state import Array
from keepfit.worker.training.program import Arrays

Order = NDArray[np.int32]


def order(seed: int, epoch: int, samples: int) -> Order:
    """The order in which epoch ``epoch`` visits the samples."""
    bits = np.random.Philox(key=np.array([seed, epoch], dtype=np.uint64)).random_raw(samples)
    return np.argsort(bits, kind="stable").astype(np.int32)


def order_digest(of: Order) -> str:
    """sha256 (hex) of an order."""
    return hashlib.sha256(np.ascontiguousarray(of, dtype="<i4").data).hexdigest()


class Orders:
    """The orders of one run; the next epoch's is computed while this one trains."""

    def __init__(self, seed: int, samples: int, epochs: int, shuffle: bool = True) -> None:
        self._seed, self._samples, self._epochs, self._shuffle = seed, samples, epochs, shuffle
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="order")
        self._ahead: dict[int, Future[tuple[Order, str]]] = {}

    def of(self, epoch: int) -> tuple[Order, str]:
        """The order of ``epoch``, and its digest."""
        ready = self._ahead.pop(epoch, None)
        self._ahead.clear()
        if epoch + 1 < self._epochs:
            self._ahead[epoch + 1] = self._thread.submit(self._compute, epoch + 1)
        return ready.result() if ready else self._compute(epoch)

    def close(self) -> None:
        """Stop computing ahead."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _compute(self, epoch: int) -> tuple[Order, str]:
        plain = np.arange(self._samples, dtype=np.int32)
        found = order(self._seed, epoch, self._samples) if self._shuffle else plain
        return found, order_digest(found)


_WINDOW_BYTES = 32 << 20
_PIECE = 512
"""Samples read from a mapped file before its pages are given back: each may make Linux map a megabyte around it."""


@dataclass(frozen=True)
class Window:
    """Batches ``start`` to ``stop - 1``: the samples of batch ``start + i`` are ``data`` at ``rows[i]``."""

    data: Any
    rows: Any
    start: int
    stop: int


class Source(Protocol):
    """Gives the batches of one epoch after the other."""

    samples: int
    full: int
    """Batches of full size in an epoch."""
    remainder: int
    """Samples in the partial last batch; 0 if there is none."""

    def begin(self, order: Order) -> None:
        """Start an epoch in this order."""

    def window(self, batch: int) -> Window:
        """The window that full batch ``batch`` is in."""

    def rest(self) -> tuple[Any, Any]:
        """The partial last batch: data, and the rows of it to take."""

    def close(self) -> None:
        """Stop reading ahead."""


def open_source(arrays: Arrays, batch_size: int, resident_bytes: int) -> Source:
    """The source for ``arrays``."""
    parts = arrays.as_tuple()
    size = sum(array.nbytes for array in tf.nest.flatten(parts))
    return Resident(parts, batch_size) if size <= resident_bytes else Streamed(parts, batch_size)


def as_keras_takes_it(array: Array) -> Array:
    """Floats in Keras' float type, as ``fit`` makes them; all else stays as it is, bytes too."""
    wanted = keras.config.floatx()
    return array.astype(wanted) if array.dtype.kind == "f" and array.dtype != wanted else array


class Resident:
    """All samples on the device; an epoch is a matrix of indices."""

    def __init__(self, parts: Any, batch_size: int) -> None:
        self._data = tf.nest.map_structure(lambda a: tf.constant(as_keras_takes_it(a)), parts)
        self.samples = len(tf.nest.flatten(parts)[0])
        self.full, self.remainder = divmod(self.samples, batch_size)
        self._batch_size = batch_size
        self._rows: Any = None
        self._rest: Any = None

    def begin(self, order: Order) -> None:
        """Upload the order."""
        cut = self.full * self._batch_size
        self._rows, self._rest = tf.constant(order[:cut].reshape(self.full, self._batch_size)), tf.constant(order[cut:])

    def window(self, batch: int) -> Window:  # noqa: ARG002 - all of them are at hand
        """The whole epoch."""
        return Window(self._data, self._rows, 0, self.full)

    def rest(self) -> tuple[Any, Any]:
        """The partial last batch."""
        return self._data, self._rest

    def close(self) -> None:
        """Nothing to stop."""


class Streamed:
    """A window of samples in memory, the next one being read by a thread meanwhile."""

    def __init__(self, parts: Any, batch_size: int) -> None:
        self._parts, self._batch_size = parts, batch_size
        self.samples = len(tf.nest.flatten(parts)[0])
        self.full, self.remainder = divmod(self.samples, batch_size)
        batch_bytes = sum(a.nbytes for a in tf.nest.flatten(parts)) * batch_size // self.samples
        self._width = max(1, min(self.full, _WINDOW_BYTES // max(1, batch_bytes)))
        rows = np.arange(self._width * batch_size, dtype=np.int32).reshape(self._width, batch_size)
        self._rows = tf.constant(rows)
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="read-ahead")
        self._order: Order | None = None
        self._current: tuple[int, Any] | None = None
        self._next: tuple[int, Future[Any]] | None = None

    def begin(self, order: Order) -> None:
        """Forget the last epoch's windows."""
        self._order, self._current, self._next = order, None, None

    def window(self, batch: int) -> Window:
        """The window of ``batch``; it is there already if the epoch is walked through in order."""
        index = batch // self._width
        if self._current is None or self._current[0] != index:
            ready = self._next[1].result() if self._next and self._next[0] == index else self._read(index)
            self._current = (index, ready)
            if (index + 1) * self._width < self.full:
                self._next = (index + 1, self._reader.submit(self._read, index + 1))
        start = index * self._width
        return Window(self._current[1], self._rows, start, min(self.full, start + self._width))

    def rest(self) -> tuple[Any, Any]:
        """The partial last batch, read now."""
        ids = self._ids()[self.full * self._batch_size :]
        return self._gather(ids, len(ids)), tf.range(len(ids))

    def close(self) -> None:
        """Stop reading ahead."""
        self._reader.shutdown(wait=True, cancel_futures=True)

    def _ids(self) -> Order:
        if self._order is None:
            raise RuntimeError("begin() comes before the first batch of an epoch")
        return self._order

    def _read(self, index: int) -> Any:
        first = index * self._width * self._batch_size
        last = min(self.full * self._batch_size, first + self._width * self._batch_size)
        return self._gather(self._ids()[first:last], self._width * self._batch_size)

    def _gather(self, ids: Order, capacity: int) -> Any:
        """The samples ``ids``, in arrays of ``capacity`` rows: XLA compiles for one shape only."""
        nearby_first = np.argsort(ids, kind="stable")

        def read(array: Array) -> Any:
            out = np.zeros((capacity, *array.shape[1:]), array.dtype)
            for first in range(0, len(ids), _PIECE):
                piece = nearby_first[first : first + _PIECE]
                out[piece] = array[ids[piece]]
                _release(array)
            return tf.constant(as_keras_takes_it(out))

        return tf.nest.map_structure(read, self._parts)


def _release(array: Array) -> None:
    """Let the system take back the pages of a mapped file; otherwise all of it ends up in this process's memory."""
    mapping = getattr(array, "_mmap", None)
    if mapping is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapping.madvise(mmap.MADV_DONTNEED)
