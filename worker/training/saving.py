"""Checkpoints: written so that they exist as a whole or not at all, read only when every byte is right, and when.

    saved = write(attempt, contents, disk)             # durable when this returns
    loaded = load_newest(jobdir, attempt, reporter)    # damaged ones are set aside, the one before is used

    if saver.due(step, epoch_end=False):
        saver.save(contents)              # returns at once while one is written, waits while another one waits
    saver.save_now(contents)              # on a stop: returns when it is durable, or has failed
    saver.close()

Protocol: the history up to here (fsynced), a hidden directory, the files (hashed while written, fsynced),
the manifest, fsync of the directory, rename, fsync of its parent. Until the rename nobody sees it; after
it, it is whole.

Epoch ends are not saved more often than once a second nor so often that writing would take more
than half a percent of the time to compute (waiting for the disk takes none): a job whose epochs take
50 ms would do little else. While one is being written none is due by time, since a second snapshot
would need the memory of all state again. A stop, step 0, every N steps and the end of training are
saved whatever it takes: what was given to be saved is never replaced, training waits for a disk that
is slower. A write that fails is counted and reported; training goes on and the next one is tried.
"""

import contextlib
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keepfit.shared.checkpoints import keep as retention
from keepfit.shared.checkpoints.disk import Disk
from keepfit.shared.checkpoints.manifest import (
    NAME,
    STATE,
    TEMP_PREFIX,
    TRAINER,
    Checkpoint,
    Manifest,
    checkpoints_in,
    checkpoints_of,
    directory_name,
    encode,
    read_history,
    read_manifest,
    read_verified,
)
from keepfit.shared.errors import CorruptCheckpoint
from keepfit.shared.jobs.directory import AttemptDir, JobDir
from keepfit.shared.jobs.events import CheckpointFailed, CheckpointRejected, CheckpointSaved
from keepfit.worker.training import meaning
from keepfit.worker.training.interfaces import Reporter, StopReason, StopSignal
from keepfit.worker.training.model_state import Array, Tensor, blocks, parse_tensors
from keepfit.worker.training.program import CheckpointPolicy
from keepfit.worker.training.trainer_state import (
    History,
    Prefix,
    decode_trainer,
    encode_trainer,
    history_of,
    parse_history,
)

CORRUPT_SUFFIX = ".corrupt"


@dataclass(frozen=True)
class Contents:
    """What goes into one checkpoint."""

    step: int
    tensors: list[Tensor]
    trainer: Mapping[str, Any]
    """Cursor, seed, callbacks, digests, plan, environment; JSON."""
    score: float | None = None
    history: Prefix = field(default_factory=lambda: History().now())


@dataclass(frozen=True)
class Loaded:
    """A checkpoint in memory, verified."""

    checkpoint: Checkpoint
    tensors: dict[str, Array]
    trainer: dict[str, Any]
    history: History


@dataclass(frozen=True)
class Saved:
    """A checkpoint that has become durable."""

    checkpoint: Checkpoint
    bytes: int
    seconds: float


class GivenUp(Exception):
    """The checkpoint is not wanted any more: the lease was lost while it was written."""


def write(
    attempt: AttemptDir, contents: Contents, disk: Disk, still_wanted: Callable[[], bool] = lambda: True
) -> Saved:
    """Make ``contents`` durable as a checkpoint of ``attempt``.

    Raises:
        OSError: the disk refused; nothing is left behind that a reader would see.
        GivenUp: ``still_wanted`` said no before the rename.
    """
    began = time.perf_counter()
    folder = attempt.checkpoints
    if not folder.exists():
        disk.make_dir(folder)
        disk.fsync_dir(attempt.path)
    temp = folder / f"{TEMP_PREFIX}{uuid.uuid4().hex[:12]}"
    found = Checkpoint(folder / directory_name(contents.step), contents.step, attempt.number)
    try:
        contents.history.write(attempt.history, disk)
        manifest = _write_files(temp, contents, disk)
        if not still_wanted():
            raise GivenUp
        if _is_there(found, attempt):
            disk.remove(temp)
        else:
            disk.rename(temp, found.path)
        disk.fsync_dir(folder)
    except BaseException:
        with contextlib.suppress(OSError):  # what could not be written may be impossible to remove as well
            disk.remove(temp)
        raise
    return Saved(found, manifest.bytes, time.perf_counter() - began)


def _is_there(found: Checkpoint, attempt: AttemptDir) -> bool:
    """Whether it has been saved before: the same step of the same attempt has the same content.

    A stranger of its name, or what is left of a damaged one, is set aside.
    """
    if found in checkpoints_in(attempt):
        with contextlib.suppress(CorruptCheckpoint):
            read_manifest(found)
            return True
    if found.path.exists() or found.path.is_symlink():
        set_aside(found)
    return False


def _write_files(temp: Path, contents: Contents, disk: Disk) -> Manifest:
    disk.make_dir(temp)
    files = {
        STATE: disk.write(temp / STATE, blocks(contents.tensors)),
        TRAINER: disk.write(temp / TRAINER, [encode_trainer(contents.trainer)]),
    }
    manifest = Manifest(contents.step, files, contents.score, contents.history.record)
    disk.write(temp / NAME, [encode(manifest)])
    disk.fsync_dir(temp)
    return manifest


def load(checkpoint: Checkpoint) -> Loaded:
    """Read ``checkpoint``. Raises CorruptCheckpoint unless every byte of it is right."""
    manifest = read_manifest(checkpoint)
    found = decode_trainer(read_verified(checkpoint, manifest, TRAINER), manifest.format)
    epochs = found["cursor"]["epoch"]
    if found["step"] != checkpoint.step:
        raise CorruptCheckpoint(f"its trainer state is the one of step {found['step']:,}")
    if manifest.format == 1:
        so_far = history_of(found.pop("history", None), epochs)
    else:
        so_far = parse_history(read_history(checkpoint, manifest), epochs)
    return Loaded(checkpoint, parse_tensors(read_verified(checkpoint, manifest, STATE)), found, so_far)


def load_newest(
    jobdir: JobDir, reporter: Reporter, up_to_attempt: int | None = None, aside: bool = True
) -> Loaded | None:
    """The newest valid checkpoint over all attempts (up to one), or None. See ``valid``."""
    return next(valid(jobdir, reporter, up_to_attempt, aside), None)


def valid(jobdir: JobDir, reporter: Reporter, up_to_attempt: int | None = None, aside: bool = True) -> Iterator[Loaded]:
    """The valid checkpoints over all attempts (up to one), the newest first; each is read when it is asked for.

    Damaged ones that are met are renamed to ``*.corrupt`` if ``aside``, so that nobody meets them twice, and reported.
    """
    tried: set[Path] = set()
    again = True
    while again:
        again = False
        for checkpoint in checkpoints_of(jobdir, up_to_attempt):
            if checkpoint.path in tried:
                continue
            try:
                found = load(checkpoint)
            except CorruptCheckpoint as exc:
                if not checkpoint.path.exists():  # pruned meanwhile by a writer that has saved a newer one
                    again = True
                    continue
                reject(checkpoint, str(exc), reporter, aside)
            else:
                yield found
            tried.add(checkpoint.path)


def reject(checkpoint: Checkpoint, reason: str, reporter: Reporter, aside: bool = True) -> None:
    """Report a checkpoint that is not to be used, and set it aside."""
    if aside:
        set_aside(checkpoint)
    reporter.report(CheckpointRejected(f"attempt {checkpoint.attempt}, {checkpoint.path.name}", reason))


def set_aside(checkpoint: Checkpoint) -> None:
    """Rename a damaged checkpoint, for people to look at; its name then says what it is."""
    target = checkpoint.path.with_name(checkpoint.path.name + CORRUPT_SUFFIX)
    if target.exists():
        target = checkpoint.path.with_name(f"{checkpoint.path.name}.{uuid.uuid4().hex[:8]}{CORRUPT_SUFFIX}")
    with contextlib.suppress(OSError):  # a read-only disk: it stays where it is and is skipped each time
        checkpoint.path.rename(target)


MIN_SPACING_S = 1.0
MAX_SHARE = 0.005
_HEADROOM_BYTES = 1 << 20


@dataclass(frozen=True)
class Destination:
    """Where checkpoints go, and how."""

    jobdir: JobDir
    attempt: AttemptDir
    disk: Disk


@dataclass(frozen=True)
class Fault:
    """A state that is no number, in words."""

    step: int
    what: str


class Saver:
    """Saves the checkpoints of one attempt."""

    def __init__(
        self,
        destination: Destination,
        policy: CheckpointPolicy,
        reporter: Reporter,
        stop: StopSignal,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._to, self._policy, self._reporter, self._stop, self._now = destination, policy, reporter, stop, now
        self._wake = threading.Condition()
        self._waiting: Contents | None = None
        self._writing = self._closed = False
        self._last_s, self._cost_s = now(), 0.0
        self.failures = 0
        self.fault: Fault | None = None
        self.last_saved_step: int | None = None
        self._thread = threading.Thread(target=self._work, name="checkpoints", daemon=True)
        self._thread.start()

    def due(self, step: int, *, epoch_end: bool) -> bool:
        """Whether the state at ``step`` should be saved now."""
        every = self._policy.every_steps
        if every and step % every == 0:
            return True
        if self._busy():  # a second snapshot would need as much memory again
            return False
        since, interval = self._now() - self._last_s, self._policy.interval_s
        spacing = min(interval, max(MIN_SPACING_S, self._cost_s / MAX_SHARE))
        return since >= interval or (epoch_end and self._policy.each_epoch and since >= spacing)

    def _busy(self) -> bool:
        with self._wake:
            return self._writing or self._waiting is not None

    def steps_until_due(self, step: int) -> int | None:
        """Steps to the next checkpoint that is due by its number; None if there is none."""
        every = self._policy.every_steps
        return every - step % every if every else None

    def save(self, contents: Contents) -> None:
        """Have ``contents`` written. Nothing is ever replaced: if another one still waits, so does the caller."""
        with self._wake:
            self._wake.wait_for(lambda: self._waiting is None)
            self._last_s = self._now()
            self._waiting = contents
            self._wake.notify_all()

    def save_now(self, contents: Contents) -> bool:
        """Write ``contents`` and return whether it is durable."""
        self.save(contents)
        self.flush()
        return self.last_saved_step == contents.step

    def flush(self) -> None:
        """Wait until nothing waits and nothing is being written."""
        with self._wake:
            self._wake.wait_for(lambda: not self._writing and self._waiting is None)

    def close(self) -> None:
        """Finish what is being written, and end the thread."""
        with self._wake:
            self._closed = True
            self._wake.notify_all()
        self._thread.join()

    def _work(self) -> None:
        while True:
            with self._wake:
                self._writing = False
                self._wake.notify_all()
                self._wake.wait_for(lambda: self._closed or self._waiting is not None)
                contents, self._waiting = self._waiting, None
                if contents is None:
                    return
                self._writing = True
                self._wake.notify_all()  # there is room for the next one
            if self._wanted():
                self._write(contents)
            del contents  # as big as all state: nothing to keep while there is nothing to do

    def _wanted(self) -> bool:
        return self._stop.reason is not StopReason.LOST

    def _write(self, contents: Contents) -> None:
        began = time.thread_time()
        if what := meaning.fault(contents.tensors, contents.trainer.get("not_finite", ())):
            self.fault = self.fault or Fault(contents.step, what)  # never written as if it were a good one
            return
        try:
            self._check_space(contents)
            saved = write(self._to.attempt, contents, self._to.disk, self._wanted)
        except GivenUp:
            return
        except Exception as exc:  # noqa: BLE001 - the thread must live on whatever a disk does; it is reported, not hidden
            self._failed(contents.step, exc)
            return
        self.last_saved_step = contents.step
        self._report(saved, contents)
        self._prune(saved)
        self._cost_s = time.thread_time() - began

    def _prune(self, saved: Saved) -> None:
        try:
            retention.prune(self._to.jobdir, saved.checkpoint, self._to.disk)
        except OSError as exc:
            self._failed(saved.checkpoint.step, exc, "an old checkpoint could not be removed: ")

    def _check_space(self, contents: Contents) -> None:
        needed = sum(tensor.nbytes for tensor in contents.tensors) + _HEADROOM_BYTES
        free = self._to.disk.free_bytes(self._to.attempt.path)
        if free < needed:
            raise OSError(f"it needs {needed / 1e6:,.0f} MB, {free / 1e6:,.0f} MB are free")

    def _failed(self, step: int, exc: Exception, what: str = "") -> None:
        self.failures += 1
        reason = (exc.strerror or str(exc)) if isinstance(exc, OSError) else f"{type(exc).__name__}: {exc}"
        self._reporter.report(CheckpointFailed(step, what + reason, self.failures))

    def _report(self, saved: Saved, contents: Contents) -> None:
        cursor = contents.trainer["cursor"]
        event = CheckpointSaved(contents.step, cursor["epoch"], cursor["batch"], saved.bytes, saved.seconds)
        self._reporter.report(event)
