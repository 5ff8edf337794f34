"""The one task: claim a job, run one attempt of it, finish. Everything else is in ``worker.attempt``."""

from typing import Any

from celery import Task

from shared.queue import TASK_NAME
from shared.settings import get_settings
from worker.app import app
from worker.attempt import run_one
from worker.deaths import AttemptRequest


class AttemptTask(Task):
    """A task whose lost process is noted by ``worker.deaths``, and that no child is forked for in vain."""

    Request = AttemptRequest
    Strategy = "worker.consumer:dispatch_if_ready"


@app.task(name=TASK_NAME, base=AttemptTask)
def attempt(hint: str = "") -> None:
    """Run the job ``hint`` if it is ready, else the best one, else nothing."""
    run_one(get_settings(), hint)


__all__: list[Any] = ["attempt"]
