"""The evaluation of a trained, or paused, model: its newest checkpoint against the test part of a data set.

The model is built from the job's own spec and checkpoint. The data that it was trained on are not needed.
"""

from typing import Any

import numpy as np

from keepfit.shared.errors import InvalidSpec, NoCheckpoint
from keepfit.shared.jobs.directory import JobDir
from keepfit.shared.jobs.events import LogLine
from keepfit.shared.jobs.states import Outcome
from keepfit.shared.spec import DATASETS, EvaluateSpec, TrainSpec
from keepfit.worker.data import datasets
from keepfit.worker.models import presets
from keepfit.worker.training import meaning, model_state
from keepfit.worker.training.callbacks import Callbacks, build_callbacks
from keepfit.worker.training.engine import Evaluator, build
from keepfit.worker.training.interfaces import AttemptResult, Reporter, StopSignal
from keepfit.worker.training.loop import Stopped
from keepfit.worker.training.program import RESIDENT_BYTES, Arrays
from keepfit.worker.training.resume import restore
from keepfit.worker.training.saving import Loaded, load_newest

TEST_BATCH_SIZE = 32
"""The default of ``model.evaluate``, so that a person who tries it reads the very same numbers."""


def evaluate(spec: EvaluateSpec, jobdir: JobDir, reporter: Reporter, stop: StopSignal) -> AttemptResult:
    """Measure the model of the job ``spec.source`` on ``spec.data``.

    Raises:
        NoCheckpoint: that job has nothing to measure yet.
        InvalidSpec, DataUnavailable: it is no training job, or the data cannot be had.
        Diverged: the model, or what it comes to, is no number.
        Stopped: somebody asked to stop.
    """
    source = jobdir.sibling(spec.source)
    trained = source.spec
    if not isinstance(trained, TrainSpec):
        raise InvalidSpec(f"The job {spec.source} is no training job, so it has no model to evaluate.")
    loaded = load_newest(source, reporter, aside=False)
    if loaded is None:
        raise NoCheckpoint(f"The job {spec.source} has no valid checkpoint yet, so there is nothing to evaluate.")
    model, step = _rebuilt(trained, loaded), loaded.checkpoint.step
    reporter.report(LogLine(f"evaluating job {spec.source} as of step {step:,} on {spec.data.name}"))
    data = datasets.load(spec.data.name, jobdir.datasets)
    notes = [*data.notes, *_other_classes(trained.data.name, spec.data.name)]
    for note in notes:
        reporter.report(LogLine(note, "warning"))
    metrics = _measured(model, data.test, stop)
    extra: dict[str, Any] = {"notes": notes} if notes else {}
    extra |= _chance(metrics, data.test, reporter)
    found = {**metrics, "samples": float(len(data.test))}
    return AttemptResult(Outcome.FINISHED, "", found, model_state.weights_digest(model), step, extra)


def _rebuilt(trained: TrainSpec, loaded: Loaded) -> Any:
    """The model of the spec with the state of the checkpoint, as it would be exported."""
    wish = trained.training
    model_state.seed_everything(wish.seed)
    model = presets.build_model(trained.model, wish.learning_rate)
    build(model, (np.zeros((1, *model.input_shape[1:]), np.uint8), np.zeros(1, np.uint8)))
    known = meaning.not_finite(model_state.take(model))
    callbacks = Callbacks(build_callbacks(wish.early_stopping, wish.reduce_lr), model)
    callbacks.begin()
    restore(loaded, model, callbacks)
    callbacks.finalise()
    if fault := meaning.fault(model_state.take(model), known):
        raise meaning.Diverged(f"There is nothing to measure: {fault} as of step {loaded.checkpoint.step:,}.")
    return model


def _measured(model: Any, test: Arrays, stop: StopSignal) -> dict[str, float]:
    evaluator = Evaluator(model, test, TEST_BATCH_SIZE, RESIDENT_BYTES)
    try:
        metrics = evaluator.run(stop.is_set)
    finally:
        evaluator.close()
    if metrics is None:
        raise Stopped(0, durable=True)
    meaning.check_figures(metrics, "on the test part")
    return metrics


def _other_classes(trained_on: str, measured_on: str) -> list[str]:
    """What to say where the numbers of the classes mean something else in the two sets."""
    pairs = list(zip(datasets.CLASS_NAMES[trained_on], datasets.CLASS_NAMES[measured_on], strict=True))
    other = [(number, *pair) for number, pair in enumerate(pairs) if pair[0] != pair[1]]
    if not other:
        return []
    number, then, now = other[0]
    sets = f"{DATASETS[measured_on].title} has other classes than {DATASETS[trained_on].title}"
    what = f"class {number} is {now!r} here and was {then!r} there"
    return [f"{sets}, on which the model was trained: {what}. Classes are matched by number"]


def _chance(metrics: dict[str, float], test: Arrays, reporter: Reporter) -> dict[str, Any]:
    share = meaning.no_better_than_guessing(meaning.accuracy_in(metrics), test.y, metrics.get("loss"))
    if share is None:
        return {}
    reporter.report(LogLine(meaning.guessing_in_words(share, len(test)), "warning"))
    return {"no_better_than_guessing": True, "commonest_class_share": share}
