"""One attempt of a job, whatever its kind: its session, and the end that is committed to disk.

    session = Session(jobdir, attempt, reporter, stop)
    result = attempt_with(work, session)      # work is a kind's run: it takes the session

All of it happens under ``attempt.path``; ``result.json`` is written last and says that the rest is whole.
An attempt that has lost its lease writes nothing more. What is done in between belongs to ``worker.kinds``.
"""

import dataclasses
import os
import socket
import time
import traceback
from collections.abc import Callable

from keepfit.shared.checkpoints.disk import Disk
from keepfit.shared.errors import StorageFull
from keepfit.shared.jobs.directory import AttemptDir, JobDir
from keepfit.shared.jobs.documents import AttemptFile, ResultFile
from keepfit.shared.jobs.events import AttemptStarted, LogLine
from keepfit.shared.jobs.states import Outcome
from keepfit.shared.reasons import Code, Reason
from keepfit.worker.training import bits, failures
from keepfit.worker.training.interfaces import AttemptResult, Reporter, StopReason, StopSignal
from keepfit.worker.training.loop import Stopped


@dataclasses.dataclass(frozen=True)
class Session:
    """What an attempt works with: its place on disk, its listeners, its stop signal."""

    jobdir: JobDir
    attempt: AttemptDir
    reporter: Reporter
    stop: StopSignal
    disk: Disk = dataclasses.field(default_factory=Disk)
    chunk_steps: int | None = None
    """A fixed number of steps a call of the engine; None adapts to the speed."""

    def say(self, text: str, level: str = "info") -> None:
        """A line for people."""
        self.reporter.report(LogLine(text, level))


Work = Callable[[Session], AttemptResult]
"""What an attempt does in its session. Raises whatever ends the attempt."""


def attempt_with(work: Work, session: Session) -> AttemptResult:
    """Do ``work(session)``; however it ends, turn the end into a result and commit it.

    Raises:
        StorageFull: not even the result could be written; the job can go on once there is space.
    """
    try:
        result = work(session)
    except Stopped as exc:
        result = AttemptResult(Outcome.STOPPED, _stop_reason(exc, session.stop), step=exc.step)
    except StorageFull:
        raise
    except Exception as exc:  # whatever user code, Keras or TensorFlow raise ends this attempt, with a reason
        if failures.disk_refused(exc):
            raise storage_full(session, exc) from exc
        result = AttemptResult(Outcome.FAILED, failures.reason_of(exc))
        session.say(str(result.reason), "error")
        if not failures.is_expected(exc):
            session.say(traceback.format_exc(), "debug")
    return _commit(session, result)


def write_record(session: Session, **more: object) -> None:
    """Write ``attempt.json``: where the attempt runs, and what its kind knows of it. Raises StorageFull."""
    record = AttemptFile(
        attempt=session.attempt.number,
        host=socket.gethostname(),
        pid=os.getpid(),
        started_ms=time.time_ns() // 1_000_000,
        environment=bits.fingerprint(),
        **more,
    )
    try:
        record.write(session.attempt.record)
    except OSError as exc:
        raise storage_full(session, exc) from exc


def started(session: Session) -> AttemptStarted:
    """The event that says that the attempt begins to compute, from the beginning."""
    return AttemptStarted(session.attempt.number, socket.gethostname(), os.getpid(), 0)


def _stop_reason(exc: Stopped, stop: StopSignal) -> Reason:
    code = Code.STEP_STOPPED if exc.durable else Code.STEP_STOPPED_UNSAVED
    return Reason.of(code, step=exc.step, by=str(stop.reason))


def _commit(session: Session, result: AttemptResult) -> AttemptResult:
    if session.stop.reason is StopReason.LOST:
        return AttemptResult(Outcome.INTERRUPTED, Reason.of(Code.LEASE_LOST), step=result.step)
    try:
        ResultFile(**dataclasses.asdict(result)).write(session.attempt.result)
    except OSError as exc:
        raise storage_full(session, exc) from exc
    return result


def storage_full(session: Session, exc: BaseException) -> StorageFull:
    """What to raise when the attempt's directory takes no write, because of ``exc``."""
    if not session.attempt.path.is_dir():
        return StorageFull(Reason.of(Code.ATTEMPT_REMOVED))
    cause = (isinstance(exc, OSError) and exc.strerror) or exc
    return StorageFull(Reason.of(Code.DISK_FULL, error=str(cause), directory=str(session.jobdir.path.parent.parent)))
