"""The training loop inside the graph: many steps a call, the data already on the device.

    engine = Engine(model, program, plan)
    engine.begin_epoch(order)                   # upload the order, reset the metrics
    engine.train(first_batch, count)            # `count` steps; the numerics are those of `model.fit`
    engine.logs()                               # the running metrics
    engine.evaluate(arrays, should_stop)        # the metrics over other arrays

A *plan* says how the steps are compiled. ``graph``: TensorFlow's executor and kernels, the same bits
as ``fit``. ``xla``: the whole loop as one XLA program, other bits, several times faster where XLA
is good. Bits never depend on how the steps are cut into calls. Knows nothing of checkpoints.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from worker.training.order import Order
from worker.training.program import Arrays, Program


class Engine:
    """Trains one model on one set of arrays."""

    def __init__(self, model: Any, program: Program, plan: str) -> None:
        self._model, self._batch_size = model, program.batch_size
        train = weighted(program.train, program.class_weight)
        parts = train.as_tuple()
        self._data = tf.nest.map_structure(tf.constant, parts)
        self.samples = len(train)
        self.batches = program.batches
        self._full = self.samples // self._batch_size
        self._rows: Any = None
        self._rest: Any = None
        # The step of a partial batch has another shape; one step an epoch is not worth a compilation.
        self._loop = tf.function(self._steps, jit_compile=plan == "xla", autograph=False)
        self._tail = tf.function(self._step, autograph=False)
        self._evaluators: dict[int, Evaluator] = {}
        build(model, tf.nest.map_structure(lambda a: a[: self._batch_size], parts))

    def begin_epoch(self, order: Order, reset: bool = True) -> None:
        """Take the order of an epoch; the metrics start anew unless the epoch is resumed in the middle."""
        cut = self._full * self._batch_size
        self._rows, self._rest = (
            tf.constant(order[:cut].reshape(self._full, self._batch_size)),
            tf.constant(order[cut:]),
        )
        if reset:
            self._model.reset_metrics()

    def train(self, first: int, count: int) -> dict[str, float]:
        """Run steps ``first`` to ``first + count - 1`` of the epoch and return the running metrics."""
        logs: Any = {}
        full = min(count, self._full - first)
        if full > 0:
            logs = self._loop(self._data, self._rows, tf.constant(first), tf.constant(full))
        if count > max(full, 0):
            logs = self._tail(self._data, self._rest)
        return as_floats(logs)

    def logs(self) -> dict[str, float]:
        """The metrics as ``fit`` reports them at the end of an epoch."""
        return as_floats(self._model.get_metrics_result())

    def evaluate(self, arrays: Arrays, batch_size: int, should_stop: Callable[[], bool]) -> dict[str, float] | None:
        """The metrics over ``arrays``; None if stopped in between. Leaves the metrics changed."""
        key = id(arrays)
        if key not in self._evaluators:
            self._evaluators[key] = Evaluator(self._model, arrays, batch_size)
        return self._evaluators[key].run(should_stop)

    def _steps(self, data: Any, rows: Any, first: Any, count: Any) -> Any:
        def step(done: Any) -> Any:
            # A gather and not a slice: XLA would compile anew for each value of a slice's start.
            self._step(data, tf.gather(rows, first + done))
            return done + 1

        tf.while_loop(lambda done: done < count, step, [tf.constant(0)], parallel_iterations=1)
        return self._model.get_metrics_result()

    def _step(self, data: Any, ids: Any) -> Any:
        self._model.train_step(tf.nest.map_structure(lambda a: tf.gather(a, ids), data))
        return self._model.get_metrics_result()


class Evaluator:
    """Measures one model on one set of arrays, in order."""

    _CHUNK_SAMPLES = 4096

    def __init__(self, model: Any, arrays: Arrays, batch_size: int) -> None:
        self._model, self._batch_size = model, batch_size
        self._data = tf.nest.map_structure(tf.constant, arrays.as_tuple())
        self._full, self._rest = divmod(len(arrays), batch_size)
        self._loop = tf.function(self._steps, autograph=False)
        self._tail = tf.function(model.test_step, autograph=False)

    def run(self, should_stop: Callable[[], bool]) -> dict[str, float] | None:
        """The metrics, computed as ``model.evaluate`` does; None if stopped in between."""
        self._model.reset_metrics()
        chunk = max(1, self._CHUNK_SAMPLES // self._batch_size)
        for first in range(0, self._full, chunk):
            if should_stop():
                return None
            self._loop(self._data, tf.constant(first), tf.constant(min(chunk, self._full - first)))
        if self._rest:
            cut = self._full * self._batch_size
            self._tail(tf.nest.map_structure(lambda a: a[cut:], self._data))
        return as_floats(self._model.get_metrics_result())

    def _steps(self, data: Any, first: Any, count: Any) -> None:
        def step(done: Any) -> Any:
            start = (first + done) * self._batch_size
            self._model.test_step(tf.nest.map_structure(lambda a: a[start : start + self._batch_size], data))
            return done + 1

        tf.while_loop(lambda done: done < count, step, [tf.constant(0)], parallel_iterations=1)


def build(model: Any, batch: Any) -> None:
    """Make every variable of ``model`` now: layers, metrics, optimizer; as ``fit`` does before its first step."""
    model._symbolic_build(data_batch=batch)  # noqa: SLF001 - there is no public way to build the metrics
    if model.optimizer is not None and not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)


def weighted(arrays: Arrays, class_weight: Any) -> Arrays:
    """``arrays`` with class weights made into sample weights, as ``fit`` does."""
    if not class_weight:
        return arrays
    labels = np.asarray(arrays.y)
    if labels.ndim > 1:
        labels = labels.argmax(-1) if labels.shape[-1] != 1 else labels[:, 0]
    of_class = [class_weight.get(int(label), 1.0) for label in np.round(labels).astype(np.int32)]
    weights = np.asarray(of_class, dtype=keras.config.floatx())
    if arrays.sample_weight is not None:
        weights = np.asarray(arrays.sample_weight, dtype=weights.dtype) * weights
    return Arrays(arrays.x, arrays.y, weights)


def as_floats(logs: Any) -> dict[str, float]:
    """Metrics as Python floats."""
    return {name: float(value) for name, value in logs.items()}
