"""How the steps of a model are compiled: a rule on its layers, so that the same spec has the same plan everywhere.

A trial on the clock would choose better now and then, but two runs of one spec could then end with
different bits. The measurements behind the rule are in docs/benchmarks.md.
"""

from typing import Any

import keras

_FAST_UNDER_XLA = (
    keras.layers.InputLayer,
    keras.layers.Rescaling,
    keras.layers.Flatten,
    keras.layers.Reshape,
    keras.layers.Dense,
    keras.layers.Activation,
    keras.layers.ReLU,
    keras.layers.Embedding,
    keras.layers.GlobalAveragePooling1D,
    keras.layers.LSTM,
    keras.layers.LSTMCell,
    keras.layers.GRU,
    keras.layers.GRUCell,
    keras.layers.SimpleRNN,
    keras.layers.SimpleRNNCell,
)

_CHOOSE_KERNELS_BY_BATCH = (
    keras.layers.MultiHeadAttention,
    keras.layers.GroupQueryAttention,
    keras.layers.Attention,
    keras.layers.AdditiveAttention,
    keras.layers.EinsumDense,
)


def needs_unknown_batch(model: Any) -> bool:
    """Whether the graph must not know the length of a batch, to take the kernels that ``fit`` takes.

    ``fit`` never knows it. Knowing it is faster (a third for convolutions) and the same bits, but for these layers.
    """
    return any(isinstance(layer, _CHOOSE_KERNELS_BY_BATCH) for layer in _layers(model))


def choose_plan(model: Any, wanted: str) -> str:
    """``graph`` or ``xla``; a wish for one of them is granted as it is."""
    if wanted != "auto":
        return wanted
    simple = all(type(layer) in _FAST_UNDER_XLA and not _drops(layer) for layer in _layers(model))
    plain = all(layer.compute_dtype == "float32" for layer in _layers(model))
    return "xla" if simple and plain else "graph"


def _drops(layer: Any) -> bool:
    """Whether a recurrent layer has dropout; XLA is slow at random numbers."""
    return bool(getattr(layer, "dropout", 0) or getattr(layer, "recurrent_dropout", 0))


def _layers(model: Any) -> list[Any]:
    return list(model._flatten_layers(include_self=False))  # noqa: SLF001 - nested ones too
