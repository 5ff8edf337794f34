"""The kind ``evaluate``: a trained, or paused, model is measured on the test part of a data set.

What is measured is the newest checkpoint of another job.
"""

from typing import Any

from keepfit.shared.catalog.cards import DatasetCard
from keepfit.shared.catalog.library import builtin_library
from keepfit.shared.errors import InvalidSpec, NoCheckpoint
from keepfit.shared.jobs.directory import JobDir
from keepfit.shared.jobs.documents import AttemptFile, SignatureFile
from keepfit.shared.jobs.states import Outcome
from keepfit.shared.reasons import NONE, Code, Reason
from keepfit.shared.spec import EvaluateSpec, TrainSpec
from keepfit.shared.spec.task import Task, task_named
from keepfit.worker.data import datasets
from keepfit.worker.evaluation.measure import measured, rebuilt
from keepfit.worker.kinds.train import made_for
from keepfit.worker.training import meaning, model_state
from keepfit.worker.training.interfaces import AttemptResult
from keepfit.worker.training.program import Arrays
from keepfit.worker.training.run import Session, started, write_record
from keepfit.worker.training.saving import Loaded, load_newest


def run(spec: EvaluateSpec, session: Session) -> AttemptResult:
    """Measure the model of the job ``spec.source`` on ``spec.data``.

    Raises:
        NoCheckpoint: that job has nothing to measure yet.
        InvalidSpec, DataUnavailable: it is no training job, or the data cannot be had.
        Diverged: the model, or what it comes to, is no number.
        Stopped: somebody asked to stop.
    """
    write_record(session)
    session.reporter.report(started(session))
    source = session.jobdir.sibling(spec.source)
    trained = source.spec
    if not isinstance(trained, TrainSpec):
        raise InvalidSpec(Reason.of(Code.NO_TRAINING, job=spec.source))
    loaded = load_newest(source, session.reporter, aside=False)
    if loaded is None:
        raise NoCheckpoint(Reason.of(Code.NOTHING_TO_EVALUATE, job=spec.source))
    kept, step = _kept(source, trained, loaded), loaded.checkpoint.step
    model = rebuilt(trained, loaded, kept)
    session.say(f"evaluating job {spec.source} as of step {step:,} on {spec.data.name}")
    card = builtin_library().dataset(spec.data.name, spec.data.id)
    data = datasets.load(card, session.jobdir.datasets)
    notes = [*data.notes, *_other_classes(kept, card)]
    for note in notes:
        session.say(note, "warning")
    metrics = measured(model, data.test, session.stop)
    extra: dict[str, Any] = {"notes": notes} if notes else {}
    extra |= _chance(task_named(card.task), metrics, data.test, session)
    found = {**metrics, "samples": float(len(data.test))}
    return AttemptResult(Outcome.FINISHED, NONE, found, model_state.weights_digest(model), step, extra)


def _kept(source: JobDir, trained: TrainSpec, loaded: Loaded) -> SignatureFile:
    """What the attempt that wrote the checkpoint has kept of its model; older versions left that to the card."""
    written_by = [one for one in source.attempt_dirs() if one.number == loaded.checkpoint.attempt]
    records = [AttemptFile.read_or_none(attempt.record) for attempt in written_by]
    kept = next((record.signature for record in records if record), None)
    if kept and "signature" in kept.made_for:
        return kept
    return SignatureFile(made_for=made_for(builtin_library().dataset(trained.data.name, trained.data.id)))


def _other_classes(kept: SignatureFile, now: DatasetCard) -> list[str]:
    """What to say where the numbers of the classes mean something else in the two sets."""
    for number, (was, is_now) in enumerate(zip(kept.made_for["classes"], now.classes, strict=False)):
        if was != is_now:
            what = f"class {number} is {is_now!r} here and was {was!r} there"
            sets = f"{now.title} has other classes than {kept.made_for['title']}"
            return [f"{sets}, on which the model was trained: {what}. Classes are matched by number"]
    return []


def _chance(task: Task, metrics: dict[str, float], test: Arrays, session: Session) -> dict[str, Any]:
    share = meaning.no_better_than_guessing(task, metrics, test.y)
    if share is None:
        return {}
    session.say(meaning.guessing_in_words(share, len(test)), "warning")
    return {"no_better_than_guessing": True, "commonest_class_share": share}
