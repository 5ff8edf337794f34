"""What the bits of a training run depend on besides its spec, and how threads are set.

configure(threads=2)                 # before TensorFlow's first op
fingerprint()                        # recorded with each attempt
differences(then, now)               # in words; empty means the same bits
"""

import hashlib
import os
import platform
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tensorflow as tf

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
