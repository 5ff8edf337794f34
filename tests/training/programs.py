"""The programs that the proof of exact resume runs: models of every kind, optimizers, rates, data shapes.

    program = build("gru+lion+cosine")       # a name is model+optimizer+rate, or one of SPECIAL

Everything is a function of the name, so a killed process and its successor agree on it.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keepfit.worker.training.program import Arrays, CheckpointPolicy, Program

SAMPLES, VALIDATION, CLASSES = 50, 20, 4
BATCH, EPOCHS = 16, 3
L = keras.layers


def _images(*layers: Any) -> Any:
    return keras.Sequential([L.Input((8, 8, 1)), L.Rescaling(1 / 255), *layers, L.Dense(CLASSES, activation="softmax")])


def _sequences(*layers: Any) -> Any:
    return keras.Sequential([L.Input((8, 8)), L.Rescaling(1 / 255), *layers, L.Dense(CLASSES, activation="softmax")])


def _attention() -> Any:
    inputs = L.Input((8, 8))
    hidden = L.Dense(8)(L.Rescaling(1 / 255)(inputs))
    hidden = L.LayerNormalization()(hidden + L.MultiHeadAttention(2, 4, dropout=0.2)(hidden, hidden))
    return keras.Model(inputs, L.Dense(CLASSES, activation="softmax")(L.GlobalAveragePooling1D()(hidden)))


def _two_inputs() -> Any:
    picture, number = L.Input((8, 8, 1), name="picture"), L.Input((1,), name="number")
    hidden = L.concatenate([L.Flatten()(L.Rescaling(1 / 255)(picture)), L.Dense(4)(number)])
    return keras.Model(
        {"picture": picture, "number": number}, L.Dense(CLASSES, activation="softmax")(L.Dropout(0.2)(hidden))
    )


def _mixed() -> Any:
    half = keras.DTypePolicy("mixed_float16")
    return _images(L.Flatten(dtype=half), L.Dense(16, activation="relu", dtype=half), L.Dropout(0.2, dtype=half))


MODELS: dict[str, Callable[[], Any]] = {
    "mlp": lambda: _images(L.Flatten(), L.Dense(16, activation="relu")),
    "cnn": lambda: _images(L.Reshape((8, 8, 1)), L.Conv2D(4, 3, activation="relu"), L.MaxPooling2D(), L.Flatten()),
    "batchnorm": lambda: _images(L.Flatten(), L.Dense(16), L.BatchNormalization(), L.ReLU()),
    "dropout": lambda: _images(L.Flatten(), L.Dense(16, activation="relu"), L.Dropout(0.5)),
    "noise": lambda: _images(L.GaussianNoise(0.3), L.Flatten(), L.Dense(16, activation="relu")),
    "augmented": lambda: _images(L.RandomFlip("horizontal"), L.RandomTranslation(0.2, 0.2), L.Flatten(), L.Dense(16)),
    "lstm": lambda: _sequences(L.LSTM(8)),
    "gru": lambda: _sequences(L.GRU(8, dropout=0.2, recurrent_dropout=0.2)),
    "embedding": lambda: keras.Sequential(
        [L.Input((8,)), L.Embedding(20, 8), L.GlobalAveragePooling1D(), L.Dense(CLASSES, activation="softmax")]
    ),
    "attention": _attention,
    "two-inputs": _two_inputs,
    "mixed": _mixed,
}

OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "sgd": lambda rate: keras.optimizers.SGD(rate, momentum=0.9),
    "adam": keras.optimizers.Adam,
    "adamw": lambda rate: keras.optimizers.AdamW(rate, weight_decay=0.01),
    "rmsprop": keras.optimizers.RMSprop,
    "lion": keras.optimizers.Lion,
    "scaled": lambda rate: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(rate), dynamic_growth_steps=3),
    "ema": lambda rate: keras.optimizers.Adam(rate, use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=5),
    "accumulating": lambda rate: keras.optimizers.Adam(rate, gradient_accumulation_steps=3),
    "clipnorm": lambda rate: keras.optimizers.SGD(rate, clipnorm=0.5),
}

RATES: dict[str, Callable[[], Any]] = {
    "constant": lambda: 0.01,
    "cosine": lambda: keras.optimizers.schedules.CosineDecay(0.02, 12),
    "plateau": lambda: 0.02,
}


def _data(model: str, count: int, seed: int) -> Arrays:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, CLASSES, count)
    pictures = (rng.integers(0, 128, (count, 8, 8, 1)) + 32 * y[:, None, None, None]).astype(np.uint8)
    if model == "embedding":
        return Arrays(rng.integers(0, 20, (count, 8)).astype(np.int32), y)
    if model in {"lstm", "gru", "attention"}:
        return Arrays(pictures[..., 0], y)
    if model == "two-inputs":
        return Arrays({"picture": pictures, "number": rng.random((count, 1))}, y)
    return Arrays(pictures, y)


def _plateau() -> list[Any]:
    return [
        keras.callbacks.EarlyStopping(patience=5, restore_best_weights=True),
        keras.callbacks.ReduceLROnPlateau(patience=0, factor=0.5, min_delta=0.3, cooldown=1),
    ]


def compose(model: str, optimizer: str = "adam", rate: str = "constant", **changes: Any) -> Program:
    """A program of a model, an optimizer and a learning rate; ``changes`` replace its fields."""

    def build_model() -> Any:
        built = MODELS[model]()
        built.compile(OPTIMIZERS[optimizer](RATES[rate]()), "sparse_categorical_crossentropy", metrics=["accuracy"])
        return built

    fields: dict[str, Any] = {
        "build_model": build_model,
        "train": _data(model, SAMPLES, 1),
        "validation": _data(model, VALIDATION, 2),
        "epochs": EPOCHS,
        "batch_size": BATCH,
        "seed": 7,
        "build_callbacks": _plateau if rate == "plateau" else list,
        "policy": CheckpointPolicy(interval_s=1000, every_steps=1),
        "plan": "graph",
        "digest": f"{model}+{optimizer}+{rate}",
    }
    return Program(**{**fields, **changes})


def _weighted_samples() -> Arrays:
    plain = _data("dropout", SAMPLES, 1)
    return Arrays(plain.x, plain.y, np.linspace(0.1, 2, SAMPLES))


def _stops_early() -> list[Any]:
    return [keras.callbacks.EarlyStopping(monitor="loss", patience=1, min_delta=10.0, restore_best_weights=True)]


SPECIAL: dict[str, Callable[[], Program]] = {
    "larger-batch-than-data": lambda: compose("dropout", batch_size=64),
    "one-sample": lambda: compose("dropout", train=_data("dropout", 1, 1)),
    "even-batches": lambda: compose("dropout", batch_size=10),
    "class-weights": lambda: compose("dropout", class_weight={0: 0.5, 2: 3.0}),
    "sample-weights": lambda: compose("dropout", train=_weighted_samples()),
    "no-validation": lambda: compose("dropout", validation=None),
    "in-order": lambda: compose("dropout", shuffle=False),
    "early-stop": lambda: compose("dropout", build_callbacks=_stops_early, epochs=6),
    "xla-mlp": lambda: compose("mlp", plan="xla"),
    "xla-dropout": lambda: compose("dropout", plan="xla"),
    "streamed": lambda: compose("dropout", resident_bytes=0),
    "tested": lambda: compose("dropout", test=_data("dropout", 30, 3)),
}


def build(name: str) -> Program:
    """The program called ``name``."""
    return SPECIAL[name]() if name in SPECIAL else compose(*name.split("+"))


def names() -> list[str]:
    """Every model with every optimizer; the learning rates take turns so that each meets each of the others."""
    rates = list(RATES)
    return [
        f"{model}+{optimizer}+{rates[(i + j) % len(rates)]}"
        for i, model in enumerate(MODELS)
        for j, optimizer in enumerate(OPTIMIZERS)
    ]


def some_names() -> list[str]:
    """A dozen of ``names``, in which each model, each optimizer and each rate occurs."""
    optimizers, rates = list(OPTIMIZERS), list(RATES)
    return [
        f"{model}+{optimizers[i % len(optimizers)]}+{rates[(i // 2) % len(rates)]}" for i, model in enumerate(MODELS)
    ]
