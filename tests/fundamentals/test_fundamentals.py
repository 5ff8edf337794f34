"""What Keepfit does, one thing a test. Read from top to bottom, this is an introduction to it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from keepfit.shared.jobs.states import JobState
from keepfit.web.client import Client, Job, RequestRefused
from tests.harness.processes import ROOT
from tests.harness.waiting import wait_until

SHORT = {"name": "short", "training": {"epochs": 2, "seed": 3}}
LONG = {
    "name": "long",
    "training": {"epochs": 20, "batch_size": 2, "learning_rate": 0.0005, "seed": 3, "checkpoint_every_steps": 500},
}
WAIT_S = 120


def _under_way(keepfit: Client, job: Job) -> Job:
    """The job, as soon as it has trained beyond a checkpoint."""

    def seen() -> Job | None:
        now = keepfit.job(job.id)
        assert now.state in (JobState.QUEUED, JobState.RUNNING), f"it is {now.state} already: {now.reason}"
        return now if now.raw["checkpoint_step"] and now.progress.get("step") else None

    return wait_until(seen, "the job trains and has a checkpoint", WAIT_S) or job


def test_a_submitted_job_trains_by_itself(keepfit: Client) -> None:
    """Submit a job, go away, come back: it has succeeded and has a test accuracy."""
    job = keepfit.submit(SHORT)
    assert job.state in (JobState.QUEUED, JobState.RUNNING)

    job = keepfit.wait(job.id, WAIT_S)

    assert job.state is JobState.SUCCEEDED
    assert job.metrics["accuracy"] > 0.85


def test_a_wrong_field_is_named(keepfit: Client) -> None:
    """A job that cannot be done is refused at once, with the field and what it may be."""
    with pytest.raises(RequestRefused) as caught:
        keepfit.submit({"name": "wrong", "training": {"epochs": 0}})

    assert caught.value.status == 422
    assert any("epochs" in name for name in caught.value.fields)


def test_the_same_key_is_the_same_job(keepfit: Client) -> None:
    """A submit that is sent twice makes one job, so trying again is always safe."""
    first = keepfit.submit(SHORT, key="tuesday")

    second = keepfit.submit(SHORT, key="tuesday")

    assert second.id == first.id


def test_a_job_tells_what_happens(keepfit: Client) -> None:
    """The job's stream of events has each epoch, and ends with the job's state."""
    job = keepfit.submit(SHORT | {"name": "told"})
    epochs = []

    for event in keepfit.events(job.id):
        if event.type == "epoch":
            epochs.append(event.data["epoch"])
        if event.type == "state" and event.data["state"] == "succeeded":
            break

    assert epochs == [0, 1]


def test_a_paused_job_goes_on_where_it_was(keepfit: Client) -> None:
    """Pausing writes a checkpoint first; resuming loses no step."""
    job = _under_way(keepfit, keepfit.submit(LONG | {"name": "paused"}))
    keepfit.pause(job.id)
    paused = keepfit.wait(job.id, WAIT_S)
    assert paused.state is JobState.PAUSED

    keepfit.resume(job.id)
    done = keepfit.wait(job.id, WAIT_S)

    first, second = done.raw["attempts"]
    assert done.state is JobState.SUCCEEDED
    assert second["started"]["step"] == first["result"]["step"]


def test_a_cancelled_job_stops(keepfit: Client) -> None:
    """A job that nobody wants any more gives its place to the next one."""
    job = _under_way(keepfit, keepfit.submit(LONG | {"name": "cancelled"}))

    keepfit.cancel(job.id)

    assert keepfit.wait(job.id, WAIT_S).state is JobState.CANCELLED


def test_a_killed_job_ends_with_the_same_bits(keepfit: Client) -> None:
    """kill -9 of the training process: the job goes on by itself, and its weights are those of an undisturbed twin."""
    job = _under_way(keepfit, keepfit.submit(LONG | {"name": "killed"}))
    os.kill(job.raw["attempts"][-1]["pid"], signal.SIGKILL)
    killed = keepfit.wait(job.id, WAIT_S)

    twin = keepfit.wait(keepfit.submit(LONG | {"name": "undisturbed"}).id, WAIT_S)

    assert killed.attempt == 2
    assert twin.attempt == 1
    assert killed.weights_sha256 == twin.weights_sha256
    assert killed.metrics == twin.metrics


def test_the_drill_kills_the_whole_worker(keepfit: Client) -> None:
    """The button on the page: the worker kills itself, is started again, and the job recovers."""
    job = _under_way(keepfit, keepfit.submit(LONG | {"name": "drilled"}))

    keepfit.drill(job.id)
    done = keepfit.wait(job.id, WAIT_S)

    assert done.state is JobState.SUCCEEDED
    assert done.attempt == 2
    assert done.raw["attempts"][1]["started"]["step"] > 0


def test_a_model_can_be_evaluated_later(keepfit: Client) -> None:
    """An evaluation is a job of its own, and gives the number that the job itself has shown."""
    job = keepfit.wait(keepfit.submit(SHORT | {"name": "evaluated"}).id, WAIT_S)

    evaluation = keepfit.wait(keepfit.evaluate(job.id, "mnist-5k").id, WAIT_S)

    assert evaluation.kind == "evaluate"
    assert evaluation.metrics["accuracy"] == job.metrics["accuracy"]


def test_a_model_needs_no_keepfit_to_be_used(keepfit: Client, tmp_path: Path) -> None:
    """The downloaded model opens with plain Keras and takes the bytes of the images."""
    job = keepfit.wait(keepfit.submit(SHORT | {"name": "used"}).id, WAIT_S)
    model = keepfit.download(job.id, "model.keras", tmp_path / "model.keras")
    program = (
        "import sys, keras, numpy\n"
        "data = numpy.load(sys.argv[2])\n"
        "_, accuracy = keras.models.load_model(sys.argv[1]).evaluate(data['x_test'], data['y_test'], verbose=0)\n"
        "print(accuracy)"
    )

    command = [sys.executable, "-I", "-c", program, str(model), str(ROOT / "worker/data/builtin/mnist-5k.npz")]
    printed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    assert float(printed) == pytest.approx(job.metrics["accuracy"], abs=1e-6)


def test_training_needs_no_service_either(tmp_path: Path) -> None:
    """The same training, without web, queue or worker, from a terminal."""
    spec = tmp_path / "spec.json"
    spec.write_text('{"name": "alone", "training": {"epochs": 1}}')

    command = [sys.executable, "-m", "keepfit.worker.training", "train", str(spec), "--dir", str(tmp_path / "job")]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert "accuracy" in printed
    assert list(tmp_path.glob("job/**/model.keras"))
