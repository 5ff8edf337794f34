"""The presets: models that a job can name, compiled. One function builds each, for whatever data its card says it fits.

    model = build_model(spec.model, card.signature, learning_rate)

They take what the data set holds: ``Rescaling`` is their first layer, so an exported model needs no preparation by its
user. For digits they are the practice project's model, layer by layer, and its weights fit the one the other.
"""

from typing import Any

import keras

from keepfit.shared.catalog.cards import Signature
from keepfit.shared.errors import InvalidSpec
from keepfit.shared.spec import ModelSpec
from keepfit.shared.spec.task import task_named


def build_model(spec: ModelSpec, data: Signature, learning_rate: float) -> Any:
    """A fresh compiled model for ``data``. Raises InvalidSpec for a name that this version does not know."""
    layers = _LAYERS.get(spec.name)
    if layers is None:
        raise InvalidSpec(f"There is no model {spec.name!r}.")
    model = keras.Sequential([keras.layers.Input(data.shape), _rescaling(data), *layers(data)], name=spec.name)
    task = task_named(data.task)
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss=task.loss,
        metrics=[*task.metrics],
    )
    return model


def _rescaling(data: Signature) -> Any:
    """To 0 to 1."""
    width = data.high - data.low
    return keras.layers.Rescaling(1 / width, -data.low / width) if data.low else keras.layers.Rescaling(1 / width)


def _mlp(data: Signature) -> list[Any]:
    return [
        keras.layers.Flatten(),
        keras.layers.Dense(128, activation="relu"),
        keras.layers.Dense(data.classes, activation="softmax"),
    ]


def _cnn(data: Signature) -> list[Any]:
    one_channel = [keras.layers.Reshape((*data.shape, 1))] if len(data.shape) == 2 else []
    return [
        *one_channel,
        keras.layers.Conv2D(16, 3, activation="relu"),
        keras.layers.MaxPooling2D(),
        keras.layers.Conv2D(32, 3, activation="relu"),
        keras.layers.MaxPooling2D(),
        keras.layers.Flatten(),
        keras.layers.Dropout(0.3),
        keras.layers.Dense(data.classes, activation="softmax"),
    ]


_LAYERS = {"mlp": _mlp, "cnn": _cnn}
