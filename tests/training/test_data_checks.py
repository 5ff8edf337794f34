"""Data that cannot be trained on are named before the first step: by part, place and value, with what to do."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from keepfit.shared.jobs.events import AttemptStarted
from keepfit.shared.jobs.states import Outcome
from keepfit.worker.data import intake
from keepfit.worker.training.program import Arrays, Program
from tests.training import programs
from tests.training.running import Recorder, attempt, jobdir_at

DATA = programs.compose("mlp").train
FLOATS = np.asarray(DATA.x, np.float32)


def refusal(program: Program, path: Path) -> str:
    """Why ``program`` fails; before its first step, which would have been reported."""
    reporter = Recorder()
    result = attempt(program, jobdir_at(path / "job"), reporter=reporter)
    assert result.outcome is Outcome.FAILED
    assert not reporter.of(AttemptStarted)
    return str(result.reason)


def with_part(name: str, arrays: Arrays) -> Program:
    """A program with other data in one part."""
    changed: dict[str, Any] = {name: arrays}
    return programs.compose("mlp", **changed)


def with_value(array: Any, place: tuple[int, ...], value: float) -> Any:
    """A copy of ``array`` with one other value."""
    changed = np.array(array)
    changed[place] = value
    return changed


@pytest.mark.parametrize("part", ["train", "validation", "test"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", [np.float32, np.float64, np.float16])
def test_a_value_that_is_no_number_is_found_in_every_part(part: str, value: float, kind: Any, tmp_path: Path) -> None:
    """With the sample and the position in it."""
    bad = Arrays(with_value(FLOATS[:20].astype(kind), (17, 3, 4, 0), value), DATA.y[:20])

    reason = refusal(with_part(part, bad), tmp_path)

    name = "training" if part == "train" else part
    assert reason.startswith(
        f"The inputs of the {name} part hold {value} at sample 17 (counted from 0), position (3, 4, 0)."
    )


def test_a_value_too_large_for_the_type_of_keras_is_no_number_either(tmp_path: Path) -> None:
    """It would become infinite on its way into the model."""
    bad = Arrays(with_value(FLOATS.astype(np.float64), (9, 0, 0, 0), 1e39), DATA.y)

    assert "hold 1e+39 at sample 9 " in refusal(programs.compose("mlp", train=bad), tmp_path)


def test_large_finite_values_are_no_false_alarm() -> None:
    """Their sum overflows; each of them is finite."""
    huge = np.full((8, 2), 3e38, np.float32)

    intake.refuse_what_is_not_finite(huge, "They")


def test_a_sample_weight_or_a_named_input_that_is_no_number_is_named(tmp_path: Path) -> None:
    """Every array of a part is looked at."""
    weights = Arrays(DATA.x, DATA.y, with_value(np.ones(len(DATA)), (5,), np.nan))
    two = programs.compose("two-inputs").train
    number = Arrays(two.x | {"number": with_value(two.x["number"], (5, 0), np.nan)}, two.y)

    assert "The sample weights of the training part hold nan at sample 5 " in refusal(
        programs.compose("mlp", train=weights), tmp_path / "weights"
    )
    assert "The inputs 'number' of the training part hold nan at sample 5 " in refusal(
        programs.compose("two-inputs", train=number), tmp_path / "inputs"
    )


ONE_HOT = np.eye(programs.CLASSES)[DATA.y]


@pytest.mark.parametrize("part", ["train", "validation", "test"])
@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (DATA.y + 1, "are 1 to 4, but there are 4 classes, numbered 0 to 3"),
        (DATA.y + 1, "They start at 1: subtract 1 from each."),
        (DATA.y * 2 - 1, "are -1, 1, 3, 5, but there are 4 classes, numbered 0 to 3: sample"),
        (DATA.y * 2 - 1, "Number the classes from 0 without gaps"),
        (with_value(DATA.y.astype(np.float32), (7,), 3.5), "are no classes: sample 7 (counted from 0) has 3.5."),
        (with_value(DATA.y.astype(np.float32), (7,), np.nan), "hold nan at sample 7 "),
        (np.array(["cat", "dog"])[DATA.y % 2], "numpy.unique(names, return_inverse=True)[1] numbers the classes"),
        (np.array([None, 1])[DATA.y % 2], "are Python objects."),
        (ONE_HOT, "labels.argmax(-1) gives them"),
        (np.arange(len(DATA)), "50 different labels, more than the 4 classes"),
    ],
    ids=str,
)
def test_labels_that_are_no_classes_are_named(part: str, labels: Any, said: str, tmp_path: Path) -> None:
    """Which were found, which are possible, the first place, what to do."""
    reason = refusal(with_part(part, Arrays(DATA.x, labels)), tmp_path)

    assert said in reason
    assert f"of the {'training' if part == 'train' else part} part" in reason


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        (Arrays(DATA.x[:10], DATA.y[:9]), "it has 10 inputs, 9 targets."),
        (Arrays(DATA.x[:0], DATA.y[:0]), "part is empty"),
    ],
)
@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_parts_of_unequal_lengths_or_none_are_named(part: str, arrays: Arrays, said: str, tmp_path: Path) -> None:
    """Found before anything is built."""
    assert said in refusal(with_part(part, arrays), tmp_path)


def test_other_losses_take_other_targets(tmp_path: Path) -> None:
    """Numbers to predict, one-hot rows and an ignored class are no class numbers, and no fault."""

    def compiled(loss: Any) -> Any:
        model = keras.Sequential([keras.layers.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(4)])
        model.compile("sgd", loss)
        return model

    sparse = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1)
    for loss, y in (("mse", FLOATS[:, :4, 0, 0] - 9), ("categorical_crossentropy", ONE_HOT), (sparse, DATA.y * 0 - 1)):
        intake.check_labels_for(compiled(loss), {"training": Arrays(DATA.x, y)})


def test_whole_floats_are_classes_to_the_same_bits(tmp_path: Path) -> None:
    """As integers are."""
    floats = programs.compose("mlp", train=Arrays(DATA.x, DATA.y.astype(np.float32)))

    first = attempt(floats, jobdir_at(tmp_path / "floats"))
    second = attempt(programs.compose("mlp"), jobdir_at(tmp_path / "integers"))

    assert first.outcome is Outcome.FINISHED
    assert first.weights_sha256 == second.weights_sha256
