"""The queue server or every worker is away for a while: nothing is forgotten, and no training stops for it."""

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import pytest

from keepfit.shared.errors import StoreUnavailable
from keepfit.shared.host import Owner
from keepfit.shared.jobs.directory import open_jobdir
from keepfit.shared.jobs.documents import ResumedFrom
from keepfit.shared.jobs.states import JobState
from tests.harness.documents import record_of, result_of
from tests.harness.waiting import wait_until
from tests.lifecycle.conftest import Service

BEYOND_A_LEASE_S = 4.5


@contextmanager
def frozen_server(service: Service) -> Iterator[psutil.Process]:
    """The queue server does not answer meanwhile."""
    server = service.part("valkey-server")
    server.suspend()
    try:
        yield server
    finally:
        server.resume()


def let_time_pass(seconds: float) -> None:
    """As long as a lease lasts, and longer: this is what the test is about."""
    until = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() > until, "time has passed", seconds + 5)


def test_a_frozen_server_stops_no_training(service: Service, undisturbed: str) -> None:
    """It wakes after every lease has lapsed: the owners renew before anybody takes their job away."""
    job_id = service.submit()
    service.wait_for_step(job_id, 500)

    with frozen_server(service):
        let_time_pass(BEYOND_A_LEASE_S)
    ended = service.wait_for_end(job_id)

    assert ended.attempt == 1
    assert ended.result["weights_sha256"] == undisturbed


def test_a_submit_while_the_server_is_away_starts_when_it_is_back(service: Service, undisturbed: str) -> None:
    """It is accepted on disk, and the answer says so."""
    with frozen_server(service):
        job = service.client.submit(
            {"name": "early", "training": {"epochs": 60, "batch_size": 8, "checkpoint_interval_s": 0.5, "seed": 7}}
        )
        assert job.state is JobState.QUEUED
    ended = service.wait_for_end(job.id)

    assert ended.result["weights_sha256"] == undisturbed


def test_a_wish_while_the_server_is_away_holds_when_it_is_back(service: Service) -> None:
    """The running attempt hears of it then, and obeys with a checkpoint."""
    job_id = service.submit(epochs=1_000)
    service.wait_for_step(job_id, 500)

    with frozen_server(service):
        service.client.pause(job_id)
    paused = wait_until(lambda: (r := service.record(job_id)).state is JobState.PAUSED and r, "the job is paused")
    service.client.cancel(job_id)

    assert paused
    assert paused.attempt == 1
    assert paused.checkpoint_step >= paused.progress["step"]
    assert service.wait_for_end(job_id).state is JobState.CANCELLED


def test_a_wish_while_every_worker_is_down_holds(service: Service) -> None:
    """Whoever looks after the job next finds the wish, and does not train on."""
    job_id = service.submit()
    owner = Owner.parse(service.wait_for_step(job_id, 500).owner)
    for name in ("worker1@%h", "worker2@%h"):
        os.kill(service.part(name).pid, signal.SIGKILL)

    service.client.cancel(job_id)
    ended = service.wait_for_end(job_id)

    assert not owner.main.alive()
    assert (ended.state, ended.attempt) == (JobState.CANCELLED, 1)


@pytest.mark.parametrize("epochs", [60, 200])
def test_a_stopped_worker_gives_its_job_back_without_losing_a_step(service: Service, epochs: int) -> None:
    """SIGTERM: checkpoint, requeue, exit; the next attempt begins at the very step."""
    job_id = service.submit(epochs=epochs)
    worker = psutil.Process(Owner.parse(service.wait_for_step(job_id, 1_000).owner).main.pid)

    worker.terminate()
    worker.wait(20)
    service.wait_for_step(job_id, 1_000)
    first, second = open_jobdir(service.data_dir / "jobs", job_id).attempt_dirs()
    service.client.cancel(job_id)
    service.wait_for_end(job_id)

    given_back = result_of(first)
    assert given_back.outcome == "stopped"
    assert record_of(second).resumed == ResumedFrom(attempt=1, step=given_back.step)


def wipe(service: Service) -> None:
    """FLUSHALL."""
    service.store.link.ask(lambda r: r.flushall())


def replace_by_an_empty_one(service: Service) -> None:
    """The server is killed and its file lost; the one that is started in its place knows nothing."""
    server = service.part("valkey-server")
    server.suspend()  # it writes nothing more
    shutil.rmtree(service.data_dir / "redis" / "appendonlydir")
    server.kill()
    server.wait()


def states(service: Service) -> dict[str, JobState]:
    """Every job that the server knows; empty while it is away."""
    try:
        return {record.id: record.state for record in service.store.jobs.list(500)}
    except StoreUnavailable:
        return {}


def stopped_jobs(service: Service) -> dict[str, JobState]:
    """A finished, a paused and a cancelled job, with their states."""
    finished = service.wait_for_end(service.submit(epochs=1)).id
    paused, cancelled = service.submit(epochs=1_000), service.submit(epochs=1_000)
    for job_id, ask in ((paused, service.client.pause), (cancelled, service.client.cancel)):
        service.wait_for_step(job_id, 0)
        ask(job_id)
    wait_until(lambda: service.record(paused).state is JobState.PAUSED, "one is paused")
    service.wait_for_end(cancelled)
    return {finished: JobState.SUCCEEDED, paused: JobState.PAUSED, cancelled: JobState.CANCELLED}


@pytest.fixture
def crowd(service: Service) -> Iterator[dict[str, JobState]]:
    """Jobs in every state, of which two run and so leave no free worker for the last three, which are queued."""
    found = stopped_jobs(service)
    running, queued = ([service.submit(epochs=4_000) for _ in range(count)] for count in (2, 3))
    for job_id in running:
        service.wait_for_step(job_id, 0)
    service.client.prioritise(queued[-1], 5)
    found |= dict.fromkeys(running, JobState.RUNNING) | dict.fromkeys(queued, JobState.QUEUED)
    yield found
    for job_id in queued + running:
        service.client.cancel(job_id)
        service.wait_for_end(job_id)


@pytest.mark.parametrize("lose", [wipe, replace_by_an_empty_one])
def test_a_server_that_has_lost_all_knows_every_job_again_within_seconds(
    service: Service, crowd: dict[str, JobState], lose: Callable[[Service], None]
) -> None:
    """Each in its state, the queued ones in their order, the running ones in the same processes."""
    first, second, urgent = [job_id for job_id, state in crowd.items() if state is JobState.QUEUED]
    running = [job_id for job_id, state in crowd.items() if state is JobState.RUNNING]
    before = {job_id: service.record(job_id) for job_id in running}

    lose(service)
    wait_until(lambda: states(service).keys() >= set(running), "the server is back, and who trains has told it")
    wait_until(lambda: crowd.items() <= states(service).items(), "every job is back", timeout_s=10)

    assert [service.store.jobs.waiting(job_id).place for job_id in (urgent, first, second)] == [0, 1, 2]
    for job_id, record in before.items():
        after = service.wait_for_step(job_id, record.progress["step"])
        assert (after.attempt, after.owner) == (1, record.owner)
