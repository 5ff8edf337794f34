"""Pause, resume, cancel: obeyed at a checkpoint, kept through outages, exact in the end."""

import gzip
import os
import shutil
import signal
import struct
from collections.abc import Iterator

import pytest

from keepfit.shared.host import Owner
from keepfit.shared.jobs.states import JobState
from keepfit.web.client import RequestRefused
from tests.harness.waiting import wait_until
from tests.lifecycle.conftest import Service


def test_a_paused_job_goes_on_exactly_where_it_was(service: Service, undisturbed: str) -> None:
    """Pause loses no step; resume ends with the same bits."""
    job_id = service.submit()
    service.wait_for_step(job_id, 1_000)

    service.client.pause(job_id)
    paused = wait_until(lambda: (r := service.record(job_id)).state is JobState.PAUSED and r, "the job is paused")
    assert paused
    assert paused.checkpoint_step >= paused.progress["step"]
    service.client.resume(job_id)
    ended = service.wait_for_end(job_id)

    assert ended.result["weights_sha256"] == undisturbed
    assert ended.attempt == 2


def test_a_cancelled_job_stays_cancelled(service: Service) -> None:
    """The end is final, and the worker is free again."""
    job_id = service.submit()
    service.wait_for_step(job_id, 500)

    service.client.cancel(job_id)
    ended = service.wait_for_end(job_id)

    assert (ended.state, str(ended.reason)) == (JobState.CANCELLED, "cancelled by a person")
    with pytest.raises(RequestRefused):
        service.client.pause(job_id)


def test_a_wish_for_a_frozen_job_holds(service: Service) -> None:
    """The training process does not answer: whatever becomes of it, the job ends as wished."""
    job_id = service.submit()
    owner = Owner.parse(service.wait_for_step(job_id, 500).owner)
    os.kill(owner.child.pid, signal.SIGSTOP)

    service.client.cancel(job_id)
    ended = service.wait_for_end(job_id)
    os.kill(owner.child.pid, signal.SIGCONT)

    assert ended.state is JobState.CANCELLED


@pytest.fixture
def slow_and_wrong(service: Service) -> Iterator[str]:
    """A data set that takes a second to read, and then turns out to be no data set."""
    folder = service.data_dir / "datasets" / "mnist"
    folder.mkdir(parents=True)
    content = struct.pack(">HBBI", 0, 8, 1, 400_000_000) + bytes(400_000_000)
    (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(content, 1))
    for name in ("train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"):
        (folder / name).write_bytes(gzip.compress(struct.pack(">HBBI", 0, 8, 1, 0)))
    yield "mnist"
    shutil.rmtree(folder)


def test_a_wish_made_before_the_job_failed_does_not_resume_it(service: Service, slow_and_wrong: str) -> None:
    """Another priority is a wish to run too: it came before the failure, so after a wipe the job has still failed."""
    job_id = service.client.submit({"name": "fails late", "data": {"name": slow_and_wrong}}).id
    owner = Owner.parse(str(wait_until(lambda: service.record(job_id).owner, "the job is claimed")))
    os.kill(owner.child.pid, signal.SIGSTOP)
    service.client.prioritise(job_id, 7)
    os.kill(owner.child.pid, signal.SIGCONT)
    failed = service.wait_for_end(job_id)
    assert "has the shape" in str(failed.reason)
    assert (failed.state, failed.attempt) == (JobState.FAILED, 1)

    service.store.link.ask(lambda r: r.flushall())
    wait_until(service.store.upkeep.booted, "the server is rebuilt", timeout_s=20)

    after = service.record(job_id)
    assert (after.state, after.attempt, after.reason) == (JobState.FAILED, 1, failed.reason)


def test_a_paused_job_can_be_evaluated(service: Service) -> None:
    """An evaluation is a job of its own and leaves the paused one alone."""
    job_id = service.submit()
    service.wait_for_step(job_id, 2_000)
    service.client.pause(job_id)
    wait_until(lambda: service.record(job_id).state is JobState.PAUSED, "the job is paused")

    evaluation = service.client.evaluate(job_id)
    ended = service.wait_for_end(evaluation.id)

    assert ended.state is JobState.SUCCEEDED, ended.reason
    assert ended.result["metrics"]["accuracy"] > 0.8
    assert service.record(job_id).state is JobState.PAUSED


def test_a_wiped_server_is_rebuilt_from_disk(service: Service, undisturbed: str) -> None:
    """FLUSHALL with jobs running, paused, finished and cancelled: all are back in their state, none lost a step."""
    paused, cancelled, running = service.submit(), service.submit(), ""
    service.wait_for_step(paused, 500)
    service.client.pause(paused)
    service.client.cancel(cancelled)
    wait_until(lambda: service.record(paused).state is JobState.PAUSED, "one job is paused")
    service.wait_for_end(cancelled)
    finished = service.wait_for_end(service.submit()).id
    running = service.submit()
    service.wait_for_step(running, 1_000)
    expected = {paused: JobState.PAUSED, cancelled: JobState.CANCELLED, finished: JobState.SUCCEEDED}

    service.store.link.ask(lambda r: r.flushall())
    states = wait_until(
        lambda: (
            (found := {r.id: r.state for r in service.store.jobs.list(500)}) and set(expected) <= set(found) and found
        ),
        "the jobs are back",
        timeout_s=10,
    )
    assert states
    assert {job_id: states[job_id] for job_id in expected} == expected
    ended = service.wait_for_end(running)

    assert ended.attempt == 1
    assert ended.result["weights_sha256"] == undisturbed
    assert service.record(finished).result["weights_sha256"] == undisturbed
