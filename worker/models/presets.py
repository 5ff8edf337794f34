"""The models that a job can name, compiled. They take what the data set holds, bytes 0 to 255.

``Rescaling`` is their first layer, so an exported model needs no preparation by its user; the rest
is the practice project's model, layer by layer, and its weights fit the one the other.
"""

from typing import Any

import keras

from keepfit.shared.errors import InvalidSpec
from keepfit.shared.spec import ModelSpec

_IMAGE = (28, 28)


def build_model(spec: ModelSpec, learning_rate: float) -> Any:
    """A fresh compiled model. Raises InvalidSpec for a name that this version does not know."""
    layers = _LAYERS.get(spec.name)
    if layers is None:
        raise InvalidSpec(f"There is no model {spec.name!r}.")
    model = keras.Sequential([keras.layers.Input(_IMAGE), keras.layers.Rescaling(1 / 255), *layers()], name=spec.name)
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def _mlp() -> list[Any]:
    return [
        keras.layers.Flatten(),
        keras.layers.Dense(128, activation="relu"),
        keras.layers.Dense(10, activation="softmax"),
    ]


def _cnn() -> list[Any]:
    return [
        keras.layers.Reshape((*_IMAGE, 1)),
        keras.layers.Conv2D(16, 3, activation="relu"),
        keras.layers.MaxPooling2D(),
        keras.layers.Conv2D(32, 3, activation="relu"),
        keras.layers.MaxPooling2D(),
        keras.layers.Flatten(),
        keras.layers.Dropout(0.3),
        keras.layers.Dense(10, activation="softmax"),
    ]


_LAYERS = {"mlp": _mlp, "cnn": _cnn}
