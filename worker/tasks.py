"""The one task: claim a job, run one attempt of it, finish. Everything else is in ``worker.attempt``."""

from typing import Any

from celery import Task

from keepfit.shared.queue import TASK_NAME
from keepfit.shared.settings import get_settings
from keepfit.worker.app import app
from keepfit.worker.attempt import run_one
from keepfit.worker.keeper.deaths import AttemptRequest


class AttemptTask(Task):
    """A task whose lost process is noted by ``worker.keeper.deaths``, and that no child is forked for in vain."""

    Request = AttemptRequest
    Strategy = "keepfit.worker.consumer:dispatch_if_ready"


@app.task(name=TASK_NAME, base=AttemptTask)
def attempt(hint: str = "") -> None:
    """Run the job ``hint`` if it is ready, else the best one, else nothing."""
    run_one(get_settings(), hint)


__all__: list[Any] = ["attempt"]
