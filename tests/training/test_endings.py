"""What is told at the end of a training: early stopping, guessing, forms that cannot be made, a failed test."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from keepfit.shared.checkpoints.manifest import newest_valid
from keepfit.shared.durable import read_json
from keepfit.shared.jobs.events import LogLine
from keepfit.shared.jobs.states import Outcome
from keepfit.shared.spec import TrainSpec
from keepfit.shared.spec.task import DEFAULT_TASK
from keepfit.worker.kinds.train import program_of
from keepfit.worker.training import meaning
from keepfit.worker.training.program import Arrays, Program
from keepfit.worker.training.saving import load
from tests.harness.specs import accepted
from tests.training import programs
from tests.training.running import Recorder, attempt, jobdir_at

L = keras.layers


def spec(**training: Any) -> TrainSpec:
    """A job on the built-in digits."""
    found = accepted({"name": "end", "training": {"epochs": 1, "batch_size": 32, **training}})
    assert isinstance(found, TrainSpec)
    return found


def test_a_job_no_better_than_guessing_says_so(tmp_path: Path) -> None:
    """Labels that have nothing to do with the pictures: it succeeds, and it is said in the log and in the result."""
    reporter, digits = Recorder(), program_of(spec(), tmp_path, "d")
    assert digits.test is not None
    order = np.random.default_rng(1).permutation
    parts: dict[str, Any] = {
        "train": Arrays(digits.train.x, order(digits.train.y)),
        "test": Arrays(digits.test.x, order(digits.test.y)),
    }

    result = attempt(replace(digits, **parts), jobdir_at(tmp_path / "job"), reporter=reporter, chunk_steps=None)

    assert result.outcome is Outcome.FINISHED
    assert result.extra["no_better_than_guessing"] is True
    assert any(
        "no better than guessing: always saying the commonest class is right for 1" in line.text
        for line in reporter.of(LogLine)
    )


def test_a_job_that_has_learned_something_does_not(tmp_path: Path) -> None:
    """The usual one."""
    result = attempt(program_of(spec(), tmp_path, "d"), jobdir_at(tmp_path / "job"), chunk_steps=None)

    assert result.outcome is Outcome.FINISHED
    assert "no_better_than_guessing" not in result.extra
    assert result.extra["epochs_planned"] == 1


@pytest.mark.parametrize(
    ("accuracy", "labels", "share"),
    [
        (0.10, np.arange(1000) % 10, 0.1),
        (0.12, np.arange(1000) % 10, 0.1),
        (0.14, np.arange(1000) % 10, None),
        (0.90, np.arange(1000) < 900, 0.9),
        (0.94, np.arange(1000) < 900, None),
        (0.10, np.eye(10)[np.arange(1000) % 10], 0.1),
        (0.10, (np.arange(1000) % 10)[:, None].astype(np.float32), 0.1),
        (0.10, np.linspace(0, 1, 1000), None),
        (0.10, np.zeros((10, 4, 4), np.int64), None),
        (0.10, np.zeros(1000, np.int64), None),
        (None, np.arange(1000) % 10, None),
    ],
)
def test_guessing_is_told_by_the_commonest_class(accuracy: float | None, labels: Any, share: float | None) -> None:
    """Within the noise of so many samples; not asked of targets that are no classes."""
    metrics = {} if accuracy is None else {"accuracy": accuracy}

    assert meaning.no_better_than_guessing(DEFAULT_TASK, metrics, labels) == share


def test_a_diverged_model_is_no_better_than_guessing_though_one_class_is_right_by_luck() -> None:
    """A learning rate of 100 leaves one unit alive: accuracy 0.153, loss 52.7, where guessing gives 0.1 and 2.3."""
    labels = np.arange(1000) % 10

    assert meaning.no_better_than_guessing(DEFAULT_TASK, {"accuracy": 0.153, "loss": 52.7}, labels) == 0.1
    assert meaning.no_better_than_guessing(DEFAULT_TASK, {"accuracy": 0.153, "loss": 2.2}, labels) is None
    assert meaning.no_better_than_guessing(DEFAULT_TASK, {"accuracy": 0.90, "loss": 52.7}, labels) is None


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_a_learning_rate_of_100_ends_no_better_than_guessing(model: str, tmp_path: Path) -> None:
    """It succeeds, and says so."""
    job = accepted({"name": "wild", "model": {"name": model}, "training": {"epochs": 1, "learning_rate": 100}})
    assert isinstance(job, TrainSpec)

    result = attempt(program_of(job, tmp_path, "d"), jobdir_at(tmp_path / "job"), chunk_steps=None)

    assert result.outcome is Outcome.FINISHED
    assert result.extra["no_better_than_guessing"] is True


def stopping(patience: int, restore: bool = True, epochs: int = 9) -> Program:
    """Nothing is an improvement after the first epoch."""
    callback = keras.callbacks.EarlyStopping
    return programs.compose(
        "mlp",
        epochs=epochs,
        build_callbacks=lambda: [callback("val_loss", 1e6, patience, restore_best_weights=restore)],
    )


def test_early_stopping_is_told(tmp_path: Path) -> None:
    """In the log, and in the result for the pages; epochs are counted from 1."""
    reporter = Recorder()

    result = attempt(stopping(2), jobdir_at(tmp_path / "job"), reporter=reporter)

    said = "stopped early at epoch 3: val_loss has not improved for 2 epochs; weights of epoch 1 are restored"
    assert said in [line.text for line in reporter.of(LogLine)]
    told = {name: result.extra[name] for name in ("epochs", "epochs_planned", "stopped_epoch", "best_epoch")}
    assert told == {"epochs": 3, "epochs_planned": 9, "stopped_epoch": 3, "best_epoch": 1}


def test_best_weights_are_told_where_epochs_run_out_first(tmp_path: Path) -> None:
    """Nothing was stopped, and yet they are not the last ones."""
    reporter = Recorder()

    result = attempt(stopping(5, epochs=3), jobdir_at(tmp_path / "job"), reporter=reporter)

    assert "weights of epoch 1 are restored: their val_loss is the best" in [t.text for t in reporter.of(LogLine)]
    assert result.extra["best_epoch"] == 1
    assert "stopped_epoch" not in result.extra


def test_last_weights_are_not_called_the_best(tmp_path: Path) -> None:
    """Without restoring, early stopping ends with the last epoch's."""
    result = attempt(stopping(1, restore=False), jobdir_at(tmp_path / "job"))

    assert result.extra["stopped_epoch"] == 2
    assert "best_epoch" not in result.extra


class Unregistered(keras.layers.Layer):
    """A person's own layer, of which Keras knows nothing."""

    def call(self, inputs: Any) -> Any:
        """Pass the inputs on."""
        return inputs * 1.0


class Subclassed(keras.Model):
    """A person's own model without a config, and with arguments that one would need."""

    def __init__(self, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.hidden, self.out = L.Dense(width), L.Dense(4, activation="softmax")

    def call(self, inputs: Any) -> Any:
        """Two layers."""
        return self.out(self.hidden(keras.ops.reshape(keras.ops.cast(inputs, "float32") / 255, (-1, 64))))


class OwnCompile(Subclassed):
    """With a compile of its own."""

    def compile(self, rate: float, **kwargs: Any) -> None:
        """Not what Keras would call."""
        super().compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"], **kwargs)


class Unsaveable(Subclassed):
    """Refuses to be saved at all."""

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Like one that Keras calls not yet built."""
        raise ValueError("You are saving a model that has not yet been built.")

    def save_weights(self, *args: Any, **kwargs: Any) -> None:
        """As above."""
        raise ValueError("You are saving a model that has not yet been built.")


def own(layer: Any) -> Any:
    """A sequential model with ``layer`` in it."""
    return keras.Sequential([L.Input((8, 8, 1)), L.Flatten(), layer, L.Dense(4, activation="softmax")])


MODELS: dict[str, Any] = {
    "lambda": lambda: own(L.Lambda(lambda x: x * 1.0)),
    "unregistered": lambda: own(Unregistered()),
    "shear": lambda: keras.Sequential([L.Input((8, 8, 1)), L.RandomShear(0.2, 0.2), L.Flatten(), L.Dense(4)]),
    "subclassed": lambda: Subclassed(8),
    "own-compile": lambda: OwnCompile(8),
    "unsaveable": lambda: Unsaveable(8),
}


def program(name: str) -> Program:
    """A short training of one of ``MODELS``."""

    def build_model() -> Any:
        model = MODELS[name]()
        if name == "own-compile":
            model.compile(0.01)
        else:
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=name == "shear")
            model.compile("adam", loss, metrics=["accuracy"])
        return model

    return programs.compose("mlp", build_model=build_model, test=programs.compose("mlp").validation)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", MODELS)
def test_a_trained_model_that_cannot_be_exported_is_still_to_be_had(name: str, tmp_path: Path) -> None:
    """The job succeeds; what is missing is told with the reason; the checkpoint holds all weights."""
    reporter, jobdir = Recorder(), jobdir_at(tmp_path / "job")

    result = attempt(program(name), jobdir, reporter=reporter)

    assert result.outcome is Outcome.FINISHED, result.reason
    assert result.metrics["accuracy"] >= 0
    attempt_dir = jobdir.attempt_dirs()[0]
    missing = result.extra.get("exports", {})
    for path in (attempt_dir.model, attempt_dir.weights):
        assert path.exists() is (path.name not in missing)
    assert all(reason.isprintable() and len(reason) > 10 for reason in missing.values())
    assert (set(missing) == {"model.keras", "weights.h5"}) is (name == "unsaveable")
    last = newest_valid(jobdir)
    assert last is not None
    assert any("|model|" in tensor for tensor in load(last).tensors)
    assert not list(attempt_dir.path.glob(".*"))
    said = [line.text for line in reporter.of(LogLine)]
    assert all(any(line.startswith(f"{form} could not be made") for line in said) for form in missing)


def test_a_test_that_cannot_be_done_leaves_the_trained_model(tmp_path: Path) -> None:
    """Pictures of another size in the test part: trained all the same; no figure is made up."""
    jobdir, wrong = jobdir_at(tmp_path / "job"), Arrays(np.zeros((20, 5, 5, 1), np.uint8), np.zeros(20, np.int64))

    result = attempt(programs.compose("mlp", test=wrong), jobdir)

    assert result.outcome is Outcome.FINISHED
    assert "expected axis -1 of input shape to have value 64" in result.extra["test"]
    assert result.metrics == {}
    assert jobdir.attempt_dirs()[0].model.exists()
    assert read_json(jobdir.attempt_dirs()[0].result)["extra"]["test"] == result.extra["test"]
