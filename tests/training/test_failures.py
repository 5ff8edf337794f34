"""What goes wrong in an attempt ends it with a reason that a person understands, never with a traceback."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from keepfit.shared.jobs.events import LogLine
from keepfit.shared.jobs.states import Outcome
from keepfit.worker.training import bits
from keepfit.worker.training.program import Arrays
from tests.harness.documents import record_of, result_of
from tests.training import programs
from tests.training.running import Recorder, StopAfter, attempt, final_of, jobdir_at, undisturbed


def test_a_loss_that_is_no_number_fails_the_job(tmp_path: Path) -> None:
    """The step is named, and what to try."""

    def diverging() -> Any:
        model = programs.MODELS["mlp"]()
        model.compile(keras.optimizers.SGD(1e38), "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    result = attempt(programs.compose("mlp", build_model=diverging), jobdir_at(tmp_path / "job"))

    assert result.outcome is Outcome.FAILED
    assert str(result.reason).startswith("The loss became nan by step 2 ")
    assert "A lower learning rate" in str(result.reason)


def test_wrong_shapes_fail_the_job_in_the_words_of_keras(tmp_path: Path) -> None:
    """Pictures of another size than the model takes."""
    program = programs.compose("mlp", train=Arrays(np.zeros((20, 5, 5, 1), np.uint8), np.zeros(20, np.int64)))

    result = attempt(program, jobdir_at(tmp_path / "job"))

    assert result.outcome is Outcome.FAILED
    assert "expected axis -1 of input shape to have value 64" in str(result.reason)
    assert str(result.reason).isprintable()


def too_big_for_tensorflow() -> Any:
    """A layer of 256 terabytes."""
    return keras.Sequential([keras.layers.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10**12)])


def too_big_for_numpy() -> Any:
    """Weights of 256 terabytes."""
    return np.ones(64 * 10**12, np.float32)


@pytest.mark.parametrize("build_model", [too_big_for_tensorflow, too_big_for_numpy])
def test_a_model_that_does_not_fit_into_memory_fails_the_job_and_says_so(
    tmp_path: Path, build_model: Callable[[], Any]
) -> None:
    """Trying again would not help: the end is on disk, in words, and the log has no traceback."""
    reporter, jobdir = Recorder(), jobdir_at(tmp_path / "job")

    attempt(programs.compose("mlp", build_model=build_model), jobdir, reporter=reporter)

    result = result_of(jobdir.attempt_dirs()[0])
    assert result.outcome is Outcome.FAILED
    assert str(result.reason).startswith("Out of memory: the model and its batches do not fit.")
    assert not any("Traceback" in line.text for line in reporter.of(LogLine))


def test_a_callback_whose_state_is_unknown_is_refused(tmp_path: Path) -> None:
    """It would restart at each resume, in silence."""
    program = programs.compose("mlp", build_callbacks=lambda: [keras.callbacks.TerminateOnNaN()])

    result = attempt(program, jobdir_at(tmp_path / "job"))

    assert str(result.reason) == "Callbacks whose state cannot be kept: TerminateOnNaN."


def test_an_error_in_the_program_goes_to_the_log_with_its_traceback(tmp_path: Path) -> None:
    """The reason is one line; the log has the rest."""

    def broken() -> Any:
        raise ZeroDivisionError("one by nothing")

    reporter = Recorder()

    result = attempt(programs.compose("mlp", build_model=broken), jobdir_at(tmp_path / "job"), reporter=reporter)

    assert str(result.reason).startswith("Unexpected ZeroDivisionError: one by nothing")
    assert any("Traceback" in line.text for line in reporter.of(LogLine))


def test_another_program_in_the_same_directory_is_refused(tmp_path: Path) -> None:
    """Its checkpoints belong to another spec."""
    undisturbed(programs.compose("mlp"), tmp_path / "job")

    result = attempt(programs.compose("mlp", "sgd"), jobdir_at(tmp_path / "job"))

    assert str(result.reason).startswith("The checkpoint was made with another spec")


def test_other_data_under_the_same_spec_is_refused(tmp_path: Path) -> None:
    """The data set was replaced between two attempts."""
    program = programs.compose("mlp")
    undisturbed(program, tmp_path / "job")
    changed = Arrays(np.asarray(program.train.x) + 1, program.train.y)

    result = attempt(programs.compose("mlp", train=changed), jobdir_at(tmp_path / "job"))

    assert str(result.reason).startswith(
        "The checkpoint was made with another data set: its training part is not what it was."
    )


@pytest.mark.parametrize(
    ("then", "said"),
    [
        ({"threads": 7}, "threads: 2, was 7"),
        ({"cpu_flags": "of another CPU"}, "CPU instruction set differs"),
        ({"tensorflow": "2.0.0"}, f"TensorFlow: {tf.__version__}, was 2.0.0"),
        ({"keras": "2.0.0"}, f"Keras: {keras.__version__}, was 2.0.0"),
    ],
)
def test_another_environment_resumes_and_says_that_it_is_not_exact(
    then: dict[str, Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first attempt ran elsewhere; those after it say what differs, to the end."""
    program, jobdir = programs.compose("mlp"), jobdir_at(tmp_path / "job")
    real = bits.fingerprint()
    monkeypatch.setattr(bits, "fingerprint", lambda: real | then)
    attempt(program, jobdir, StopAfter(3))
    monkeypatch.undo()

    attempt(program, jobdir, StopAfter(3))
    result = attempt(program, jobdir)

    second, third = (record_of(a) for a in jobdir.attempt_dirs()[1:])
    assert second.exact is False
    assert second.differs == third.differs == (said,)
    assert result.outcome is Outcome.FINISHED
    assert final_of(jobdir).step == programs.EPOCHS * program.batches


def test_without_onednn_it_is_another_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The libraries' own switches decide bits."""
    with_it = bits.fingerprint()
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")

    (said,) = bits.differences(with_it, bits.fingerprint())

    assert said.startswith("TF/XLA variables: {'TF_ENABLE_ONEDNN_OPTS': '0'")
