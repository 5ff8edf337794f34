"""What the bits of a training run depend on besides its spec: versions, CPU, threads, and how its steps are compiled.

    configure(threads=2)                 # before TensorFlow's first op
    fingerprint()                        # recorded with each attempt
    differences(then, now)               # in words; empty means the same bits
    plan = choose_plan(model, wanted)    # a rule on its layers, so that the same spec has the same plan everywhere

A trial on the clock would choose a better plan now and then, but two runs of one spec could then end with
different bits. The measurements behind the rule are in docs/benchmarks.md.
"""

import hashlib
import os
import platform
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from keepfit.worker.training.keras_private import layers_of

_LIBRARIES = ("tensorflow", "keras", "numpy")
_NUMERIC = ("TF_ENABLE_ONEDNN_OPTS", "ONEDNN_MAX_CPU_ISA", "XLA_FLAGS", "TF_XLA_FLAGS", "TF_DETERMINISTIC_OPS",
            "TENSORFLOW_USE_CUSTOM_CONTRACTION_KERNEL")  # fmt: skip
_WORDS = {
    "python": "Python", "tensorflow": "TensorFlow", "keras": "Keras", "numpy": "NumPy", "machine": "machine type",
    "cpu": "CPU", "cpu_flags": "CPU instruction set", "threads": "threads", "libraries_environment": "TF/XLA variables",
    "deterministic_ops": "op determinism", "float": "float type",
}  # fmt: skip


def configure(threads: int) -> None:
    """Compute with ``threads`` threads. Call it before TensorFlow's first op; results depend on it."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)


def fingerprint() -> dict[str, Any]:
    """What decides the bits here: versions, CPU, threads, the libraries' own switches."""
    determinism = getattr(tf.config.experimental, "is_op_determinism_enabled", None)
    return {
        **machine(),
        "threads": tf.config.threading.get_intra_op_parallelism_threads() or os.cpu_count(),
        "deterministic_ops": bool(determinism and determinism()),
    }


def machine() -> dict[str, Any]:
    """The part of the fingerprint that can be read without waking TensorFlow."""
    model, flags = _cpu()
    # These are TensorFlow's own variables, recorded as a fact; Keepfit's settings are read in shared.settings.
    found = {name: _without_cache(os.environ.get(name, "")) for name in _NUMERIC}
    switches = {name: value for name, value in found.items() if value}
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in _LIBRARIES},
        "machine": f"{sys.platform} {platform.machine()}",
        "cpu": model,
        "cpu_flags": flags,
        "libraries_environment": switches,
    }


def xla_flags() -> list[str]:
    """The flags that XLA is, or will be, started with."""
    return os.environ.get("TF_XLA_FLAGS", "").split()


def _without_cache(flags: str) -> str:
    """Where compiled programs are kept decides no bits."""
    return " ".join(flag for flag in flags.split() if not flag.startswith("--tf_xla_persistent_cache"))


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, ...]:
    """What differs between two fingerprints, each as "threads: 2, was 4"."""
    changed = [key for key in {**then, **now} if then.get(key) != now.get(key)]
    return tuple(_in_words(key, then.get(key), now.get(key)) for key in changed)


def _in_words(key: str, then: Any, now: Any) -> str:
    name = _WORDS.get(key, key)
    return f"{name} differs" if key == "cpu_flags" else f"{name}: {now}, was {then}"


def _cpu() -> tuple[str, str]:
    """The CPU's name, and a digest of its instruction set."""
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return platform.processor() or "unknown", ""
    lines = info.read_text().split("\n\n")[0].splitlines()
    fields = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    flags = fields.get("flags") or fields.get("Features", "")
    return fields.get("model name", "unknown"), hashlib.sha256(flags.encode()).hexdigest()[:16]


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
    return any(isinstance(layer, _CHOOSE_KERNELS_BY_BATCH) for layer in layers_of(model))


def choose_plan(model: Any, wanted: str) -> str:
    """``graph`` or ``xla``; a wish for one of them is granted as it is."""
    if wanted != "auto":
        return wanted
    simple = all(type(layer) in _FAST_UNDER_XLA and not _drops(layer) for layer in layers_of(model))
    plain = all(layer.compute_dtype == "float32" for layer in layers_of(model))
    return "xla" if simple and plain else "graph"


def _drops(layer: Any) -> bool:
    """Whether a recurrent layer has dropout; XLA is slow at random numbers."""
    return bool(getattr(layer, "dropout", 0) or getattr(layer, "recurrent_dropout", 0))
