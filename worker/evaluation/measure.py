"""A trained model, rebuilt and measured.

    model = rebuilt(jobdir.spec, load_newest(jobdir, reporter), record.signature)
    metrics = measured(model, data.test, stop)

The model is built from the job's own spec and checkpoint. The data that it was trained on are not needed.
"""

from typing import Any

import numpy as np

from keepfit.shared.catalog.cards import Signature
from keepfit.shared.jobs.documents import SignatureFile
from keepfit.shared.spec import TrainSpec
from keepfit.worker.models import presets
from keepfit.worker.training import meaning, model_state
from keepfit.worker.training.callbacks import Callbacks, build_callbacks
from keepfit.worker.training.engine import Evaluator, build
from keepfit.worker.training.interfaces import StopSignal
from keepfit.worker.training.loop import Stopped
from keepfit.worker.training.program import RESIDENT_BYTES, TEST_BATCH_SIZE, Arrays
from keepfit.worker.training.resume import restore
from keepfit.worker.training.saving import Loaded
from keepfit.worker.training.signature import example_of


def rebuilt(trained: TrainSpec, loaded: Loaded, kept: SignatureFile) -> Any:
    """The model of the spec with the state of the checkpoint, as it would be exported.

    Args:
        trained: The spec of the job that the checkpoint is of.
        loaded: The checkpoint.
        kept: What the model takes and gives. Inputs may be missing: then those of its first layer are taken.

    Raises:
        Diverged: the model is no number.
        CorruptCheckpoint: the checkpoint is of another model.
    """
    wish = trained.training
    model_state.seed_everything(wish.seed)
    data = Signature.model_validate(kept.made_for["signature"])
    model = presets.build_model(trained.model, data, wish.learning_rate)
    first = (np.zeros((1, *model.input_shape[1:]), np.uint8), np.zeros(1, np.uint8))
    build(model, example_of(kept) if kept.inputs else first)
    known = meaning.not_finite(model_state.take(model))
    callbacks = Callbacks(build_callbacks(wish.early_stopping, wish.reduce_lr), model)
    callbacks.begin()
    restore(loaded, model, callbacks)
    callbacks.finalise()
    if fault := meaning.fault(model_state.take(model), known):
        raise meaning.Diverged(f"There is nothing to measure: {fault} as of step {loaded.checkpoint.step:,}.")
    return model


def measured(model: Any, test: Arrays, stop: StopSignal) -> dict[str, float]:
    """The metrics of ``model`` over ``test``, with the numerics of ``model.evaluate``. Raises Stopped or Diverged."""
    evaluator = Evaluator(model, test, TEST_BATCH_SIZE, RESIDENT_BYTES)
    try:
        metrics = evaluator.run(stop.is_set)
    finally:
        evaluator.close()
    if metrics is None:
        raise Stopped(0, durable=True)
    meaning.check_figures(metrics, "on the test part")
    return metrics
