"""The curves of a job over all its attempts: read once, then only what was added, and never too many points.

    curves = read_curves(jobdir)
    curves.progress       # the metrics over the epochs, without what a kill made void

What an attempt computed beyond the checkpoint that the next one resumed from never counted, so it is cut. Of a long
curve as many points are kept as a page can show, the least and the greatest values among them.
"""

import dataclasses
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from keepfit.shared.errors import DamagedFile
from keepfit.shared.jobs.directory import JobDir
from keepfit.shared.jobs.documents import open_regular
from keepfit.shared.jobs.events import AttemptStarted, EpochEnded, Event, Progress, from_row

MAX_POINTS = 1500
"""Points of one curve that a page gets: more than it has pixels."""
KEPT_POINTS = 2000
"""Of one curve of one attempt, between two reads; it may grow to twice as many."""
ALL_POINTS = 100_000
"""Of all curves of all jobs, about 35 MB: the files asked for the longest ago are forgotten first."""
BLOCK_BYTES = 256 * 1024
END_BYTES = 256
LONGEST_LINE = 1024 * 1024


@dataclass(frozen=True)
class Point:
    """A value of a curve at a step."""

    step: int
    epoch: float
    """Epochs done, with the share of the running one."""
    logs: dict[str, float]


@dataclass(frozen=True)
class Curves:
    """The rows of a job that count."""

    progress: tuple[Point, ...] = ()
    """Running means within the epochs."""
    epochs: tuple[Point, ...] = ()
    """The end of each epoch, validation included."""
    marks: tuple[Point, ...] = ()
    """Where each later attempt took over; its number is in ``logs["attempt"]``."""


@dataclass
class _Read:
    """What has been read of one file."""

    offset: int = 0
    end: bytes = b""
    """The last bytes before it: where they are others, it is another file."""
    started: AttemptStarted | None = None
    progress: list[Point] = field(default_factory=list)
    epochs: list[Point] = field(default_factory=list)

    def take(self, event: Event | None) -> None:
        if isinstance(event, AttemptStarted):
            self.started = self.started or event
        elif isinstance(event, EpochEnded):
            _append(self.epochs, Point(event.step, event.epoch + 1.0, dict(event.logs)))
        elif isinstance(event, Progress) and event.phase == "train" and event.logs:
            _append(self.progress, Point(event.step, _epochs_done(event), dict(event.logs)))


def _up_to_date(path: Path, read: _Read) -> _Read:
    """``read`` with what has been added to the file since, or the whole of another file in its place."""
    try:
        file = open_regular(path)
    except DamagedFile:  # something else is in its place
        file = None
    if file is None:
        return _Read()
    with file:
        file.seek(read.offset - len(read.end))
        if file.read(len(read.end)) != read.end:
            read = _Read()
            file.seek(0)
        for line, end in _new_lines(iter(lambda: file.read(BLOCK_BYTES), b""), read.offset):
            read.take(from_row(line.decode(errors="replace")))
            read.offset = end
        file.seek(max(0, read.offset - END_BYTES))
        read.end = file.read(min(read.offset, END_BYTES))
    return read


class _Kept:
    """The files read so far, within a bound."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files: OrderedDict[Path, tuple[_Read, threading.Lock]] = OrderedDict()

    def get(self, path: Path) -> _Read:
        """The rows of ``path`` as it is now."""
        with self._lock:
            read, lock = self._files.setdefault(path, (_Read(), threading.Lock()))
            self._files.move_to_end(path)
        with lock:
            read = _up_to_date(path, read)
            answer = dataclasses.replace(read, progress=list(read.progress), epochs=list(read.epochs))
        with self._lock:
            self._files[path] = read, lock
            self._forget_oldest()
        return answer

    def _forget_oldest(self) -> None:
        points = sum(len(read.progress) + len(read.epochs) for read, _ in self._files.values())
        while points > ALL_POINTS and len(self._files) > 1:
            _, (read, _) = self._files.popitem(last=False)
            points -= len(read.progress) + len(read.epochs)


_KEPT = _Kept()


def read_curves(jobdir: JobDir) -> Curves:
    """The curves of a job."""
    progress: list[Point] = []
    epochs: list[Point] = []
    marks: list[Point] = []
    for attempt in jobdir.attempt_dirs():
        read = _KEPT.get(attempt.metrics)
        if read.started is not None:
            _cut(progress, read.started.step)
            _cut(epochs, read.started.step)
            if attempt.number > 1:
                marks.append(Point(read.started.step, 0.0, {"attempt": attempt.number}))
        progress += read.progress
        epochs += read.epochs
    on_axis = _at_epochs(marks, [*progress, *epochs])
    return Curves(tuple(thin(progress, MAX_POINTS)), tuple(thin(epochs, MAX_POINTS)), on_axis)


def read_epochs(jobdir: JobDir, keep: bool = True) -> list[Point]:
    """The ends of a job's epochs that count; of very many the extremes, and others between.

    ``keep``: it will be asked again soon; then only what was added is read.
    """
    epochs: list[Point] = []
    for attempt in jobdir.attempt_dirs():
        read = _KEPT.get(attempt.metrics) if keep else _up_to_date(attempt.metrics, _Read())
        if read.started is not None:
            _cut(epochs, read.started.step)
        epochs += read.epochs
    return epochs


def thin(points: list[Point], most: int) -> list[Point]:
    """At most ``most`` of ``points``: the first, the last, the extremes of each stretch, and others evenly between."""
    if len(points) <= most:
        return points
    names = {name for point in (points[0], points[len(points) // 2], points[-1]) for name in point.logs}
    stretches = max(1, most // (4 * max(1, len(names))))
    size = -(-len(points) // stretches)
    kept = {0, len(points) - 1}
    for start in range(0, len(points), size):
        stretch = range(start, min(start + size, len(points)))
        for name in names:
            values = [(value, i) for i in stretch if _finite(value := points[i].logs.get(name))]
            if values:
                kept |= {min(values)[1], max(values)[1]}
    others = [i for i in range(len(points)) if i not in kept]
    room = max(0, most - len(kept))
    kept |= {others[i * len(others) // room] for i in range(room)} if room else set()
    return [points[i] for i in sorted(kept)][:most]


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _append(curve: list[Point], point: Point) -> None:
    curve.append(point)
    if len(curve) > 2 * KEPT_POINTS:
        curve[:] = thin(curve, KEPT_POINTS)


def _new_lines(blocks: Iterator[bytes], offset: int) -> Iterator[tuple[bytes, int]]:
    """Each whole line of ``blocks``, and where in the file it ends; between two blocks others get their turn."""
    rest = b""
    for block in blocks:
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            offset += len(line) + 1
            yield line, offset
        if len(rest) > LONGEST_LINE:  # no row of ours
            rest, offset = b"", offset + len(rest)
        time.sleep(0)


def _cut(curve: list[Point], step: int) -> None:
    while curve and curve[-1].step > step:
        curve.pop()


def _epochs_done(row: Progress) -> float:
    return row.step / row.batches if row.batches else float(row.epoch)


def _at_epochs(marks: list[Point], points: Sequence[Point]) -> tuple[Point, ...]:
    """``marks`` at their place on the epochs' axis, which any point with a step tells."""
    per_step = next((point.epoch / point.step for point in reversed(points) if point.step), 0.0)
    return tuple(dataclasses.replace(mark, epoch=mark.step * per_step) for mark in marks)
