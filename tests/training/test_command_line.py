"""`python -m keepfit.worker.training`: the practice project's train.py and test.py, with no service at all."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from keepfit.shared.checkpoints.manifest import checkpoints_of
from keepfit.shared.jobs.directory import JobDir
from tests.harness.documents import result_of
from tests.harness.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]


def command(*arguments: object) -> subprocess.Popen[str]:
    """Start one command."""
    return subprocess.Popen(
        [sys.executable, "-m", "keepfit.worker.training", *map(str, arguments), "--threads", "2"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def answer(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Its exit status and what it has printed."""
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """A spec of a few seconds of training."""
    path = tmp_path / "spec.json"
    wish = {"epochs": 120, "checkpoint_interval_s": 0.2}
    path.write_text(json.dumps({"name": "by hand", "training": wish}))
    return path


def until_saved(jobdir: JobDir) -> None:
    """Wait for a checkpoint after the first epoch."""
    wait_until(lambda: any(c.step > 113 for c in checkpoints_of(jobdir)), "a checkpoint of a later epoch", 60)


def test_killed_and_stopped_it_goes_on_to_the_same_bits(spec: Path, tmp_path: Path) -> None:
    """kill -9, then SIGTERM, then to the end; beside it an undisturbed run; then the evaluation."""
    first, second = JobDir(tmp_path / "a", tmp_path), JobDir(tmp_path / "b", tmp_path)
    killed = command("train", spec, "--dir", first.path)
    until_saved(first)
    killed.kill()
    answer(killed)
    stopped = command("train", spec, "--dir", first.path)
    wait_until(lambda: any(c.attempt == 2 for c in checkpoints_of(first)), "a checkpoint of the second attempt", 60)
    stopped.send_signal(signal.SIGTERM)
    stop_status, stop_out, _ = answer(stopped)

    status, out, _ = answer(command("train", spec, "--dir", first.path))
    answer(command("train", spec, "--dir", second.path))
    evaluated, report, _ = answer(command("evaluate", "--dir", first.path, "--data", "mnist-5k"))

    results = [result_of(jobdir.attempt_dirs()[-1]) for jobdir in (first, second)]
    assert (stop_status, status, evaluated) == (3, 0, 0)
    assert "stopped at step" in stop_out
    assert "attempt 3 resumes at step" in out
    assert results[0].weights_sha256 == results[1].weights_sha256
    assert f"accuracy {results[0].metrics['accuracy']:.4f}" in report


WRONG: dict[str, tuple[Callable[[Path], list[object]], str]] = {
    "no such file": (lambda p: ["train", p / "none.json", "--dir", p / "job"], "cannot be read"),
    "no JSON": (lambda p: ["train", p / "text.json", "--dir", p / "job"], "is not JSON"),
    "a wrong field": (lambda p: ["train", p / "wrong.json", "--dir", p / "job"], "training.epochs"),
    "another spec": (lambda p: ["train", p / "spec.json", "--dir", p / "taken"], "holds a job with another spec"),
    "no such data set": (lambda p: ["evaluate", "--dir", p / "taken", "--data", "cifar"], "There is no data set"),
    "no such job": (lambda p: ["evaluate", "--dir", p / "none", "--data", "mnist"], "There is no job none"),
    "no place to write": (lambda p: ["train", p / "spec.json", "--dir", "/proc/job"], "cannot be written"),
}


@pytest.mark.parametrize("what", WRONG)
def test_bad_input_gets_one_clear_line(what: str, spec: Path, tmp_path: Path) -> None:
    """Exit status 2, one line, no traceback, nothing half made."""
    (tmp_path / "text.json").write_text("epochs: 3")
    (tmp_path / "wrong.json").write_text('{"name": "x", "training": {"epochs": 0}}')
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "job.json").write_text('{"spec_sha256": "other", "spec": {"name": "x"}}')
    arguments, message = WRONG[what]

    status, out, err = answer(command(*arguments(tmp_path)))

    assert status == 2
    assert out == ""
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "job").exists()


def test_a_read_only_directory_gets_one_clear_line(spec: Path, tmp_path: Path) -> None:
    """For a user who is not root."""
    if os.geteuid() == 0:
        pytest.skip("root writes everywhere")
    (tmp_path / "job").mkdir(mode=0o500)

    status, _, err = answer(command("train", spec, "--dir", tmp_path / "job"))

    assert status == 2
    assert "cannot be written" in err
