"""The sentence that matters, out of what Keras and TensorFlow really raise: each error here is provoked, not quoted."""

import errno
import os
import re
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from keepfit.worker.training import failures

L = keras.layers
X, Y = np.zeros((8, 8, 8, 1), np.uint8), np.zeros(8, np.int64)
MEMORY = "Out of memory: the model and its batches do not fit. A smaller batch size needs less."
NOISE = re.compile(
    r"File \"|node|most recent call|Arguments received|\[Op:|__inference|/job:|site-packages|\{\{|0x[0-9a-f]{6}"
)


def fit(*layers: Any, loss: str = "sparse_categorical_crossentropy", x: Any = X, y: Any = Y, **how: Any) -> None:
    """Train a model of ``layers`` for an epoch, in Keras."""
    model = keras.Sequential([L.Input(x.shape[1:]), *layers])
    model.compile(**{"optimizer": "sgd", "loss": loss, **how})
    model.fit(x, y, verbose=0)


def flat(**how: Any) -> None:
    """Train a model of two layers."""
    fit(L.Flatten(), L.Dense(4), **how)


class Own(keras.layers.Layer):
    """A person's own layer."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self._function = function

    def call(self, inputs: Any) -> Any:
        """Whatever the test wants."""
        return self._function(inputs)


def wants_colours(pictures: Any) -> Any:
    """Refuse grey pictures."""
    raise ValueError(f"my layer wants three channels, this has {pictures.shape[-1]}")


def times_nine(pictures: Any) -> Any:
    """Multiply matrices that do not fit."""
    return tf.matmul(tf.cast(pictures, tf.float32), tf.zeros((3, 3)))


def compiled_strings() -> Any:
    """Have XLA compile what it cannot."""
    return tf.function(lambda x: tf.strings.to_number(tf.strings.as_string(x)), jit_compile=True)(tf.constant([1, 2]))


@pytest.mark.parametrize(
    ("provoke", "said"),
    [
        (lambda: flat(y=Y + 10), "Keras refused: a label is 10, but the model tells 4 classes apart, 0 to 3."),
        (lambda: flat(y=Y + 10, run_eagerly=True), "a label is 10, but the model tells 4 classes apart"),
        (lambda: flat(y=Y - 1), "a label is -1, but the model tells 4 classes apart"),
        (lambda: flat(loss="mse", y=np.zeros((8, 3))), "Dimensions must be equal, but are 3 and 4 with input shapes"),
        (lambda: flat(loss="categorical_crossentropy"), "target.shape=(None,), output.shape=(None, 4)"),
        (lambda: flat(loss="binary_crossentropy", y=np.zeros((8, 3))), "must have the same shape. Received: target"),
        (lambda: flat(loss="sparse_crossentropy"), "Could not interpret loss identifier: sparse_crossentropy"),
        (lambda: flat(optimizer="adamm"), "Could not interpret optimizer identifier: adamm"),
        (lambda: flat(metrics=["acuracy"]), "Could not interpret metric identifier: acuracy"),
        (lambda: flat(y=np.zeros(5)), "Make sure all arrays contain the same number of samples"),
        (lambda: keras.Sequential([L.Input((4,)), L.Dense(3)])(np.zeros((2, 5))), "of input shape to have value 4"),
        (lambda: keras.Sequential([L.Input((8, 8, 1)), L.Conv2D(2, 11)]), "output size would be zero or negative"),
        (lambda: keras.Sequential([L.Input((8, 8, 1)), L.Reshape((7, 7))]), "size of the tensor must be unchanged"),
        (lambda: keras.Sequential([L.Input((8,)), L.LSTM(3)]), "expected ndim=3, found ndim=2"),
        (lambda: L.concatenate([L.Input((3, 2)), L.Input((4, 2))]), "requires inputs with matching shapes"),
        (lambda: L.Add()([L.Input((3,)), L.Input((4,))]), "incompatible shapes. Received shapes (3,) and (4,)"),
        (lambda: fit(L.Flatten(), L.Embedding(5, 4), L.Flatten(), L.Dense(4), x=X + 25), "= 25 is not in [0, 5)"),
        (lambda: fit(Own(times_nine), L.Flatten(), L.Dense(4)), "Dimensions must be equal, but are 1 and 3"),
        (lambda: Own(times_nine)(np.zeros((2, 4), np.float32)), "Matrix size-incompatible: In[0]: [2,4], In[1]: [3,3]"),
        (lambda: fit(Own(wants_colours), L.Flatten(), L.Dense(4)), "my layer wants three channels, this has 1"),
        (lambda: fit(Own(lambda x: x if x > 0 else -x), L.Flatten()), "as a Python `bool` is not allowed"),
        (lambda: tf.constant([1, 2]) + tf.constant([1, 2, 3]), "Incompatible shapes: [2] vs. [3]"),
        (lambda: tf.constant([1, 2]) + tf.constant([1.0, 2.0]), "expected to be a int32 tensor but is a float tensor"),
        (lambda: tf.function(lambda i: tf.gather(tf.zeros(3), i))(tf.constant([7])), "indices[0] = 7 is not in [0, 3)"),
        (compiled_strings, 'XLA cannot compile AsString, which this model uses. The plan "graph" can.'),
        (lambda: tf.zeros((1 << 45,)), MEMORY),
        (lambda: np.ones(64 * 10**12, np.float32), MEMORY),
        (lambda: keras.Sequential([L.Input((64,)), L.Dense(10**12)]), MEMORY),
    ],
)  # fmt: skip
def test_the_sentence_that_matters_is_found(provoke: Callable[[], Any], said: str) -> None:
    """No stack, no node, no path: what was wrong, in a line."""
    with pytest.raises((Exception,)) as raised:
        provoke()

    reason = str(failures.reason_of(raised.value))

    assert said in reason
    assert not NOISE.search(reason), reason
    assert reason.isprintable()
    assert len(reason) < 520


@pytest.mark.parametrize(
    "exc",
    [
        RuntimeError("std::bad_alloc"),
        tf.errors.InternalError(None, None, "Failed to allocate memory for the batch of inputs"),
        tf.errors.UnknownError(None, None, "CUDA_ERROR_OUT_OF_MEMORY: out of memory"),
        RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 8589934592 bytes."),
        OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
    ],
    ids=str,
)
def test_memory_is_named_in_whatever_words_it_runs_out(exc: Exception) -> None:
    """Of C++, of devices, of XLA, of the system."""
    assert str(failures.reason_of(exc)) == MEMORY
    assert failures.is_expected(exc)


@pytest.mark.parametrize(
    "exc",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        RuntimeError(
            f"Can't write data (file write failed: errno = 28, error message = '{os.strerror(errno.ENOSPC)}')"
        ),
        tf.errors.ResourceExhaustedError(None, None, f"/data/x; {os.strerror(errno.ENOSPC)}"),
    ],
    ids=str,
)
def test_a_full_disk_is_no_lack_of_memory(exc: Exception) -> None:
    """TensorFlow gives both the same class."""
    assert str(failures.reason_of(exc)).startswith("The disk takes no more writes (No space left on device).")


def test_a_path_of_this_machine_is_only_a_name() -> None:
    """And a long text ends at the end of a sentence."""
    refused = ValueError("cannot open /home/somebody/secret/weights.h5: no such file. " + "More. " * 200)
    reason = str(failures.reason_of(refused))

    assert reason.startswith("Keras refused: cannot open weights.h5: no such file. More.")
    assert reason.endswith("More.")
