"""When a checkpoint is due, and the thread that writes it while training goes on.

    if saver.due(step, epoch_end=False):
        saver.save(contents)              # returns at once while one is written, waits while another one waits
    saver.save_now(contents)              # on a stop: returns when it is durable, or has failed
    saver.close()

Epoch ends are not saved more often than once a second nor so often that writing would take more
than half a percent of the time to compute (waiting for the disk takes none): a job whose epochs take
50 ms would do little else. While one is being written none is due by time, since a second snapshot
would need the memory of all state again. A stop, step 0, every N steps and the end of training are
saved whatever it takes: what was given to be saved is never replaced, training waits for a disk that
is slower. A write that fails is counted and reported; training goes on and the next one
is tried.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from keepfit.shared.checkpoints import keep as retention
from keepfit.shared.checkpoints.disk import Disk
from keepfit.shared.jobs.directory import AttemptDir, JobDir
from keepfit.shared.jobs.events import CheckpointFailed, CheckpointSaved
from keepfit.worker.training import finite
from keepfit.worker.training.checkpoints import Contents, GivenUp, Saved, write
from keepfit.worker.training.interfaces import Reporter, StopReason, StopSignal
from keepfit.worker.training.program import CheckpointPolicy

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
        if what := finite.fault(contents.tensors, contents.trainer.get("not_finite", ())):
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
