"""Sends an attempt's events to the job's stream, in order, from a thread of its own: training never waits.

While the server is away events are kept (progress only the newest), and sent when it is back. What is
dropped in the end is not lost: the same events lie in the attempt's files.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from keepfit.shared.errors import StoreRefused, StoreUnavailable
from keepfit.shared.jobs.events import Event, Progress
from keepfit.shared.store import Claim, Leases, LeaseState

KEPT = 1_000
"""Events kept while the server is away."""
RETRY_S = 0.3

log = logging.getLogger(__name__)


class StreamReporter:
    """A ``Reporter`` that writes to Redis while it is entered."""

    def __init__(self, leases: Leases, claim: Claim, lost: Callable[[], bool]) -> None:
        self._leases, self._claim, self._lost = leases, claim, lost
        self._queue: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._send_all, name="reporter", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._queue.put(None)
        self._thread.join(timeout=2)

    def report(self, event: Event) -> None:
        """Take one event; returns at once."""
        self._queue.put(event)

    def _send_all(self) -> None:
        kept: list[Event] = []
        ending_at: float | None = None
        while not self._lost():
            ended = self._collect(kept)
            if ended and ending_at is None:
                ending_at = time.monotonic() + 1.0
            if kept and self._send(kept):
                kept.clear()
            if ending_at is not None and (not kept or time.monotonic() > ending_at):
                return
            if kept:
                time.sleep(RETRY_S)

    def _collect(self, kept: list[Event]) -> bool:
        """Move what is queued into ``kept``; wait for the first if there is none. True at the end."""
        try:
            event = self._queue.get(timeout=None if not kept else 0.01)
            while True:
                if event is None:
                    return True
                if isinstance(event, Progress) and kept and isinstance(kept[-1], Progress):
                    kept.pop()
                kept.append(event)
                del kept[:-KEPT]
                event = self._queue.get_nowait()
        except queue.Empty:
            return False

    def _send(self, events: list[Event]) -> bool:
        try:
            # Lost: for good, or the server was wiped and the heartbeat is about to adopt the job.
            return self._leases.report(self._claim, events) is LeaseState.HELD
        except StoreUnavailable:
            return False
        except StoreRefused as exc:  # sent again it would be refused again, and keep back all that comes after
            log.warning("events are only in the attempt's files: %s", exc, extra={"job_id": self._claim.job_id})
            return True
