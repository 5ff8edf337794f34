"""The plan is a function of the model's layers, so the same spec trains with the same kernels everywhere."""

import keras
import pytest

from keepfit.worker.training.bits import choose_plan, needs_unknown_batch
from tests.training import programs

EXPECTED = {
    "mlp": "xla",
    "cnn": "graph",
    "batchnorm": "graph",
    "dropout": "graph",
    "lstm": "xla",
    "gru": "graph",
    "embedding": "xla",
    "attention": "graph",
    "mixed": "graph",
}


@pytest.mark.parametrize("model", EXPECTED)
def test_the_plan_follows_from_the_layers(model: str) -> None:
    """XLA where it is faster; convolutions, normalisation and random numbers stay in the graph."""
    assert choose_plan(programs.MODELS[model](), "auto") == EXPECTED[model]


def test_a_wish_for_a_plan_is_granted() -> None:
    """Also where the rule would choose the other."""
    assert choose_plan(programs.MODELS["cnn"](), "xla") == "xla"


def test_nested_layers_count() -> None:
    """A Dropout inside a model inside a model."""
    inner = keras.Sequential([keras.layers.Dense(4), keras.layers.Dropout(0.5)])

    assert choose_plan(keras.Sequential([keras.layers.Input((4,)), inner]), "auto") == "graph"


def test_attention_is_traced_as_fit_traces_it() -> None:
    """Its kernels depend on whether the length of a batch is known."""
    assert needs_unknown_batch(programs.MODELS["attention"]())
    assert not needs_unknown_batch(programs.MODELS["cnn"]())
