"""The history of a job over all its attempts, read from its directory: one clean curve, attempts marked.

    history = read_history(jobdir)
    history.attempts      # when, where, resumed at which step, how it ended
    history.progress      # loss and accuracy over the epochs, without what a kill made void

What an attempt computed beyond the checkpoint that the next one resumed from never counted, so it is
cut from the curves; the log keeps it, for people. Knows nothing of Redis.
"""

import dataclasses
import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.documents import read_regular, text, whole
from shared.durable import from_json
from shared.errors import DamagedFile
from shared.events import AttemptStarted, CheckpointRejected, EpochEnded, Event, Progress, event_of
from shared.jobdir import AttemptDir, JobDir

MAX_POINTS = 1500
"""Points of one curve that a page gets: more than it has pixels."""

LOG_TAIL_BYTES = 48 * 1024
"""What a page shows of one attempt's log; the whole file is a download away."""


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
    after: str = ""
    """Why the attempt before it ended, in words; a killed one could not write that down itself."""
    rejected: tuple[str, ...] = ()
    """Checkpoints that it found damaged and set aside."""


@dataclass(frozen=True)
class Point:
    """A value of a curve at a step."""

    step: int
    epoch: float
    """Epochs done, with the share of the running one."""
    logs: dict[str, float]


@dataclass(frozen=True)
class LogEntry:
    """One line of an attempt's log."""

    attempt: int
    at_ms: int
    """0 for a line without a time."""
    text: str


@dataclass(frozen=True)
class History:
    """A job's attempts and the rows that count."""

    attempts: tuple[Attempt, ...] = ()
    progress: tuple[Point, ...] = ()
    """Running means within the epochs."""
    epochs: tuple[Point, ...] = ()
    """The end of each epoch, validation included."""
    marks: tuple[Point, ...] = ()
    """Where each later attempt took over; its number is in ``logs["attempt"]``."""


def read_history(jobdir: JobDir) -> History:
    """The history of a job."""
    attempts: list[Attempt] = []
    progress: list[Point] = []
    epochs: list[Point] = []
    marks: list[Point] = []
    for directory in jobdir.attempt_dirs():
        rows = list(read_rows(directory.metrics))
        attempt = _attempt(directory, rows)
        attempts.append(attempt)
        if attempt.started is not None:
            _cut(progress, attempt.started.step)
            _cut(epochs, attempt.started.step)
            if attempt.number > 1:
                marks.append(Point(attempt.started.step, 0.0, {"attempt": attempt.number}))
        progress += [
            Point(row.step, _epochs_done(row), dict(row.logs))
            for row in rows
            if isinstance(row, Progress) and row.phase == "train" and row.logs
        ]
        epochs += [Point(row.step, row.epoch + 1.0, dict(row.logs)) for row in rows if isinstance(row, EpochEnded)]
    return History(tuple(attempts), _thin(progress), _thin(epochs), _at_epochs(marks, [*progress, *epochs]))


def read_rows(path: Path, tail_bytes: int | None = None) -> Iterator[Event]:
    """The events in a ``metrics.jsonl``, or in the last ``tail_bytes`` of it. A torn last line is left out."""
    for line in _lines(path, tail_bytes):
        try:
            row = from_json(line)
        except ValueError:  # torn by a kill
            continue
        event = event_of(row.get("type"), row) if isinstance(row, dict) else None
        if event is not None:
            yield event


def read_log(jobdir: JobDir, limit: int = 400) -> tuple[LogEntry, ...]:
    """The last ``limit`` lines of the logs of all attempts, the oldest first."""
    found: list[LogEntry] = []
    for directory in reversed(jobdir.attempt_dirs()):
        found = [_log_entry(directory.number, line) for line in _lines(directory.log, LOG_TAIL_BYTES)] + found
        if len(found) >= limit:
            break
    return tuple(found[-limit:])


def _log_entry(attempt: int, line: str) -> LogEntry:
    stamp, _, said = line.partition(" ")
    try:
        at = dt.datetime.fromisoformat(stamp)
    except ValueError:  # a line that goes on from the one before
        return LogEntry(attempt, 0, line)
    return LogEntry(attempt, int(at.timestamp() * 1000), said)


def _lines(path: Path, tail_bytes: int | None) -> list[str]:
    try:
        content = read_regular(path, tail_bytes) or b""
    except DamagedFile:  # something else is in its place
        return []
    lines = content.decode(errors="replace").split("\n")
    # The first line of a tail is probably cut; the last one is empty, or still being written.
    return lines[1 if len(content) == tail_bytes else 0 : -1]


def _attempt(directory: AttemptDir, rows: Sequence[Event]) -> Attempt:
    record = directory.read_record()
    started = next((row for row in rows if isinstance(row, AttemptStarted)), None)
    steps = [row.step for row in rows if isinstance(row, Progress | EpochEnded)]
    return Attempt(
        number=directory.number,
        host=text(record, "host"),
        pid=whole(record, "pid"),
        started_ms=whole(record, "started_ms") or int(directory.path.stat().st_ctime * 1000),
        started=started,
        result=directory.read_result() or {},
        last_step=max(steps, default=started.step if started else 0),
        after=text(directory.read_claim(), "after"),
        rejected=tuple(f"{row.name}: {row.reason}" for row in rows if isinstance(row, CheckpointRejected)),
    )


def _cut(curve: list[Point], step: int) -> None:
    while curve and curve[-1].step > step:
        curve.pop()


def _epochs_done(row: Progress) -> float:
    return row.step / row.batches if row.batches else float(row.epoch)


def _at_epochs(marks: list[Point], points: list[Point]) -> tuple[Point, ...]:
    """``marks`` at their place on the epochs' axis, which any point with a step tells."""
    per_step = next((point.epoch / point.step for point in reversed(points) if point.step), 0.0)
    return tuple(dataclasses.replace(mark, epoch=mark.step * per_step) for mark in marks)


def _thin(points: list[Point]) -> tuple[Point, ...]:
    if len(points) <= MAX_POINTS:
        return tuple(points)
    stride = len(points) / (MAX_POINTS - 1)
    return (*(points[int(i * stride)] for i in range(MAX_POINTS - 1)), points[-1])
