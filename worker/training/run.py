"""One attempt of a job, from its directory to its result.

    result = run(spec, jobdir, attempt, reporter, stop)

The synopsis: prepare (build, restore or initialise), train, finalise (test, export), commit. All of
it happens under ``attempt.path``; ``result.json`` is written last and says that the rest is whole.
An attempt that has lost its lease writes nothing more.
"""

import dataclasses
import errno
import os
import socket
import time
import traceback
from typing import Any

from shared.durable import write_json
from shared.errors import StorageFull
from shared.events import AttemptStarted, Event, LogLine
from shared.jobdir import AttemptDir, JobDir
from shared.spec import EvaluateSpec, TrainSpec
from shared.states import Outcome
from worker.training import compiled, environment, failures, retention, state
from worker.training.disk import Disk
from worker.training.engine import Evaluator
from worker.training.evaluate import TEST_BATCH_SIZE, evaluate
from worker.training.exports import export
from worker.training.files import DiskReporter, Tee
from worker.training.interfaces import AttemptResult, Reporter, StopReason, StopSignal
from worker.training.loop import Loop, Parts, Stopped, step_of
from worker.training.pace import Pace
from worker.training.program import Program
from worker.training.programs import program_of
from worker.training.resume import Start, prepare
from worker.training.saver import Destination, Saver

_EXPORTS_PER_STATE = 2


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


def run(
    spec: TrainSpec | EvaluateSpec, jobdir: JobDir, attempt: AttemptDir, reporter: Reporter, stop: StopSignal
) -> AttemptResult:
    """Execute one attempt in its directory, which the caller has made.

    Raises:
        StorageFull: not even the result could be written; the job can go on once there is space.
    """

    def work(session: Session) -> AttemptResult:
        if isinstance(spec, EvaluateSpec):
            _write_record(session, {"exact": True, "differs": [], "plan": "", "resumed": None})
            _report_start(session, None)
            return evaluate(spec, jobdir, session.reporter, stop)
        program = program_of(spec, jobdir.datasets, jobdir.digest, as_found=_begun_by_0_1(jobdir))
        return train(program, session)

    return attempt_with(work, Session(jobdir, attempt, Tee(reporter, DiskReporter(attempt, stop)), stop))


def _begun_by_0_1(jobdir: JobDir) -> bool:
    """Whether version 0.1, which wrote no notes, has begun this job: its data stay as it took them."""
    records = [attempt.read_record() for attempt in jobdir.attempt_dirs()]
    return any("plan" in record and "notes" not in record for record in records)


def attempt_with(work: Any, session: Session) -> AttemptResult:
    """Do ``work(session)``; however it ends, turn the end into a result and commit it."""
    try:
        result: AttemptResult = work(session)
    except Stopped as exc:
        result = AttemptResult(Outcome.STOPPED, _stop_reason(exc, session.stop), step=exc.step)
    except StorageFull:
        raise
    except Exception as exc:  # whatever user code, Keras or TensorFlow raise ends this attempt, with a reason
        if _disk_is_full(exc):
            raise _storage_full(session, exc) from exc
        result = AttemptResult(Outcome.FAILED, failures.reason_of(exc))
        session.say(result.reason, "error")
        if not failures.is_expected(exc):
            session.say(traceback.format_exc(), "debug")
    return _commit(session, result)


def train(program: Program, session: Session) -> AttemptResult:
    """Train ``program`` from where the earlier attempts have left it, to its end."""
    retention.sweep(session.jobdir, session.attempt.number, session.disk)
    start = prepare(program, session.jobdir, session.attempt, session.reporter)
    _write_record(session, {**_public(start.facts), "resumed": start.resumed, "notes": list(program.notes)})
    for note in program.notes:
        session.say(note, "warning")
    _warn_of_little_space(session, start)
    _report_start(session, start)
    saver = Saver(
        Destination(session.jobdir, session.attempt, session.disk), program.policy, session.reporter, session.stop
    )
    try:
        parts = Parts(
            program, start.model, start.engine, start.callbacks, saver, session.reporter, session.stop, start.facts,
            Pace(session.chunk_steps),
        )  # fmt: skip
        loop = Loop(parts, start.position)
        loop.run()
        saver.flush()
    finally:
        saver.close()
        start.engine.close()
        compiled.discard()
    return _finalise(program, start, session, loop.step, saver.failures)


def _finalise(program: Program, start: Start, session: Session, step: int, failed: int) -> AttemptResult:
    """Test and export. Killed in here, the next attempt comes back to this point by the last checkpoint."""
    start.callbacks.finalise()
    metrics = dict(start.position.history.last)
    if program.test is not None:
        found = Evaluator(start.model, program.test, TEST_BATCH_SIZE, program.resident_bytes).run(session.stop.is_set)
        if found is None:
            raise Stopped(step, durable=True)
        metrics = found
    if session.stop.reason is not StopReason.LOST:
        export(start.model, session.attempt, session.disk)
    session.say("finished: " + ", ".join(f"{name} {value:.4f}" for name, value in metrics.items()))
    extra = {"epochs": len(start.position.history), "checkpoint_failures": failed, **_public(start.facts)}
    if program.notes:
        extra["notes"] = list(program.notes)
    return AttemptResult(Outcome.FINISHED, "", metrics, state.weights_digest(start.model), step, extra)


def _public(facts: dict[str, Any]) -> dict[str, Any]:
    return {key: facts[key] for key in ("plan", "exact", "differs")}


def _write_record(session: Session, more: dict[str, Any]) -> None:
    record = {
        "version": 1,
        "attempt": session.attempt.number,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "started_ms": time.time_ns() // 1_000_000,
        "environment": environment.fingerprint(),
        **more,
    }
    try:
        write_json(session.attempt.record, record)
    except OSError as exc:
        raise _storage_full(session, exc) from exc


def _report_start(session: Session, start: Start | None) -> None:
    event: Event
    host, pid, number = socket.gethostname(), os.getpid(), session.attempt.number
    if start is None:
        event = AttemptStarted(number, host, pid, 0)
    else:
        cursor, facts, resumed = start.position.cursor, start.facts, start.resumed
        event = AttemptStarted(
            number, host, pid, step_of(cursor, start.engine.batches), cursor.epoch, cursor.batch,
            resumed["attempt"] if resumed else 0, facts["exact"], tuple(facts["differs"]), facts["plan"],
        )  # fmt: skip
    session.reporter.report(event)


def _warn_of_little_space(session: Session, start: Start) -> None:
    size = sum(tensor.nbytes for tensor in state.take(start.model))
    needed = size * (retention.LATEST + 2 + _EXPORTS_PER_STATE)
    free = session.disk.free_bytes(session.attempt.path)
    if free < size * 2:
        raise StorageFull(
            f"The data directory has {free / 1e6:,.0f} MB free; this job needs about {needed / 1e6:,.0f} MB for its "
            "checkpoints and its model. Free some space, then resume it."
        )
    if free < needed:
        session.say(f"little space: {free / 1e6:,.0f} MB are free, about {needed / 1e6:,.0f} MB are needed", "warning")


def _stop_reason(exc: Stopped, stop: StopSignal) -> str:
    if exc.durable:
        return f"stopped at step {exc.step:,} ({stop.reason})"
    return f"stopped at step {exc.step:,} ({stop.reason}); its checkpoint could not be written, an earlier one is kept"


def _commit(session: Session, result: AttemptResult) -> AttemptResult:
    if session.stop.reason is StopReason.LOST:
        return AttemptResult(Outcome.INTERRUPTED, "the lease was lost to another worker", step=result.step)
    try:
        write_json(session.attempt.result, {"version": 1, **dataclasses.asdict(result)})
    except OSError as exc:
        raise _storage_full(session, exc) from exc
    return result


def _disk_is_full(exc: BaseException) -> bool:
    """Whether the disk refused. HDF5 says so in the text of errors of its own (h5py issues 1120, 2028)."""
    if isinstance(exc, OSError) and exc.errno is not None:
        return not isinstance(exc, FileNotFoundError)
    return any(os.strerror(number) in str(exc) for number in (errno.ENOSPC, errno.EDQUOT, errno.EIO))


def _storage_full(session: Session, exc: BaseException) -> StorageFull:
    cause = (isinstance(exc, OSError) and exc.strerror) or exc
    return StorageFull(
        f"The data directory takes no more writes ({cause}). Free some space under "
        f"{session.jobdir.path.parent.parent}, then resume the job: it goes on from its last checkpoint."
    )
