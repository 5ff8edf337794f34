"""An attempt's own account of itself on disk: ``log.txt`` for people, ``metrics.jsonl`` for charts.

Both are conveniences: a write that fails is counted and training goes on. What must not be lost is
in the checkpoints and in ``result.json``.
"""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from keepfit.shared.jobs.directory import AttemptDir
from keepfit.shared.jobs.events import (
    AttemptStarted,
    CheckpointFailed,
    CheckpointRejected,
    CheckpointSaved,
    EpochEnded,
    Event,
    Progress,
    to_row,
)
from keepfit.shared.jobs.loglines import describe
from keepfit.worker.training.interfaces import Reporter, StopReason, StopSignal

_ROWS = (AttemptStarted, EpochEnded, CheckpointSaved, CheckpointFailed, CheckpointRejected)
_MOST_ROWS = 1000
_SAVED_LINE_EVERY_S = 60.0
"""Every checkpoint is a row; in the log, of those that went well, one a minute says that they do."""


class DiskReporter:
    """Writes what happens into the attempt's directory; says nothing once the lease is lost."""

    def __init__(self, attempt: AttemptDir, stop: StopSignal, now: Callable[[], float] = time.monotonic) -> None:
        self._attempt, self._stop, self._now = attempt, stop, now
        self._began = self._last_row = now()
        self._last_saved_line: float | None = None
        self.failures = 0

    def report(self, event: Event) -> None:
        """Take one event."""
        if self._stop.reason is StopReason.LOST:
            return
        line = describe(event)
        if line and not (isinstance(event, CheckpointSaved) and not self._saved_line_due()):
            stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
            self._append(self._attempt.log, f"{stamp} {line}\n")
        if isinstance(event, _ROWS) or (isinstance(event, Progress) and self._row_due()):
            self._append(self._attempt.metrics, to_row(event, time.time_ns() // 1_000_000))

    def _row_due(self) -> bool:
        """Once a second at first, then ever more rarely: a chart needs no million points."""
        now = self._now()
        if now - self._last_row < max(1.0, (now - self._began) / _MOST_ROWS):
            return False
        self._last_row = now
        return True

    def _saved_line_due(self) -> bool:
        now, last = self._now(), self._last_saved_line
        if last is not None and now - last < _SAVED_LINE_EVERY_S:
            return False
        self._last_saved_line = now
        return True

    def _append(self, path: Path, text: str) -> None:
        try:
            with path.open("a") as file:
                file.write(text)
        except OSError:
            self.failures += 1


class Tee:
    """Tells several reporters, one event at a time: the writer thread reports as well."""

    def __init__(self, *reporters: Reporter) -> None:
        self._reporters = reporters
        self._lock = threading.Lock()

    def report(self, event: Event) -> None:
        """Pass one event on."""
        with self._lock:
            for reporter in self._reporters:
                reporter.report(event)
