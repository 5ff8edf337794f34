"""What is to be trained, as a value: any Keras model, its arrays, and how long. Knows nothing of jobs.

    program = Program(build_model=practice_model, train=Arrays(x, y), epochs=10, batch_size=32, seed=1)

``build_model`` returns a compiled model; it is called once in each attempt, right after the seeds
are set, and must build the same model each time. ``build_callbacks`` likewise returns fresh Keras
callbacks, of the kinds whose state ``worker.training.callbacks`` can keep.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

from keepfit.shared.errors import InvalidSpec
from keepfit.shared.spec.task import DEFAULT_TASK, Task
from keepfit.worker.training.model_state import raw_bytes

RESIDENT_BYTES = 512 << 20
TEST_BATCH_SIZE = 32
"""The default of ``model.evaluate``, so that a person who tries it reads the very same numbers."""
_SAMPLED_ABOVE = 1 << 30
_SAMPLE, _SAMPLES = 1 << 20, 64


@dataclass(frozen=True)
class Arrays:
    """Samples with targets: arrays, or nests of arrays, of equal length. Memory-mapped arrays are welcome."""

    x: Any
    y: Any = None
    sample_weight: Any = None

    def as_tuple(self) -> tuple[Any, ...]:
        """In the form that ``train_step`` takes."""
        parts = [self.x, self.y, self.sample_weight]
        while parts[-1] is None:
            parts.pop()
        return tf.nest.map_structure(_as_array, tuple(parts))  # type: ignore[no-any-return]

    def __len__(self) -> int:
        lengths = {len(a) for a in tf.nest.flatten(self.as_tuple()) if a is not None}
        if len(lengths) != 1:
            raise InvalidSpec(f"The arrays of a data set must be of equal length, these have {sorted(lengths)}.")
        return int(lengths.pop())

    def split(self, share: float) -> tuple["Arrays", "Arrays | None"]:
        """Training part and validation part: the last ``share`` of the samples, before any shuffling, as Keras does."""
        count = len(self)
        cut = count - int(count * share)
        if cut == count:
            return self, None
        parts = self.as_tuple()
        first = tf.nest.map_structure(lambda a: a[:cut], parts)
        last = tf.nest.map_structure(lambda a: a[cut:], parts)
        return Arrays(*first), Arrays(*last)

    def digest(self) -> str:
        """sha256 over all bytes, shapes and types; above 1 GiB over 64 evenly spread samples of 1 MiB an array."""
        sha = hashlib.sha256()
        for array in tf.nest.flatten(self.as_tuple()):
            sha.update(f"{array.dtype.str}{array.shape}".encode())
            raw = raw_bytes(array)
            if raw.nbytes <= _SAMPLED_ABOVE:
                sha.update(raw)
            else:
                for start in np.linspace(0, raw.nbytes - _SAMPLE, _SAMPLES, dtype=np.int64):
                    sha.update(raw[start : start + _SAMPLE])
        return sha.hexdigest()


def _as_array(array: Any) -> Any:
    return array if array is None or isinstance(array, np.ndarray) else np.asarray(array)


@dataclass(frozen=True)
class CheckpointPolicy:
    """How often state is saved, besides step 0, a stop and the end of training."""

    interval_s: float = 10.0
    every_steps: int | None = None
    each_epoch: bool = True
    """Epoch ends closer together than ``worker.training.saving`` allows are skipped."""


@dataclass(frozen=True)
class Program:
    """Everything that decides the outcome of a training run."""

    build_model: Callable[[], Any]
    train: Arrays
    epochs: int
    batch_size: int
    seed: int
    validation: Arrays | None = None
    test: Arrays | None = None
    class_weight: Mapping[int, float] | None = None
    build_callbacks: Callable[[], list[Any]] = field(default=list)
    policy: CheckpointPolicy = CheckpointPolicy()
    plan: str = "auto"
    shuffle: bool = True
    validation_batch_size: int | None = None
    resident_bytes: int = RESIDENT_BYTES
    """Arrays up to this size are held in memory; bigger ones are read from their file as they are needed."""
    digest: str = ""
    """Of the spec that this program was made from; a checkpoint of another program is refused."""
    task: Task = DEFAULT_TASK
    """What it is trained for: which metric counts, and what makes a checkpoint the best one."""
    made_for: Mapping[str, Any] = field(default_factory=dict)
    """What ``build_model`` was told of the data; kept with the model's signature."""
    notes: tuple[str, ...] = ()
    """What people should know of its data before the first step."""

    @property
    def parts(self) -> dict[str, Arrays]:
        """All the data that a job uses, by the name of the part."""
        named = {"training": self.train, "validation": self.validation, "test": self.test}
        return {name: arrays for name, arrays in named.items() if arrays is not None}

    def digests(self) -> dict[str, str]:
        """The digest of each part."""
        return {name: arrays.digest() for name, arrays in self.parts.items()}

    @property
    def batches(self) -> int:
        """Steps an epoch, a partial last batch included."""
        return -(-len(self.train) // self.batch_size)
