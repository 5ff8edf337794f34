"""The outputs that the engine collects are those of `model.predict`, bit by bit and in order."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from keepfit.worker.training import model_state
from keepfit.worker.training.engine import Predictor, build, first_batch
from keepfit.worker.training.program import RESIDENT_BYTES, Program
from keepfit.worker.training.source import as_keras_takes_it
from tests.training import programs

NAMES = (*programs.some_names(), *(f"{model}+adam+constant" for model in programs.MODELS))
NEVER = bool


def prepared(program: Program) -> tuple[Any, Any]:
    """A model of the program as it begins, and samples that are no whole number of batches."""
    model_state.seed_everything(program.seed)
    model = program.build_model()
    build(model, first_batch(program.train, program.batch_size))
    return model, program.train.x


def predicted(model: Any, x: Any, size: int, resident_bytes: int = RESIDENT_BYTES) -> list[Any]:
    """All outputs, one array for each output of the model."""
    predictor = Predictor(model, x, size, resident_bytes)
    try:
        pieces = [tf.nest.flatten(some) for some in predictor.run(NEVER)]
    finally:
        predictor.close()
    return [np.concatenate(parts) for parts in zip(*pieces, strict=True)]


@pytest.mark.parametrize("name", sorted(set(NAMES)))
def test_outputs_are_those_of_predict(name: str) -> None:
    """Each kind of model, from memory, with a partial last batch."""
    program = programs.build(name)
    model, x = prepared(program)
    wanted = model.predict(tf.nest.map_structure(as_keras_takes_it, x), batch_size=program.batch_size, verbose=0)

    (found,) = predicted(model, x, program.batch_size)

    assert found.dtype == wanted.dtype
    assert found.tobytes() == wanted.tobytes()


def test_outputs_of_data_that_are_read_in_windows_are_the_same() -> None:
    """As from memory; and several outputs are several arrays, each in order."""
    program = programs.build("cnn+adam+constant")
    model, x = prepared(program)

    (found,) = predicted(model, x, 7)
    (read,) = predicted(model, x, 7, resident_bytes=0)

    assert len(found) == len(x)
    assert found.tobytes() == read.tobytes()


def test_a_model_of_several_outputs_answers_with_as_many() -> None:
    """By the names that the model gives them."""
    import keras

    inputs = keras.layers.Input((3,))
    model = keras.Model(inputs, {"twice": inputs * 2, "sum": keras.ops.sum(inputs, axis=-1)})
    x = np.arange(30, dtype=np.float32).reshape(10, 3)

    pieces = [*Predictor(model, x, 4, RESIDENT_BYTES).run(NEVER)]

    assert np.array_equal(np.concatenate([piece["twice"] for piece in pieces]), x * 2)
    assert np.array_equal(np.concatenate([piece["sum"] for piece in pieces]), x.sum(axis=1))


def test_predicting_ends_where_it_should_stop() -> None:
    """What has come by then is the beginning of all."""
    model, x = prepared(programs.build("mlp+adam+constant"))
    looks = iter([False, True])

    pieces = [*Predictor(model, x, 2, RESIDENT_BYTES).run(lambda: next(looks))]

    assert 0 < sum(map(len, pieces)) < len(x)
