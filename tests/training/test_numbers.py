"""No job succeeds with a number that means nothing: weights, watched metrics and figures; the cause is named."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from keepfit.shared.checkpoints.manifest import checkpoints_of
from keepfit.shared.jobs.events import CheckpointSaved, LogLine
from keepfit.shared.jobs.states import Outcome
from keepfit.worker.training.program import Arrays, CheckpointPolicy, Program
from keepfit.worker.training.saving import load
from tests.training import programs
from tests.training.running import Recorder, StopAfter, attempt, jobdir_at

L = keras.layers


@keras.saving.register_keras_serializable("tests")
class Poison(keras.layers.Layer):
    """Holds a weight that becomes NaN at a step, which the loss never sees."""

    def __init__(self, at: int = 4, from_the_start: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._at, self._from_the_start = at, from_the_start

    def build(self, shape: Any) -> None:
        """Make the weight and the count of steps."""
        value = float("-inf") if self._from_the_start else 0.0
        self.hidden = self.add_weight(shape=(3,), initializer=keras.initializers.Constant(value), trainable=False)
        self.count = self.add_weight(shape=(), initializer="zeros", trainable=False)
        super().build(shape)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Pass the inputs on."""
        if training and not self._from_the_start:
            self.count.assign_add(1.0)
            self.hidden.assign(keras.ops.where(self.count >= self._at, float("nan"), 0.0) * keras.ops.ones(3))
        return inputs


def poisoned(**how: Any) -> Program:
    """A program whose loss stays finite."""

    def build_model() -> Any:
        model = keras.Sequential(
            [L.Input((8, 8, 1)), L.Rescaling(1 / 255), L.Flatten(), Poison(**how), L.Dense(4, activation="softmax")]
        )
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    return programs.compose("mlp", build_model=build_model)


def finite(folder: Path) -> bool:
    """Whether every checkpoint below holds finite weights."""
    tensors = [t for c in checkpoints_of(jobdir_at(folder)) for t in load(c).tensors.values()]
    return all(np.isfinite(t).all() for t in tensors if t.dtype.kind == "f")


def test_weights_that_are_no_numbers_fail_the_job_whatever_the_loss_says(tmp_path: Path) -> None:
    """Found where checkpoints are written; none is written as a good one."""
    result = attempt(poisoned(), jobdir_at(tmp_path / "job"))

    assert result.outcome is Outcome.FAILED
    assert "the model's weights are no numbers any more" in str(result.reason)
    assert "holds nan" in str(result.reason)
    assert "By step 4 " in str(result.reason)
    assert finite(tmp_path / "job")


def test_the_very_last_step_is_looked_at_too(tmp_path: Path) -> None:
    """No epoch comes after it."""
    last = programs.EPOCHS * programs.compose("mlp").batches

    result = attempt(poisoned(at=last), jobdir_at(tmp_path / "job"))

    assert result.outcome is Outcome.FAILED
    assert f"By step {last} " in str(result.reason)


def test_a_stop_saves_no_weights_that_are_no_numbers(tmp_path: Path) -> None:
    """The job fails where it would have stopped: going on from there gives the same."""
    policy = CheckpointPolicy(interval_s=1000, each_epoch=False)
    program = Program(**{**vars(poisoned(at=2)), "policy": policy})

    result = attempt(program, jobdir_at(tmp_path / "job"), StopAfter(4))

    assert result.outcome is Outcome.FAILED
    assert finite(tmp_path / "job")


def test_what_never_was_finite_may_stay_so(tmp_path: Path) -> None:
    """A mask of infinities, say: no false alarm, in this attempt or the next."""
    jobdir = jobdir_at(tmp_path / "job")

    assert attempt(poisoned(from_the_start=True), jobdir, StopAfter(4)).outcome is Outcome.STOPPED
    assert attempt(poisoned(from_the_start=True), jobdir).outcome is Outcome.FINISHED


def test_data_of_a_wild_scale_are_named_as_the_cause(tmp_path: Path) -> None:
    """Whatever overflows first: no learning rate would cure that."""
    x = np.zeros((20, 8, 8, 1), np.float32)
    x[::2] = 3e38
    data = Arrays(x, np.zeros(20, np.int64))

    result = attempt(programs.compose("batchnorm", train=data, validation=None), jobdir_at(tmp_path / "job"))

    assert result.outcome is Outcome.FAILED
    assert "The training data hold values as large as 3e+38: scale them down" in str(result.reason)


def test_a_scaled_loss_may_skip_steps(tmp_path: Path) -> None:
    """The first steps overflow in 16 bits and are skipped: that is how the scale is found."""

    def build_model() -> Any:
        model = programs.MODELS["mixed"]()
        scaled = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.01), initial_scale=2.0**40)
        model.compile(scaled, "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    result = attempt(programs.compose("mlp", build_model=build_model), jobdir_at(tmp_path / "job"))

    assert result.outcome is Outcome.FINISHED, result.reason


@keras.saving.register_keras_serializable("tests")
def nan_when_evaluated(y_true: Any, y_pred: Any) -> Any:
    """A metric that is no number."""
    return keras.ops.mean(y_pred, axis=-1) * float("nan")


def watching(monitor: str, kind: Any = keras.callbacks.EarlyStopping) -> Program:
    """A program with a metric that is NaN, and a callback that watches ``monitor``."""

    def build_model() -> Any:
        model = programs.MODELS["mlp"]()
        model.compile("adam", "sparse_categorical_crossentropy", metrics=[nan_when_evaluated, "accuracy"])
        return model

    return programs.compose("mlp", build_model=build_model, build_callbacks=lambda: [kind(monitor=monitor)])


@pytest.mark.parametrize("kind", [keras.callbacks.EarlyStopping, keras.callbacks.ReduceLROnPlateau])
@pytest.mark.parametrize("monitor", ["val_nan_when_evaluated", "nan_when_evaluated"])
def test_a_watched_metric_that_is_no_number_fails_at_its_first_epoch(monitor: str, kind: Any, tmp_path: Path) -> None:
    """It would pass for "has not improved", in silence."""
    result = attempt(watching(monitor, kind), jobdir_at(tmp_path / "job"))

    assert result.outcome is Outcome.FAILED
    assert str(result.reason).startswith(f"{monitor} is nan at the end of epoch 1, which {kind.__name__} watches")


def test_a_metric_that_nobody_watches_ends_nothing_and_leaves_as_null(tmp_path: Path) -> None:
    """In the rows, in the checkpoint's history, in the result."""
    jobdir = jobdir_at(tmp_path / "job")

    result = attempt(watching("val_accuracy"), jobdir)

    assert result.outcome is Outcome.FINISHED
    files = [path for path in jobdir.path.rglob("*") if path.suffix in {".json", ".jsonl"}]
    for path in files:
        for text in path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]:
            json.loads(text, parse_constant=pytest.fail)
    assert any('"nan_when_evaluated":null' in path.read_text() for path in files)


def test_figures_of_the_test_part_that_are_no_numbers_fail_the_job(tmp_path: Path) -> None:
    """There is nothing to show."""
    program = watching("val_accuracy")
    result = attempt(Program(**{**vars(program), "test": program.validation}), jobdir_at(tmp_path / "job"))

    assert result.outcome is Outcome.FAILED
    assert str(result.reason).startswith("The nan_when_evaluated on the test part is nan")


def test_metrics_of_more_than_one_number_are_left_out_with_a_word(tmp_path: Path) -> None:
    """F1 of each class: it ends nothing, the scalars beside it are kept."""

    def build_model() -> Any:
        model = programs.MODELS["mlp"]()
        model.compile("adam", "categorical_crossentropy", metrics=[keras.metrics.F1Score(average=None), "accuracy"])
        return model

    def one_hot(part: Arrays) -> Arrays:
        return Arrays(part.x, np.eye(4, dtype=np.float32)[part.y])

    reporter, plain = Recorder(), programs.compose("mlp")
    assert plain.validation is not None
    program = programs.compose(
        "mlp",
        build_model=build_model,
        train=one_hot(plain.train),
        validation=one_hot(plain.validation),
        test=one_hot(plain.validation),
    )

    result = attempt(program, jobdir_at(tmp_path / "job"), reporter=reporter)

    assert result.outcome is Outcome.FINISHED, result.reason
    assert set(result.metrics) == {"loss", "accuracy"}
    assert [line.text for line in reporter.of(LogLine) if "f1_score" in line.text] == [
        "f1_score: more than one number, so not shown; training goes on"
    ]
    assert reporter.of(CheckpointSaved)
