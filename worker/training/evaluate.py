"""The evaluation of a trained, or paused, model: its newest checkpoint against the test part of a data set."""

from shared.errors import InvalidSpec, NoCheckpoint
from shared.events import LogLine
from shared.jobdir import JobDir
from shared.spec import EvaluateSpec, TrainSpec
from shared.states import Outcome
from worker.training import datasets, state
from worker.training.callbacks import Callbacks
from worker.training.checkpoints import load_newest
from worker.training.engine import Evaluator, build, first_batch
from worker.training.interfaces import AttemptResult, Reporter, StopSignal
from worker.training.loop import Stopped
from worker.training.programs import program_of
from worker.training.resume import restore

TEST_BATCH_SIZE = 32
"""The default of ``model.evaluate``, so that a person who tries it reads the very same numbers."""


def evaluate(spec: EvaluateSpec, jobdir: JobDir, reporter: Reporter, stop: StopSignal) -> AttemptResult:
    """Measure the model of the job ``spec.source`` on ``spec.data``.

    Raises:
        NoCheckpoint: that job has nothing to measure yet.
        InvalidSpec, DataUnavailable: it is no training job, or the data cannot be had.
        Stopped: somebody asked to stop.
    """
    source = jobdir.sibling(spec.source)
    trained = source.spec
    if not isinstance(trained, TrainSpec):
        raise InvalidSpec(f"The job {spec.source} is no training job, so it has no model to evaluate.")
    program = program_of(trained, jobdir.datasets, source.digest)
    loaded = load_newest(source, reporter, aside=False)
    if loaded is None:
        raise NoCheckpoint(f"The job {spec.source} has no valid checkpoint yet, so there is nothing to evaluate.")
    state.seed_everything(program.seed)
    model = program.build_model()
    build(model, first_batch(program.train, program.batch_size))
    callbacks = Callbacks(program.build_callbacks(), model)
    callbacks.begin()
    restore(loaded, model, callbacks)
    callbacks.finalise()
    step = loaded.checkpoint.step
    reporter.report(LogLine(f"evaluating job {spec.source} as of step {step:,} on {spec.data.name}"))
    test = datasets.load(spec.data.name, jobdir.datasets).test
    metrics = Evaluator(model, test, TEST_BATCH_SIZE, program.resident_bytes).run(stop.is_set)
    if metrics is None:
        raise Stopped(0, durable=True)
    found = {**metrics, "samples": float(len(test))}
    return AttemptResult(Outcome.FINISHED, "", found, state.weights_digest(model), step)
