"""One attempt of a job, from its directory to its result.

    result = run(spec, jobdir, attempt, reporter, stop)

The synopsis: prepare (build, restore or initialise), train, finalise (test, export), commit. All of
it happens under ``attempt.path``; ``result.json`` is written last and says that the rest is whole.
An attempt that has lost its lease writes nothing more.
"""

import contextlib
import dataclasses
import os
import socket
import time
import traceback
from typing import Any

from keepfit.shared.checkpoints import keep
from keepfit.shared.checkpoints.disk import Disk
from keepfit.shared.errors import StorageFull
from keepfit.shared.jobs.directory import AttemptDir, JobDir
from keepfit.shared.jobs.documents import AttemptFile, ResultFile
from keepfit.shared.jobs.events import AttemptStarted, Event, LogLine
from keepfit.shared.jobs.loglines import figures
from keepfit.shared.jobs.states import Outcome
from keepfit.shared.spec import EvaluateSpec, TrainSpec
from keepfit.worker.evaluation.measure import TEST_BATCH_SIZE, evaluate
from keepfit.worker.kinds.train import program_of
from keepfit.worker.models.exports import export
from keepfit.worker.training import bits, device, failures, meaning, model_state
from keepfit.worker.training.account import DiskReporter, Tee
from keepfit.worker.training.engine import Evaluator, Pace
from keepfit.worker.training.interfaces import AttemptResult, Reporter, StopReason, StopSignal
from keepfit.worker.training.loop import Loop, Parts, Stopped, step_of
from keepfit.worker.training.program import Arrays, Program
from keepfit.worker.training.resume import Start, prepare
from keepfit.worker.training.saving import Destination, Saver

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
            _write_record(session)
            _report_start(session, None)
            return evaluate(spec, jobdir, session.reporter, stop)
        program = program_of(spec, jobdir.datasets, jobdir.digest, as_found=_begun_by_0_1(jobdir))
        return train(program, session)

    return attempt_with(work, Session(jobdir, attempt, Tee(reporter, DiskReporter(attempt, stop)), stop))


def _begun_by_0_1(jobdir: JobDir) -> bool:
    """Whether version 0.1 has begun this job: its data stay as it took them."""
    records = [AttemptFile.read_or_none(attempt.record) for attempt in jobdir.attempt_dirs()]
    return any(record.data_as_found for record in records if record)


def attempt_with(work: Any, session: Session) -> AttemptResult:
    """Do ``work(session)``; however it ends, turn the end into a result and commit it."""
    try:
        result: AttemptResult = work(session)
    except Stopped as exc:
        result = AttemptResult(Outcome.STOPPED, _stop_reason(exc, session.stop), step=exc.step)
    except StorageFull:
        raise
    except Exception as exc:  # whatever user code, Keras or TensorFlow raise ends this attempt, with a reason
        if failures.disk_refused(exc):
            raise _storage_full(session, exc) from exc
        result = AttemptResult(Outcome.FAILED, failures.reason_of(exc))
        session.say(result.reason, "error")
        if not failures.is_expected(exc):
            session.say(traceback.format_exc(), "debug")
    return _commit(session, result)


def train(program: Program, session: Session) -> AttemptResult:
    """Train ``program`` from where the earlier attempts have left it, to its end."""
    keep.sweep(session.jobdir, session.attempt.number, session.disk)
    start = prepare(program, session.jobdir, session.attempt, session.reporter)
    _write_record(session, **_public(start.facts), resumed=start.resumed, notes=tuple(program.notes))
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
        device.discard()
    return _finalise(program, start, session, loop.step, saver.failures)


def _finalise(program: Program, start: Start, session: Session, step: int, failed: int) -> AttemptResult:
    """Test and export. Killed in here, the next attempt comes back to this point by the last checkpoint.

    The model is trained: what fails in here is told, and costs no more than itself.
    """
    start.callbacks.finalise()
    if fault := meaning.fault(model_state.take(start.model), start.facts["not_finite"]):
        raise meaning.Diverged(f"At the end of training {fault}. {meaning.cure(program)}")
    extra: dict[str, Any] = {"epochs": len(start.position.history), "epochs_planned": program.epochs}
    extra |= {"checkpoint_failures": failed, **_public(start.facts)}
    if program.notes:
        extra["notes"] = list(program.notes)
    extra |= _early_stop(start, session)
    metrics, more = _test(program, start, session, step)
    extra |= more
    if session.stop.reason is not StopReason.LOST:
        extra |= _export(start, session)
        _tidy(session)
    session.say(f"finished: {figures(metrics)}")
    return AttemptResult(Outcome.FINISHED, "", metrics, model_state.weights_digest(start.model), step, extra)


def _early_stop(start: Start, session: Session) -> dict[str, Any]:
    """What early stopping has come to: said, and for the result. Epochs are counted from 1."""
    found = start.callbacks.early_stop()
    if found is None:
        return {}
    if said := found.in_words():
        session.say(said)
    epochs = {"stopped_epoch": found.stopped_epoch, "best_epoch": found.best_epoch}
    return {name: epoch for name, epoch in epochs.items() if epoch is not None}


def _test(program: Program, start: Start, session: Session, step: int) -> tuple[dict[str, float], dict[str, Any]]:
    """The figures of the trained model, on the test part if there is one, and what is to be said of them."""
    last = dict(start.position.history.last)
    if program.test is None:
        prefix, part = ("val_", program.validation) if program.validation is not None else ("", program.train)
        return last, _guessing(last, prefix, part, session)
    try:
        with contextlib.closing(
            Evaluator(start.model, program.test, TEST_BATCH_SIZE, program.resident_bytes)
        ) as evaluator:
            found = evaluator.run(session.stop.is_set)
    except Exception as exc:  # the test is over, whatever Keras or TensorFlow raise in it; the trained model is there
        if failures.disk_refused(exc):
            raise
        why = failures.reason_of(exc)
        session.say(f"the test could not be done: {why}", "warning")
        return {}, {"test": why}
    if found is None:
        raise Stopped(step, durable=True)
    meaning.check_figures(found, "on the test part", program)
    return found, _guessing(found, "", program.test, session)


def _guessing(metrics: dict[str, float], prefix: str, part: Arrays, session: Session) -> dict[str, Any]:
    """For the result, whether the model is no better than always saying the commonest class; said, too."""
    share = meaning.no_better_than_guessing(meaning.accuracy_in(metrics, prefix), part.y, metrics.get(f"{prefix}loss"))
    if share is None:
        return {}
    session.say(meaning.guessing_in_words(share, len(part)), "warning")
    return {"no_better_than_guessing": True, "commonest_class_share": share}


def _export(start: Start, session: Session) -> dict[str, Any]:
    """Make the files for people; for the result, those that could not be made, and why."""
    missing = export(start.model, session.attempt, session.disk)
    for name, why in missing.items():
        session.say(f"{name} could not be made, the checkpoint holds all of the model: {why}", "warning")
    return {"exports": missing} if missing else {}


def _tidy(session: Session) -> None:
    try:
        keep.prune_finished(session.jobdir, session.attempt.number, session.disk)
    except OSError as exc:  # it costs some space and no more
        session.say(f"an old checkpoint could not be removed: {exc.strerror}", "warning")


def _public(facts: dict[str, Any]) -> dict[str, Any]:
    return {key: facts[key] for key in ("plan", "exact", "differs")}


def _write_record(session: Session, **more: Any) -> None:
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
    size = sum(tensor.nbytes for tensor in model_state.take(start.model))
    needed = size * (keep.LATEST + 2 + _EXPORTS_PER_STATE)
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
        ResultFile(**dataclasses.asdict(result)).write(session.attempt.result)
    except OSError as exc:
        raise _storage_full(session, exc) from exc
    return result


def _storage_full(session: Session, exc: BaseException) -> StorageFull:
    if not session.attempt.path.is_dir():
        return StorageFull(
            "The directory of this attempt was removed while it ran. Resume the job: it goes on from the newest "
            "checkpoint that is left, or from the beginning."
        )
    cause = (isinstance(exc, OSError) and exc.strerror) or exc
    return StorageFull(
        f"The data directory takes no more writes ({cause}). Free some space under "
        f"{session.jobdir.path.parent.parent}, then resume the job: it goes on from its last checkpoint."
    )
