"""A real worker and a task queue that others write to: what is no kick costs a log line and no worker."""

from collections.abc import Callable
from typing import Any

import psutil
import pytest
import redis
from celery import Celery

from keepfit.shared.jobs.directory import JobDir, create_jobdir
from keepfit.shared.jobs.states import JobState
from keepfit.shared.queue import QUEUE, TASK_NAME
from keepfit.shared.settings import Settings
from keepfit.shared.store import Store
from tests.harness.foreign import FOREIGN, kick
from tests.harness.processes import Household, Part
from tests.harness.specs import accepted
from tests.harness.waiting import wait_until

Submit = Callable[..., JobDir]
LONG = {"epochs": 100_000, "batch_size": 2}


@pytest.fixture
def server(settings: Settings) -> redis.Redis:
    """The queue server, as anybody on this machine may use it."""
    return redis.Redis.from_url(settings.broker_url)


@pytest.fixture
def worker(settings: Settings, household: Household) -> Part:
    """A worker of two slots."""
    return household.start_worker(settings.model_copy(update={"slots": 2, "stop_grace_s": 2.0}))


@pytest.fixture
def submit(settings: Settings, store: Store) -> Submit:
    """Submits a training of some seconds, or with the given changes."""

    def create(**training: Any) -> JobDir:
        spec = {
            "name": "amid noise",
            "training": {"epochs": 1, "seed": len(list(settings.jobs_dir.glob("*"))), **training},
        }
        jobdir, _ = create_jobdir(settings.jobs_dir, accepted(spec))
        store.jobs.create(jobdir)
        return jobdir

    return create


@pytest.fixture
def running(worker: Part, store: Store, submit: Submit) -> JobDir:
    """A job of hours, in one of the worker's slots."""
    job = submit(**LONG)
    wait_until(lambda: store.jobs.get(job.id).progress, "the long job trains")
    return job


def succeeds(store: Store, job: JobDir, timeout_s: float = 20) -> None:
    """Wait until ``job`` has succeeded."""
    wait_until(lambda: store.jobs.get(job.id).state is JobState.SUCCEEDED, "the job has succeeded", timeout_s)


def test_what_is_no_kick_costs_a_line_and_no_worker(
    server: redis.Redis, store: Store, worker: Part, running: JobDir, submit: Submit
) -> None:
    """Every kind of foreign message, while a job of hours runs: the next job starts, by the same worker."""
    for message in FOREIGN.values():
        server.rpush(QUEUE, message)

    def dropped() -> int:
        return worker.text().count("dropped a message")

    wait_until(lambda: dropped() >= len(FOREIGN), "the worker has read them all")

    succeeds(store, submit())

    assert dropped() == len(FOREIGN)
    assert "Traceback" not in worker.text()
    assert store.jobs.get(running.id).attempt == 1


@pytest.mark.parametrize("channel", ["/0.celery.pidbox", "/0.celeryev/worker.heartbeat"])
def test_foreign_broadcasts_cost_no_worker(
    channel: str, server: redis.Redis, store: Store, worker: Part, running: JobDir, submit: Submit
) -> None:
    """The same on the channels of remote control and events."""
    for message in FOREIGN.values():
        server.publish(channel, message)

    succeeds(store, submit())

    assert worker.running()
    assert store.jobs.get(running.id).attempt == 1


KEYS = [QUEUE, "unacked", "unacked_index", "unacked_mutex", f"_kombu.binding.{QUEUE}", "_kombu.binding.celery.pidbox"]


def test_a_key_of_the_queue_that_is_something_else_is_dropped(
    server: redis.Redis, store: Store, worker: Part, running: JobDir, submit: Submit
) -> None:
    """`SET keepfit x`, and the same for each key of the broker: kicks go on, by the same worker."""
    for key in KEYS:
        server.set(key, "x")
        succeeds(store, submit())

    server.client_kill_filter(_type="normal")  # a worker that connects anew binds its queue anew
    succeeds(store, submit())

    assert f"the key {QUEUE} of the task queue held a string" in worker.text()
    assert store.jobs.get(running.id).attempt == 1
    assert "Unrecoverable" not in worker.text()
    server.delete(*KEYS)


def test_a_key_of_the_queue_that_is_something_else_keeps_no_worker_from_starting(
    settings: Settings, server: redis.Redis, store: Store, household: Household, submit: Submit
) -> None:
    """The same keys, before the worker starts."""
    for key in KEYS:
        server.set(key, "x")

    household.start_worker(settings)

    succeeds(store, submit())
    server.delete("unacked", "unacked_index", "unacked_mutex")


def test_a_queue_server_that_refuses_kicks_ends_no_worker(
    server: redis.Redis, store: Store, worker: Part, running: JobDir, submit: Submit
) -> None:
    """A server that takes no writes for a while, as with a full disk: the worker goes on when it does again."""
    server.config_set("min-replicas-to-write", 1)
    wait_until(lambda: "the queue server gives no kicks" in worker.text(), "the worker says so")
    server.config_set("min-replicas-to-write", 0)

    succeeds(store, submit())

    assert store.jobs.get(running.id).attempt == 1
    assert worker.text().count("the queue server gives no kicks") == 1


def test_thousands_of_kicks_fork_next_to_nothing(
    settings: Settings, server: redis.Redis, store: Store, worker: Part, running: JobDir, submit: Submit
) -> None:
    """5,000 kicks with nothing to do: few children are forked, and a job that is submitted amid them starts soon."""
    seen: set[int] = set()
    main = psutil.Process(worker.pid)

    def started(job_id: str) -> bool:
        seen.update(child.pid for child in main.children())
        return store.jobs.get(job_id).state is not JobState.QUEUED

    before = {child.pid for child in main.children()}
    for _ in range(5):
        server.rpush(QUEUE, *[kick() for _ in range(1000)])
        job = submit(epochs=1)
        wait_until(lambda: started(job.id), "a job starts amid the kicks", timeout_s=2)  # noqa: B023
        succeeds(store, job)
    wait_until(lambda: not server.exists(QUEUE), "no kick is left")

    assert worker.text().count("received") < 40, "each kick that is received forks a child"
    assert len(seen - before) < 20
    assert store.jobs.get(running.id).attempt == 1


def test_a_list_full_of_kicks_is_cut(
    server: redis.Redis, store: Store, worker: Part, running: JobDir, submit: Submit
) -> None:
    """While all slots are busy kicks stay in the list; it does not grow without end."""
    second = submit(**LONG)
    wait_until(lambda: store.jobs.get(second.id).state is JobState.RUNNING, "all slots are busy")

    server.rpush(QUEUE, *[kick() for _ in range(5000)])

    wait_until(lambda: server.llen(QUEUE) <= 1000, "the list is cut")


def test_a_celery_sender_is_understood(settings: Settings, server: redis.Redis, worker: Part, store: Store) -> None:
    """What Celery itself makes of our task is a kick."""
    with Celery(broker=settings.broker_url) as sender:
        sender.send_task(TASK_NAME, args=[""], queue=QUEUE)
        sender.send_task(TASK_NAME, queue=QUEUE)
    wait_until(lambda: not server.exists(QUEUE), "both are taken")

    assert "dropped" not in worker.text()
