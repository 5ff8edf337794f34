"""The proof bites: whatever part of the state a resume leaves out, the comparison of test_exact_resume fails."""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest

from keepfit.worker.training import model_state, resume
from keepfit.worker.training.callbacks import Callbacks
from tests.training import programs
from tests.training.running import interrupted, undisturbed


def _patient() -> list[Any]:
    return [keras.callbacks.EarlyStopping(monitor="loss", patience=2, min_delta=10.0)]


def forget(monkeypatch: pytest.MonkeyPatch, which: Callable[[model_state.Slot], bool]) -> None:
    """Restore everything but the variables that ``which`` picks: they keep the values of a fresh model."""
    whole = model_state.load_state

    def partial(model: Any, tensors: Any) -> None:
        fresh = [(slot.variable, slot.variable.numpy()) for slot in model_state.slots(model) if which(slot)]
        assert fresh, "nothing is left out"
        whole(model, tensors)
        for variable, value in fresh:
            variable.assign(value)

    monkeypatch.setattr(model_state, "load_state", partial)


LEFT_OUT: dict[str, Callable[[model_state.Slot], bool]] = {
    "the seeds of Dropout": lambda slot: "seed_generator" in slot.variable.path,
    "an optimizer slot": lambda slot: slot.role == "optimizer" and "momentum" in slot.variable.path,
    "the step counter": lambda slot: slot.role == "optimizer" and "iteration" in slot.variable.path,
    "the running metrics": lambda slot: slot.role == "metric",
    "the weights": lambda slot: slot.role == "model" and "kernel" in slot.variable.path,
}


@pytest.mark.parametrize("what", LEFT_OUT)
def test_leaving_out_a_variable_is_noticed(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each kind of variable in turn."""
    program = programs.compose("dropout")
    whole = undisturbed(program, tmp_path / "whole")

    forget(monkeypatch, LEFT_OUT[what])

    assert interrupted(program, tmp_path / "broken", looks=(3,)) != whole


def test_leaving_out_callback_state_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The counters of early stopping."""
    program = programs.compose("dropout", epochs=6, build_callbacks=_patient)
    whole = undisturbed(program, tmp_path / "whole")

    monkeypatch.setattr(Callbacks, "restore", lambda *_: None)

    assert interrupted(program, tmp_path / "broken", looks=(12,)) != whole


def test_leaving_out_the_cursor_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Going on at the beginning of the epoch, as Keras' BackupAndRestore does."""
    program = programs.compose("dropout")
    whole = undisturbed(program, tmp_path / "whole")
    exact = resume.restore

    def from_the_first_batch(*args: Any) -> Any:
        position = exact(*args)
        return dataclasses.replace(position, cursor=dataclasses.replace(position.cursor, batch=0))

    monkeypatch.setattr(resume, "restore", from_the_first_batch)

    assert interrupted(program, tmp_path / "broken", looks=(3,)) != whole


def test_leaving_out_nothing_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way in which the others leave something out changes nothing by itself."""
    program = programs.compose("dropout")
    whole = undisturbed(program, tmp_path / "whole")
    exact = model_state.load_state
    monkeypatch.setattr(model_state, "load_state", functools.partial(exact))

    assert interrupted(program, tmp_path / "broken", looks=(3,)) == whole
