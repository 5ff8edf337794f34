"""The order of the samples: a pure function of seed and epoch, so a position is all that resume needs.

Raw Philox bits and a stable sort: NumPy keeps the streams of its bit generators the same in all
versions, but not those of ``Generator.permutation`` (NEP 19).
"""

import hashlib
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

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
