"""Watches from outside what must never get slow: the worker's beat, and the pages.

with BeatWatch(store) as beat:
    ...
    beat.longest()      # seconds between two beats, or since the last one
"""

import contextlib
import threading
import time
from types import TracebackType
from typing import Self

import httpx

from keepfit.shared.errors import KeepfitError
from keepfit.shared.store import Store


class Watch:
    """Looks again and again, in a thread, until it is left."""

    gap_s = 0.1

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def look(self) -> None:
        """One look."""
        raise NotImplementedError

    def _watch(self) -> None:
        while not self._ended.wait(self.gap_s):
            self.look()

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        """End."""
        self._ended.set()
        self._thread.join()


class BeatWatch(Watch):
    """The longest time in which no worker was heard of."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store
        self._heard = time.monotonic()
        self._beat_ms = 0
        self._longest = 0.0

    def look(self) -> None:
        """A beat that is newer than the last one ends a silence; one that a wipe has taken was heard all the same."""
        with contextlib.suppress(KeepfitError):
            beat_ms = max((worker.seen_ms for worker in self._store.workers.list()), default=0)
            now = time.monotonic()
            if beat_ms > self._beat_ms:
                self._beat_ms, self._heard = beat_ms, now
            self._longest = max(self._longest, now - self._heard)

    def longest(self) -> float:
        """Seconds, since the last time that this was asked."""
        found, self._longest = self._longest, 0.0
        return found


class PageWatch(Watch):
    """Asks for the list's first page, the last one and a job's count five times a second."""

    gap_s = 0.2

    def __init__(self, url: str) -> None:
        super().__init__()
        self._http = httpx.Client(base_url=url, timeout=30)
        self.times: list[float] = []
        """Milliseconds of each page."""
        self.failed = 0
        self.shortest: int | None = None
        """The least number of jobs that the list had."""

    def look(self) -> None:
        """One page and one list."""
        began = time.perf_counter()
        try:
            page = self._http.get("/")
            self.times.append((time.perf_counter() - began) * 1000)
            total = self._http.get("/api/v1/jobs", params={"limit": 1}).json()["total"]
            self.failed += page.status_code != httpx.codes.OK
            self.shortest = total if self.shortest is None else min(self.shortest, total)
        except httpx.TransportError:
            self.failed += 1
