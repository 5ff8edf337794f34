"""Celery's own tools on the running service: they see its workers and its task."""

import json
import subprocess
import sys

import httpx
import pytest

from shared.queue import TASK_NAME
from tests.processes import ROOT, Household, free_port
from tests.services import Service
from tests.waiting import wait_until
from web.client import KeepfitClient

LONG = {"name": "watched by celery", "training": {"epochs": 5000, "batch_size": 2}}


@pytest.fixture
def running(service: Service) -> str:
    """A job that is being trained."""
    with KeepfitClient(service.url) as client:
        job = client.submit(LONG)
        wait_until(lambda: client.job(job.id).progress.get("step"), "the job trains", timeout_s=60)
    return job.id


def _redis(service: Service) -> dict[str, str]:
    return {"KEEPFIT_REDIS_URL": f"redis://127.0.0.1:{service.redis_port}/0"}


def test_inspect_shows_the_running_task(service: Service, running: str, household: Household) -> None:
    """`celery -A worker.app inspect active` answers while a job is trained, and lists its task."""
    command = [sys.executable, "-m", "celery", "-A", "worker.app", "inspect", "active", "--json", "--timeout", "10"]

    answer = household.start(command, _redis(service))
    code = answer.wait(timeout_s=60)

    active = json.loads(answer.text()[answer.text().index("{") :])
    assert code == 0
    assert [task["name"] for tasks in active.values() for task in tasks] == [TASK_NAME]
    with KeepfitClient(service.url) as client:
        client.cancel(running)
        client.wait(running, 60)


def test_flower_shows_the_task(service: Service, household: Household) -> None:
    """Flower lists the worker, and the task of a job that is submitted while it watches."""
    port = free_port()
    command = [sys.executable, "-m", "celery", "-A", "worker.app", "flower", "--address=127.0.0.1", f"--port={port}"]
    household.start(command, _redis(service) | {"FLOWER_UNAUTHENTICATED_API": "true"})

    def ask(what: str) -> dict[str, dict[str, object]]:
        try:
            found: dict[str, dict[str, object]] = httpx.get(f"http://127.0.0.1:{port}/api/{what}", timeout=5).json()
            return found
        except (httpx.TransportError, ValueError):
            return {}

    def tasks_after_a_job() -> set[object]:
        """Workers send events from when Flower has asked them to: a job before that leaves no trace."""
        with KeepfitClient(service.url) as client:
            client.wait(client.submit({"name": "seen by Flower", "training": {"epochs": 1}}).id, 60)
        return {task["name"] for task in ask("tasks").values()} - {None}

    workers = wait_until(lambda: ask("workers"), "Flower knows the worker", timeout_s=60)
    tasks = wait_until(tasks_after_a_job, "Flower knows the task", timeout_s=60)

    assert any(name.startswith("worker1@") for name in workers)
    assert tasks == {TASK_NAME}


def test_the_command_line_needs_no_tensorflow() -> None:
    """Importing the app for `inspect` and Flower loads nothing that trains, so both start fast."""
    code = "import sys, worker.app; print(*sorted({'tensorflow', 'keras'} & sys.modules.keys()))"

    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert loaded.strip() == ""
