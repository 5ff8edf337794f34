"""What the engine takes of Keras beyond its promises: a version of Keras that breaks one of these is told here."""

import keras
import numpy as np
import pytest

from keepfit.worker.training import keras_private


@pytest.fixture
def model() -> keras.Model:
    """A model inside a model, with a metric, compiled and not built."""
    inner = keras.Sequential([keras.layers.Dense(4), keras.layers.Dropout(0.5)])
    model = keras.Sequential([inner, keras.layers.Dense(2)])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def test_metrics_are_built_without_a_step(model: keras.Model) -> None:
    """Loss tracker and metrics have their variables, and no weight has moved."""
    keras_private.build_metrics(model, (np.ones((3, 5), "float32"), np.zeros(3, "int32")))

    before = [weight.copy() for weight in model.get_weights()]
    assert [metric.name for metric in model.metrics] == ["loss", "compile_metrics"]
    assert all(metric.variables for metric in model.metrics)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert int(model.optimizer.iterations.numpy()) == 0


def test_layers_inside_layers_are_seen(model: keras.Model) -> None:
    """A dropout in a nested model counts for the plan of the whole."""
    kinds = [type(layer).__name__ for layer in keras_private.layers_of(model)]

    assert kinds.count("Dense") == 2
    assert "Dropout" in kinds


def test_the_global_seed_is_one_variable_that_draws_move() -> None:
    """A draw without a generator of its own moves this variable; putting its value back repeats the draw."""
    keras.utils.set_random_seed(7)
    state = keras_private.global_seed_state()
    assert keras_private.global_seed_state() is state
    before = state.numpy()

    first = keras.random.uniform((4,)).numpy()
    assert not np.array_equal(before, state.numpy())
    state.assign(before)

    assert np.array_equal(first, keras.random.uniform((4,)).numpy())
