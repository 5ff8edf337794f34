"""Celery's own tools on the running service: they see its workers and its task."""

import json
import subprocess
import sys

import httpx
import pytest
from celery import Celery

from keepfit.shared.queue import QUEUE, TASK_NAME
from keepfit.shared.settings import Settings
from keepfit.web.client import Client
from tests.harness.processes import CELERY, ROOT, Household, free_port
from tests.harness.services import Service
from tests.harness.waiting import wait_until

LONG = {"name": "watched by celery", "training": {"epochs": 5000, "batch_size": 2}}


@pytest.fixture
def running(service: Service) -> str:
    """A job that is being trained."""
    with Client(service.url) as client:
        job = client.submit(LONG)
        wait_until(lambda: client.job(job.id).progress.get("step"), "the job trains", timeout_s=60)
    return job.id


def _redis(service: Service) -> dict[str, str]:
    return {"KEEPFIT_DATA_DIR": str(service.data_dir), "KEEPFIT_REDIS_PORT": str(service.redis_port)}


def test_inspect_shows_the_running_task(service: Service, running: str, household: Household) -> None:
    """`celery -A worker.app inspect active` answers while a job is trained, and lists its task."""
    command = [sys.executable, *CELERY, "inspect", "active", "--json", "--timeout", "10"]

    answer = household.start(command, _redis(service))
    code = answer.wait(timeout_s=60)

    active = json.loads(answer.text()[answer.text().index("{") :])
    assert code == 0
    assert [task["name"] for tasks in active.values() for task in tasks] == [TASK_NAME]
    with Client(service.url) as client:
        client.cancel(running)
        client.wait(running, 60)


def test_flower_shows_the_task(service: Service, household: Household) -> None:
    """Flower lists the worker, and the task of a job that is submitted while it watches."""
    port = free_port()
    command = [sys.executable, *CELERY, "flower", "--address=127.0.0.1", f"--port={port}"]
    household.start(command, _redis(service) | {"FLOWER_UNAUTHENTICATED_API": "true"})

    def ask(what: str) -> dict[str, dict[str, object]]:
        try:
            found: dict[str, dict[str, object]] = httpx.get(f"http://127.0.0.1:{port}/api/{what}", timeout=5).json()
            return found
        except (httpx.TransportError, ValueError):
            return {}

    def tasks_after_a_job() -> set[object]:
        """Workers send events from when Flower has asked them to: a job before that leaves no trace."""
        with Client(service.url) as client:
            client.wait(client.submit({"name": "seen by Flower", "training": {"epochs": 1}}).id, 60)
        return {task["name"] for task in ask("tasks").values()} - {None}

    workers = wait_until(lambda: ask("workers"), "Flower knows the worker", timeout_s=60)
    tasks = wait_until(tasks_after_a_job, "Flower knows the task", timeout_s=60)

    assert any(name.startswith("worker1@") for name in workers)
    assert tasks == {TASK_NAME}


ORDERS: dict[str, dict[str, object]] = {
    "shutdown": {},
    "pool_shrink": {"n": 2},
    "pool_grow": {"n": 2},
    "pool_restart": {"reload": True},
    "autoscale": {"max": 0, "min": 0},
    "cancel_consumer": {"queue": QUEUE},
    "add_consumer": {"queue": "another"},
    "rate_limit": {"task_name": TASK_NAME, "rate_limit": "1/h"},
    "time_limit": {"task_name": TASK_NAME, "soft": 1, "hard": 1},
    "disable_events": {},
    "enable_events": {},
    "election": {"id": "x", "topic": "x"},
    "heartbeat": {},
    "objgraph": {},
    "memdump": {},
}


def test_remote_control_only_reads(service: Service, running: str) -> None:
    """Whoever reaches the queue server can look at a worker, but neither end it nor touch what it trains."""
    with Celery(broker=service.redis_url) as stranger, Client(service.url) as client:
        remote = stranger.control
        (active,) = remote.inspect(timeout=5).active().values()
        task = {"task_id": active[0]["id"]}
        orders = ORDERS | {"revoke": task | {"terminate": True}, "terminate": task | {"signal": "KILL"}}
        worker = service.part("keepfit.worker.app")
        for order, arguments in orders.items():
            (answers,) = remote.broadcast(order, arguments=arguments, reply=True, timeout=5, limit=1)
            assert "take no" in next(iter(answers.values())).get("error", ""), order
        remote.broadcast("hello", arguments={"from_node": "x@y", "revoked": {active[0]["id"]: 9e9}})

        (stats,) = remote.inspect(timeout=5).stats().values()
        assert list(remote.inspect(timeout=5).revoked().values()) == [[]]
        assert stats["pool"]["max-concurrency"] == Settings().processes
        assert service.part("keepfit.worker.app") == worker
        assert client.job(running).attempt == 1
        client.cancel(running)
        client.wait(running, 60)


def test_what_a_worker_writes_is_private(service: Service) -> None:
    """No other user of the machine reads what a job's worker leaves on disk."""
    with Client(service.url) as client:
        job = client.wait(client.submit({"name": "private", "training": {"epochs": 1}}).id, 60)
    attempt = service.data_dir / "jobs" / job.id / "attempts"

    found = [path for path in [attempt, *attempt.rglob("*")] if path.lstat().st_mode & 0o077]

    assert found == []


def test_the_command_line_needs_no_tensorflow() -> None:
    """Importing the app for `inspect` and Flower loads nothing that trains, so both start fast."""
    code = "import sys, keepfit.worker.app; print(*sorted({'tensorflow', 'keras'} & sys.modules.keys()))"

    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert loaded.strip() == ""
