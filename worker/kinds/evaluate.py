"""The kind ``evaluate``: a trained, or paused, model is measured on the test part of a data set.

What is measured is the newest checkpoint of another job.
"""

from typing import Any

from keepfit.shared.catalog.cards import DatasetCard
from keepfit.shared.catalog.library import builtin_library
from keepfit.shared.errors import InvalidSpec, NoCheckpoint
from keepfit.shared.jobs.states import Outcome
from keepfit.shared.spec import EvaluateSpec, TrainSpec
from keepfit.worker.data import datasets
from keepfit.worker.evaluation.measure import measured, rebuilt
from keepfit.worker.training import meaning, model_state
from keepfit.worker.training.interfaces import AttemptResult
from keepfit.worker.training.program import Arrays
from keepfit.worker.training.run import Session, started, write_record
from keepfit.worker.training.saving import load_newest


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
        raise InvalidSpec(f"The job {spec.source} is no training job, so it has no model to evaluate.")
    loaded = load_newest(source, session.reporter, aside=False)
    if loaded is None:
        raise NoCheckpoint(f"The job {spec.source} has no valid checkpoint yet, so there is nothing to evaluate.")
    model, step = rebuilt(trained, loaded), loaded.checkpoint.step
    session.say(f"evaluating job {spec.source} as of step {step:,} on {spec.data.name}")
    library = builtin_library()
    card = library.dataset(spec.data.name)
    data = datasets.load(card, session.jobdir.datasets)
    notes = [*data.notes, *_other_classes(library.dataset(trained.data.name), card)]
    for note in notes:
        session.say(note, "warning")
    metrics = measured(model, data.test, session.stop)
    extra: dict[str, Any] = {"notes": notes} if notes else {}
    extra |= _chance(metrics, data.test, session)
    found = {**metrics, "samples": float(len(data.test))}
    return AttemptResult(Outcome.FINISHED, "", found, model_state.weights_digest(model), step, extra)


def _other_classes(then: DatasetCard, now: DatasetCard) -> list[str]:
    """What to say where the numbers of the classes mean something else in the two sets."""
    pairs = zip(then.classes, now.classes, strict=False)
    for number, (was, is_now) in enumerate(pairs):
        if was != is_now:
            what = f"class {number} is {is_now!r} here and was {was!r} there"
            sets = f"{now.title} has other classes than {then.title}"
            return [f"{sets}, on which the model was trained: {what}. Classes are matched by number"]
    return []


def _chance(metrics: dict[str, float], test: Arrays, session: Session) -> dict[str, Any]:
    share = meaning.no_better_than_guessing(meaning.accuracy_in(metrics), test.y, metrics.get("loss"))
    if share is None:
        return {}
    session.say(meaning.guessing_in_words(share, len(test)), "warning")
    return {"no_better_than_guessing": True, "commonest_class_share": share}
