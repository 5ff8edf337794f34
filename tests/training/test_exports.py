"""The files that people take away: they open in plain Keras, in a process that has never seen this project."""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import h5py
import pytest

from keepfit.shared.checkpoints.manifest import checkpoints_of
from keepfit.shared.jobs.directory import AttemptDir, JobDir, create_jobdir
from keepfit.shared.jobs.states import Outcome
from keepfit.shared.spec import EvaluateSpec
from keepfit.worker.kinds import run
from keepfit.worker.training.interfaces import AttemptResult, StopSignal
from tests.harness.documents import result_of
from tests.harness.specs import accepted
from tests.training.running import Recorder

PRACTICE = """
import json, sys, warnings
warnings.simplefilter("error")
import keras
import numpy as np
warnings.filterwarnings("ignore", message="__array__ implementation")
model_file, data_file, *weight_files = sys.argv[1:]
with np.load(data_file) as data:
    x, y = data["x_test"], data["y_test"]
def measure(model, x):
    return [float(value) for value in model.evaluate(x, y, verbose=0)]
exported = keras.models.load_model(model_file)
exported.summary()
found = {"model": measure(exported, x)}
for name in weight_files:
    model = keras.Sequential([
        keras.layers.Input((28, 28)), keras.layers.Flatten(),
        keras.layers.Dense(128, activation="relu"), keras.layers.Dense(10, activation="softmax"),
    ])
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.load_weights(name)
    found[name] = measure(model, x / 255.0)
print(json.dumps(found))
"""
DATA = Path(__file__).resolve().parents[2] / "worker/data/builtin/mnist-5k.npz"


def execute(jobdir: JobDir, number: int = 1) -> AttemptResult:
    """One attempt of a job made from a spec."""
    return run(jobdir.spec, jobdir, jobdir.new_attempt(number), Recorder(), StopSignal())


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> JobDir:
    """The practice project's model, trained for ten epochs on mnist-5k."""
    spec = accepted({"name": "practice", "training": {"epochs": 10}})
    jobdir, _ = create_jobdir(tmp_path_factory.mktemp("exports") / "jobs", spec)
    assert execute(jobdir).outcome is Outcome.FINISHED
    return jobdir


def test_ten_epochs_reach_the_accuracy_of_the_practice_project(trained: JobDir) -> None:
    """At least 0.93 on the test part."""
    result = result_of(trained.attempt_dirs()[0])

    assert result.metrics["accuracy"] >= 0.93


def test_a_finished_job_is_small_on_disk(trained: JobDir) -> None:
    """At most 12 files and 3 MB by the disk's own blocks, for one checkpoint, the model, its weights and its story."""
    best = checkpoints_of(trained)[1:]
    inside = [p for p in trained.path.rglob("*") if not any(p.is_relative_to(c.path) for c in best)]
    files = [path for path in inside if path.is_file()]
    sizes = [path.lstat() for path in [trained.path, *inside]]

    assert len(best) <= 1
    assert len(files) <= 12, sorted(path.name for path in files)
    assert sum(size.st_blocks * 512 for size in sizes) < 3_000_000
    assert sum(size.st_size for size in sizes) < 3_000_000


def test_the_weights_are_held_once_and_named_twice(trained: JobDir) -> None:
    """Both layouts of HDF5 that Keras reads share their values."""
    with h5py.File(trained.attempt_dirs()[0].weights) as file:
        layers = [file[name] for name in file.attrs["layer_names"]]
        old = [group[name] for group in layers for name in group.attrs["weight_names"]]
        new: list[Any] = []
        file["layers"].visititems(lambda _, found: new.append(found) if isinstance(found, h5py.Dataset) else None)

        assert len(old) == 4
        assert all(any(value == other for other in new) for value in old), "each is one object with one of the others"


def test_plain_keras_opens_the_exports_and_measures_the_same(trained: JobDir, tmp_path: Path) -> None:
    """`model.keras` on bytes; `weights.h5` in the practice project's own model on scaled input, whatever its name."""
    attempt: AttemptDir = trained.attempt_dirs()[0]
    names = [str(tmp_path / name) for name in ("weights.h5", "first.weights.h5")]
    for name in names:
        shutil.copy(attempt.weights, name)
    command = [sys.executable, "-c", PRACTICE, str(attempt.model), str(DATA), *names]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)

    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    result = result_of(attempt)
    assert found["model"] == [result.metrics["loss"], result.metrics["accuracy"]]
    assert [found[name][1] for name in names] == [result.metrics["accuracy"]] * 2
    assert [found[name][0] for name in names] == pytest.approx([result.metrics["loss"]] * 2, abs=1e-6)
    assert "rescaling" in done.stdout


def evaluation_of(jobdir: JobDir, data: str = "mnist-5k") -> JobDir:
    """A job that evaluates another."""
    spec = EvaluateSpec.model_validate({"name": "check", "source": jobdir.id, "data": {"name": data}})
    return create_jobdir(jobdir.path.parent, spec)[0]


def test_an_evaluation_measures_what_training_has_reported(trained: JobDir) -> None:
    """A job of its own, on the test part of the same data."""
    result = execute(evaluation_of(trained))

    reported = result_of(trained.attempt_dirs()[0])
    assert result.outcome is Outcome.FINISHED
    assert result.metrics == {**reported.metrics, "samples": 1000.0}
    assert result.weights_sha256 == reported.weights_sha256


def test_an_evaluation_of_an_untrained_job_says_so(tmp_path: Path) -> None:
    """There is no checkpoint yet."""
    source, _ = create_jobdir(tmp_path / "jobs", accepted({"name": "new"}))

    result = execute(evaluation_of(source))

    assert result.outcome is Outcome.FAILED
    assert "no valid checkpoint yet" in str(result.reason)


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_a_named_model_gives_the_same_bits_twice(model: str, tmp_path: Path) -> None:
    """The same spec as two jobs."""
    spec = accepted({"name": "twin", "model": {"name": model}, "training": {"epochs": 1}})
    twins = [create_jobdir(tmp_path / "jobs", spec)[0] for _ in range(2)]

    first, second = (execute(jobdir) for jobdir in twins)

    assert first.weights_sha256 == second.weights_sha256 != ""


def test_an_export_writes_nothing_outside_its_attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no other place for temporary files, and nothing of them is left in the attempt."""
    jobdir, _ = create_jobdir(tmp_path / "jobs", accepted({"name": "own", "training": {"epochs": 1}}))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))

    result = execute(jobdir)

    assert result.outcome is Outcome.FINISHED, result.reason
    assert not list(jobdir.path.rglob(".*"))
