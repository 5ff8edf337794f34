"""A program trained from where the earlier attempts have left it, to its end.

    result = train(program, session)

The synopsis: prepare (build, restore or initialise), train, finalise (test, export). Knows no kinds of jobs.
"""

import contextlib
import dataclasses
from typing import Any

from keepfit.shared.checkpoints import keep
from keepfit.shared.errors import StorageFull
from keepfit.shared.jobs.events import AttemptStarted
from keepfit.shared.jobs.loglines import figures
from keepfit.shared.jobs.states import Outcome
from keepfit.shared.reasons import NONE, Code, Reason
from keepfit.worker.models.exports import export
from keepfit.worker.training import device, failures, meaning, model_state
from keepfit.worker.training.engine import Evaluator, Pace
from keepfit.worker.training.interfaces import AttemptResult, StopReason
from keepfit.worker.training.loop import Loop, Parts, Stopped, step_of
from keepfit.worker.training.program import TEST_BATCH_SIZE, Arrays, Program
from keepfit.worker.training.resume import Start, prepare
from keepfit.worker.training.run import Session, started, write_record
from keepfit.worker.training.saving import Destination, Saver
from keepfit.worker.training.signature import signature_of

_EXPORTS_PER_STATE = 2


def train(program: Program, session: Session) -> AttemptResult:
    """Train ``program`` from where the earlier attempts have left it, to its end."""
    keep.sweep(session.jobdir, session.attempt.number, session.disk)
    start = prepare(program, session.jobdir, session.attempt, session.reporter)
    signature = signature_of(start.model, program.train, program.made_for)
    notes = tuple(program.notes)
    write_record(session, **_public(start.facts), resumed=start.resumed, notes=notes, signature=signature)
    for note in program.notes:
        session.say(note, "warning")
    _warn_of_little_space(session, start)
    session.reporter.report(_started(start, session))
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


def _started(start: Start, session: Session) -> AttemptStarted:
    cursor, facts, resumed = start.position.cursor, start.facts, start.resumed
    return dataclasses.replace(
        started(session),
        step=step_of(cursor, start.engine.batches),
        epoch=cursor.epoch,
        batch=cursor.batch,
        resumed_attempt=resumed["attempt"] if resumed else 0,
        exact=facts["exact"],
        differs=tuple(facts["differs"]),
        plan=facts["plan"],
    )


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
    return AttemptResult(Outcome.FINISHED, NONE, metrics, model_state.weights_digest(start.model), step, extra)


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
        return last, _guessing(program, last, prefix, part, session)
    try:
        with contextlib.closing(
            Evaluator(start.model, program.test, TEST_BATCH_SIZE, program.resident_bytes)
        ) as evaluator:
            found = evaluator.run(session.stop.is_set)
    except Exception as exc:  # the test is over, whatever Keras or TensorFlow raise in it; the trained model is there
        if failures.disk_refused(exc):
            raise
        why = str(failures.reason_of(exc))
        session.say(f"the test could not be done: {why}", "warning")
        return {}, {"test": why}
    if found is None:
        raise Stopped(step, durable=True)
    meaning.check_figures(found, "on the test part", program)
    return found, _guessing(program, found, "", program.test, session)


def _guessing(
    program: Program, metrics: dict[str, float], prefix: str, part: Arrays, session: Session
) -> dict[str, Any]:
    """For the result, whether the model is no better than always saying the commonest class; said, too."""
    share = meaning.no_better_than_guessing(program.task, metrics, part.y, prefix)
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


def _warn_of_little_space(session: Session, start: Start) -> None:
    size = sum(tensor.nbytes for tensor in model_state.take(start.model))
    needed = size * (keep.LATEST + 2 + _EXPORTS_PER_STATE)
    free = session.disk.free_bytes(session.attempt.path)
    if free < size * 2:
        raise StorageFull(Reason.of(Code.LITTLE_SPACE, free=round(free / 1e6), needed=round(needed / 1e6)))
    if free < needed:
        session.say(f"little space: {free / 1e6:,.0f} MB are free, about {needed / 1e6:,.0f} MB are needed", "warning")
