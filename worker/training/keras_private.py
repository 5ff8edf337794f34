"""What the engine takes of Keras that Keras does not promise to keep; each is held by a test of its own.

Where a new version of Keras changes one of these, tests/training/test_keras_private.py says which, and this is the
only file that has to follow.
"""

from typing import Any

from keras.src.random.seed_generator import global_seed_generator


def build_metrics(model: Any, batch: Any) -> None:
    """Build the model's loss and metrics for batches like ``batch`` without a step: there is no public way."""
    model._symbolic_build(data_batch=batch)  # noqa: SLF001


def layers_of(model: Any) -> list[Any]:
    """Every layer of ``model``, those inside other layers and models too."""
    return list(model._flatten_layers(include_self=False))  # noqa: SLF001


def global_seed_state() -> Any:
    """The variable behind every draw for which a layer has no generator of its own; made if there is none yet."""
    return global_seed_generator().state
