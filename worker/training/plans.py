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
)


def choose_plan(model: Any, wanted: str) -> str:
    """``graph`` or ``xla``; a wish for one of them is granted as it is."""
    if wanted != "auto":
        return wanted
    layers = list(model._flatten_layers(include_self=False))  # noqa: SLF001 - nested ones too
    simple = all(type(layer) in _FAST_UNDER_XLA for layer in layers)
    plain = keras.config.dtype_policy().name == "float32"
    return "xla" if simple and plain else "graph"
