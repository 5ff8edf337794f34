"""The attempts of a job and its log, read from its directory: from the heads and tails of files, however long they are.

    read_history(jobdir).attempts     # when, where, resumed at which step, how it ended
    read_log(jobdir)                  # the last lines, of all attempts

The curves are in ``curves``. Knows nothing of Redis.
"""

import contextlib
import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keepfit.shared.errors import DamagedFile
from keepfit.shared.jobs.directory import AttemptDir, JobDir
from keepfit.shared.jobs.documents import AttemptFile, ClaimFile, ResultFile, open_regular
from keepfit.shared.jobs.events import AttemptStarted, CheckpointRejected, EpochEnded, Progress
from keepfit.shared.reasons import NONE, Reason
from keepfit.web.jobs.rows import first_rows, last_row, lines_of

LOG_TAIL_BYTES = 48 * 1024
"""What a page shows of one attempt's log; the whole file is a download away."""
LOG_LINES = 400
BLOCK_BYTES = 64 * 1024


@dataclass(frozen=True)
class Attempt:
    """One attempt, as its directory tells it."""

    number: int
    host: str
    pid: int
    started_ms: int
    started: AttemptStarted | None
    """None while it has not restored its state."""
    result: dict[str, Any]
    """Empty if it did not end by itself."""
    last_step: int
    """The last step that it reported."""
    previous_end: Reason = NONE
    """Why the attempt before it ended; a killed one could not write that down itself."""
    rejected: tuple[str, ...] = ()
    """Checkpoints that it found damaged and set aside."""


@dataclass(frozen=True)
class LogEntry:
    """One line of an attempt's log."""

    attempt: int
    at_ms: int
    """0 for a line without a time."""
    text: str


@dataclass(frozen=True)
class LogTail:
    """The end of a job's log."""

    lines: tuple[LogEntry, ...]
    whole: bool
    """False if earlier lines are left out."""


@dataclass(frozen=True)
class History:
    """What a job has been through."""

    attempts: tuple[Attempt, ...] = ()


def read_history(jobdir: JobDir) -> History:
    """All attempts of a job, the first one first. Costs the same whatever they have computed."""
    return History(tuple(_attempt(directory) for directory in jobdir.attempt_dirs()))


def read_log(jobdir: JobDir, limit: int = LOG_LINES) -> LogTail:
    """The last ``limit`` lines of the logs of all attempts, the oldest first."""
    found: list[LogEntry] = []
    attempts, uncut = jobdir.attempt_dirs(), True
    for directory in reversed(attempts):
        found = [_log_entry(directory.number, line) for line in lines_of(directory.log, LOG_TAIL_BYTES)] + found
        uncut = uncut and _size(directory.log) <= LOG_TAIL_BYTES
        if len(found) >= limit:
            uncut = uncut and len(found) == limit and directory is attempts[0]
            break
    return LogTail(tuple(found[-limit:]), uncut)


def whole_log(jobdir: JobDir) -> Iterator[bytes]:
    """The logs of all attempts as one text, in blocks; each begins with a line that names its attempt."""
    for directory in jobdir.attempt_dirs():
        yield f"# attempt {directory.number}\n".encode()
        with contextlib.suppress(DamagedFile):  # something else is in its place
            if file := open_regular(directory.log):
                with file:
                    yield from iter(lambda: file.read(BLOCK_BYTES), b"")


def _log_entry(attempt: int, line: str) -> LogEntry:
    stamp, _, said = line.partition(" ")
    try:
        at_ms = int(dt.datetime.fromisoformat(stamp).timestamp() * 1000)
    except (ValueError, OverflowError):  # a line that goes on from the one before
        return LogEntry(attempt, 0, line)
    return LogEntry(attempt, at_ms, said)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _attempt(directory: AttemptDir) -> Attempt:
    record, claim = AttemptFile.read_or_none(directory.record), ClaimFile.read_or_none(directory.claim)
    result = ResultFile.read_or_none(directory.result)
    begun = first_rows(directory.metrics, AttemptStarted, CheckpointRejected)
    started = next((row for row in begun if isinstance(row, AttemptStarted)), None)
    last = last_row(directory.metrics, Progress, EpochEnded)
    return Attempt(
        number=directory.number,
        host=record.host if record else "",
        pid=record.pid if record else 0,
        started_ms=(record and record.started_ms) or int(directory.path.stat().st_ctime * 1000),
        started=started,
        result=result.model_dump() if result else {},
        last_step=last.step if isinstance(last, Progress | EpochEnded) else started.step if started else 0,
        previous_end=claim.previous_end if claim else NONE,
        rejected=tuple(f"{row.name}: {row.reason}" for row in begun if isinstance(row, CheckpointRejected)),
    )
