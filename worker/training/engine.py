"""The training loop inside the graph: many steps a call, the data already on the device.

    engine = Engine(model, program, plan)
    engine.begin_epoch(order)                   # take the order, reset the metrics
    engine.train(first_batch, count)            # `count` steps; the numerics are those of `model.fit`
    engine.logs()                               # the running metrics
    engine.validate(should_stop)                # the metrics over the validation part
    Predictor(model, x, 32, limit).run(stop)    # the outputs for each sample

A *plan* says how the steps are compiled. ``graph``: TensorFlow's executor and kernels, the same bits
as ``fit``. ``xla``: the whole loop as one XLA program, other bits, several times faster where XLA
is good. How many steps one call runs (``Pace``) is few enough to obey a stop at once and enough to be fast; bits never
depend on how the steps are cut into calls. Knows nothing of checkpoints.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keepfit.shared.errors import InvalidSpec
from keepfit.worker.training import device
from keepfit.worker.training.bits import needs_unknown_batch
from keepfit.worker.training.keras_private import build_metrics
from keepfit.worker.training.program import Arrays, Program
from keepfit.worker.training.source import Order, Source, as_keras_takes_it, open_source

TARGET_S = 0.2
FIRST_STEPS = 4
_GROWTH = 8
_WEIGHT = 0.5


class Pace:
    """The length of the next chunk, and the speed so far."""

    def __init__(self, chunk_steps: int | None = None) -> None:
        self._fixed = chunk_steps
        self._last = 0
        self.steps_per_s = 0.0

    def steps(self, limit: int) -> int:
        """Steps to run now, at most ``limit``."""
        if self._fixed:
            return min(limit, self._fixed)
        if not self.steps_per_s:
            return min(limit, FIRST_STEPS)
        wanted = min(int(self.steps_per_s * TARGET_S), self._last * _GROWTH)
        return max(1, min(limit, wanted))

    def record(self, steps: int, seconds: float) -> None:
        """Take note of one chunk. The first one is left out: it compiles."""
        if self._last:
            speed = steps / max(seconds, 1e-6)
            self.steps_per_s += (speed - self.steps_per_s) * (_WEIGHT if self.steps_per_s else 1.0)
        self._last = max(steps, FIRST_STEPS)


class Steps:
    """A step of a model (training or test), repeated in the graph over the batches of a source."""

    def __init__(self, model: Any, step: Callable[[Any], Any], source: Source, plan: str) -> None:
        self._model, self._step, self._source = model, step, source
        self._compiles = plan == "xla"
        repeat = tf.function(self._repeat, jit_compile=self._compiles, autograph=False)
        self._loop = _of_any_batch(repeat) if not self._compiles and needs_unknown_batch(model) else repeat
        # A partial batch has another shape; one step an epoch is not worth a compilation.
        self._once = tf.function(self._on_rows, autograph=False)

    def run(self, first: int, count: int) -> Any:
        """Do the batches ``first`` to ``first + count - 1`` and return the running metrics."""
        logs: Any = {}
        for logs in self.calls(first, count):  # noqa: B007 - the last ones are those of all
            pass
        return logs

    def calls(self, first: int, count: int) -> Iterator[Any]:
        """The same, with what each call of the loop answers."""
        last = first + count
        while first < min(last, self._source.full):
            window = self._source.window(first)
            steps = min(last, window.stop) - first
            yield self._loop(window.data, window.rows, tf.constant(first - window.start), tf.constant(steps))
            self._keep_compiled()
            first += steps
        if first < last:
            yield self._once(*self._source.rest())

    def _keep_compiled(self) -> None:
        if self._compiles:
            self._compiles = False
            device.publish()

    def _repeat(self, data: Any, rows: Any, first: Any, count: Any) -> Any:
        def body(done: Any) -> Any:
            # A gather and not a slice: XLA would compile anew for each value of a slice's start.
            self._on_rows(data, tf.gather(rows, first + done))
            return done + 1

        tf.while_loop(lambda done: done < count, body, [tf.constant(0)], parallel_iterations=1)
        return self._model.get_metrics_result()

    def _on_rows(self, data: Any, ids: Any) -> Any:
        self._step(tf.nest.map_structure(lambda a: tf.gather(a, ids), data))
        return self._model.get_metrics_result()


class Outputs(Steps):
    """A step whose answers are collected, in the order of the samples, instead of the metrics."""

    def _repeat(self, data: Any, rows: Any, first: Any, count: Any) -> Any:
        like = tf.nest.map_structure(lambda a: tf.TensorSpec(a.shape, a.dtype), data)
        one = self._once.get_concrete_function(like, tf.TensorSpec(rows.shape[1:], rows.dtype)).structured_outputs
        collected = tf.nest.map_structure(lambda o: tf.TensorArray(o.dtype, count, element_shape=o.shape), one)

        def body(done: Any, collected: Any) -> Any:
            found = self._on_rows(data, tf.gather(rows, first + done))
            return done + 1, tf.nest.map_structure(lambda array, one: array.write(done, one), collected, found)

        loop = [tf.constant(0), collected]
        _, collected = tf.while_loop(lambda done, _: done < count, body, loop, parallel_iterations=1)
        return tf.nest.map_structure(lambda array: array.concat(), collected)

    def _on_rows(self, data: Any, ids: Any) -> Any:
        return self._step(tf.nest.map_structure(lambda a: tf.gather(a, ids), data))


def _of_any_batch(repeat: Any) -> Callable[..., Any]:
    """``repeat`` traced for batches of unknown length, as ``fit`` traces its step: some layers choose kernels by it."""
    traced: list[Any] = []

    def call(data: Any, rows: Any, first: Any, count: Any) -> Any:
        if not traced:
            traced.append(repeat.get_concrete_function(data, tf.TensorSpec([None, None], rows.dtype), first, count))
        return traced[0](data, rows, first, count)

    return call


class Engine:
    """Trains one model on one set of arrays."""

    def __init__(self, model: Any, program: Program, plan: str) -> None:
        train = weighted(program.train, program.class_weight)
        build(model, first_batch(train, program.batch_size))
        self._model, self._program = model, program
        self._source = open_source(train, program.batch_size, program.resident_bytes)
        self._steps = Steps(model, model.train_step, self._source, plan)
        self._validator: Evaluator | None = None
        self.left_out: tuple[str, ...] = ()
        """The metrics that are more than one number, once there are some."""
        self.samples, self.batches = self._source.samples, program.batches

    def begin_epoch(self, order: Order, reset: bool = True) -> None:
        """Take the order of an epoch; the metrics start anew unless the epoch is resumed in its middle."""
        self._source.begin(order)
        if reset:
            self._model.reset_metrics()

    def train(self, first: int, count: int) -> dict[str, float]:
        """Run steps ``first`` to ``first + count - 1`` of the epoch and return the running metrics."""
        return as_floats(self._steps.run(first, count))

    def logs(self) -> dict[str, float]:
        """The metrics as ``fit`` reports them at the end of an epoch."""
        found = self._model.get_metrics_result()
        self.left_out = tuple(name for name, value in found.items() if np.size(value) != 1)
        return as_floats(found)

    def validate(self, should_stop: Callable[[], bool]) -> dict[str, float] | None:
        """The metrics over the validation part; None if stopped in between. Leaves the metrics changed."""
        if self._validator is None:
            if self._program.validation is None:
                return {}
            size = self._program.validation_batch_size or self._program.batch_size
            self._validator = Evaluator(self._model, self._program.validation, size, self._program.resident_bytes)
        return self._validator.run(should_stop)

    def close(self) -> None:
        """Stop reading ahead."""
        self._source.close()
        if self._validator is not None:
            self._validator.close()


class Evaluator:
    """Measures one model on one set of arrays, in order, with the numerics of ``model.evaluate``."""

    def __init__(self, model: Any, arrays: Arrays, batch_size: int, resident_bytes: int) -> None:
        self._model = model
        self._source = open_source(arrays, batch_size, resident_bytes)
        self._steps = Steps(model, model.test_step, self._source, "graph")
        self._pace = Pace()

    def run(self, should_stop: Callable[[], bool]) -> dict[str, float] | None:
        """The metrics; None if stopped in between."""
        self._model.reset_metrics()
        self._source.begin(np.arange(self._source.samples, dtype=np.int32))
        done, batches = 0, self._source.full + bool(self._source.remainder)
        while done < batches:
            if should_stop():
                return None
            count = self._pace.steps(batches - done)
            began = time.perf_counter()
            self._steps.run(done, count)
            self._pace.record(count, time.perf_counter() - began)
            done += count
        return as_floats(self._model.get_metrics_result())

    def close(self) -> None:
        """Stop reading ahead."""
        self._source.close()


class Predictor:
    """What one model answers to each sample of ``x``, in order, with the numerics of ``model.predict``."""

    def __init__(self, model: Any, x: Any, batch_size: int, resident_bytes: int) -> None:
        self._source = open_source(Arrays(x), batch_size, resident_bytes)
        self._steps = Outputs(model, model.predict_step, self._source, "graph")
        self._pace = Pace()

    def run(self, should_stop: Callable[[], bool]) -> Iterator[Any]:
        """The outputs, some samples at a time: arrays, or nests of arrays as the model has outputs.

        Ends early where it should stop: whoever asks for all of them counts what has come.
        """
        self._source.begin(np.arange(self._source.samples, dtype=np.int32))
        done, batches = 0, self._source.full + bool(self._source.remainder)
        while done < batches and not should_stop():
            count = self._pace.steps(batches - done)
            began = time.perf_counter()
            found = [tf.nest.map_structure(lambda o: o.numpy(), some) for some in self._steps.calls(done, count)]
            self._pace.record(count, time.perf_counter() - began)
            done += count
            yield from found

    def close(self) -> None:
        """Stop reading ahead."""
        self._source.close()


def first_batch(arrays: Arrays, batch_size: int) -> Any:
    """What a model is built from."""
    return tf.nest.map_structure(lambda a: as_keras_takes_it(np.asarray(a[:batch_size])), arrays.as_tuple())


def build(model: Any, batch: Any) -> None:
    """Make every variable of ``model`` now: layers, metrics, optimizer; as ``fit`` does before its first step."""
    build_metrics(model, batch)
    if model.optimizer is not None and not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)


def weighted(arrays: Arrays, class_weight: Mapping[int, float] | None) -> Arrays:
    """``arrays`` with class weights made into sample weights, as ``fit`` does."""
    if not class_weight:
        return arrays
    if arrays.sample_weight is not None:
        raise InvalidSpec("Class weights and sample weights cannot be combined, in Keras neither.")
    labels = np.asarray(arrays.y)
    if labels.ndim > 1:
        labels = labels.argmax(-1) if labels.shape[-1] != 1 else labels[:, 0]
    of_class = [class_weight.get(int(label), 1.0) for label in np.round(labels).astype(np.int32)]
    weights = np.asarray(of_class, dtype=keras.config.floatx())
    return Arrays(arrays.x, arrays.y, weights)


def as_floats(logs: Any) -> dict[str, float]:
    """Metrics as Python floats; those of more than one number are left out."""
    return {name: float(np.reshape(value, ())) for name, value in logs.items() if np.size(value) == 1}
