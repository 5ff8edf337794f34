"""P8 rests on this: under the graph plan the engine computes what `model.fit` computes, bit by bit."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import pytest
import tensorflow as tf

from keepfit.shared.checkpoints.manifest import newest_valid
from keepfit.worker.training import model_state
from keepfit.worker.training.model_state import Array
from keepfit.worker.training.program import Program
from keepfit.worker.training.saving import load
from keepfit.worker.training.source import as_keras_takes_it, order
from tests.training import programs
from tests.training.running import attempt, jobdir_at


class InOrder(keras.utils.PyDataset):
    """Batches for `fit` in the order that Keepfit uses, epoch by epoch."""

    def __init__(self, program: Program) -> None:
        super().__init__()
        self._program, self._epoch = program, 0

    def follow(self) -> Any:
        """The callback that tells which epoch it is; `fit` asks for batches of no epoch as well, to see their shape."""

        def turn(epoch: int, _logs: Any) -> None:
            self._epoch = epoch

        return keras.callbacks.LambdaCallback(on_epoch_begin=turn)

    def __len__(self) -> int:
        return self._program.batches

    def __getitem__(self, index: int) -> Any:
        size = self._program.batch_size
        ids = order(self._program.seed, self._epoch, len(self._program.train))[index * size : (index + 1) * size]
        return tf.nest.map_structure(lambda a: as_keras_takes_it(a[ids]), self._program.train.as_tuple())


def fitted(program: Program) -> tuple[Any, dict[str, list[float]]]:
    """Train with plain Keras: the model, and its history."""
    model_state.seed_everything(program.seed)
    model, batches = program.build_model(), InOrder(program)
    validation = program.validation.as_tuple() if program.validation else None
    history = model.fit(
        batches,
        validation_data=tf.nest.map_structure(as_keras_takes_it, validation),
        validation_batch_size=program.batch_size,
        epochs=program.epochs,
        callbacks=[batches.follow(), *program.build_callbacks()],
        class_weight=program.class_weight,
        shuffle=False,
        verbose=0,
    )
    return model, history.history


def by_fit(program: Program) -> tuple[str, list[dict[str, float]]]:
    """Digest of all state, and history."""
    model, history = fitted(program)
    rows = [{name: float(values[i]) for name, values in history.items()} for i in range(program.epochs)]
    return model_state.state_digest(model), rows


def by_engine(program: Program, path: Path) -> tuple[str, list[dict[str, float]]]:
    """The same through Keepfit; the state is the one before averages and best weights take their place."""
    jobdir = jobdir_at(path)
    attempt(program, jobdir, chunk_steps=2)
    last = newest_valid(jobdir)
    assert last is not None, "no valid checkpoint"
    loaded = load(last)
    own: list[Array] = [array for name, array in loaded.tensors.items() if "|callback|" not in name]
    return model_state.digest(own), [dict(row) for row in loaded.history.rows()]


# Where `fit` ends by replacing weights (averages, best ones), its state differs from the one before on purpose;
# those programs are compared in test_finalisation. A GRU has a test of its own below.
SAME = [name for name in programs.some_names() if "+ema" not in name and "plateau" not in name and "gru" not in name]

# What the dozen leaves out: every other model, and every other optimizer.
MORE = (
    "augmented+adam+constant", "lstm+adam+cosine", "noise+lion+constant", "two-inputs+scaled+constant",
    "mixed+scaled+cosine", "mlp+accumulating+constant", "dropout+clipnorm+constant",
)  # fmt: skip


@pytest.mark.parametrize(
    "name", [*SAME, *MORE, "class-weights", "sample-weights", "larger-batch-than-data", "one-sample", "streamed"]
)
def test_engine_gives_the_bits_of_fit(name: str, tmp_path: Path) -> None:
    """Weights, optimizer, seeds, metrics and history."""
    program = programs.build(name)

    assert by_engine(program, tmp_path) == by_fit(program)


@pytest.fixture
def same_kernels() -> Iterator[None]:
    """Neither `fit` nor the engine gets the two rewrites of TensorFlow's that choose by where a GRU's loop stands."""
    rewrites = ("arithmetic_optimization", "remapping")
    tf.config.optimizer.set_experimental_options(dict.fromkeys(rewrites, False))
    yield
    tf.config.optimizer.set_experimental_options(dict.fromkeys(rewrites, True))


@pytest.mark.parametrize("name", ["gru+sgd+constant", "gru+accumulating+constant", "gru+adamw+cosine"])
@pytest.mark.usefixtures("same_kernels")
def test_engine_gives_the_bits_of_fit_for_a_gru_on_the_same_kernels(name: str, tmp_path: Path) -> None:
    """Left to itself, TensorFlow sums and fuses a GRU's gradients in another way inside of a loop (docs/resume.md)."""
    program = programs.build(name)

    assert by_engine(program, tmp_path) == by_fit(program)


@pytest.mark.parametrize("name", ["lstm+ema+constant", "noise+lion+plateau", "mixed+adamw+plateau"])
def test_finalisation_gives_the_weights_of_fit(name: str, tmp_path: Path) -> None:
    """Averaged weights and best weights end up in the model as `fit` leaves them."""
    program = programs.build(name)
    result = attempt(program, jobdir_at(tmp_path / "job"))

    model, _ = fitted(program)

    assert result.weights_sha256 == model_state.weights_digest(model)
