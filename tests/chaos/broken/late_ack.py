"""A worker as many would write it: the task trains the job that it is told, and is acknowledged when it has ended.

    celery -A tests.chaos.broken.late_ack worker

No claim, no lease: whoever has the message is taken for the one who works.
"""

import importlib
import os
from functools import partial
from typing import Any

from celery import Celery
from celery.signals import worker_init

from keepfit.shared.actors import How, local, note
from keepfit.shared.jobs.directory import open_jobdir
from keepfit.shared.jobs.states import JobState
from keepfit.shared.queue import QUEUE, TASK_NAME
from keepfit.shared.reasons import NONE
from keepfit.shared.settings import get_settings
from keepfit.shared.store import open_store
from keepfit.worker.training.interfaces import Silent, StopSignal

settings = get_settings()
app = Celery("late", broker=settings.broker_url)
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    task_default_queue=QUEUE,
    broker_connection_retry_on_startup=True,
)


@worker_init.connect
def _preload(**_: Any) -> None:
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    importlib.import_module("keepfit.worker.kinds")


@app.task(name=TASK_NAME)
def train(job_id: str) -> None:
    """Train ``job_id``, whoever else may do so."""
    from keepfit.worker.kinds import run

    jobdir = open_jobdir(settings.jobs_dir, job_id)
    attempt = jobdir.new_attempt(jobdir.status().attempt + 1)
    owner = f"late:{os.getpid()}"
    audit = partial(note, settings.data_dir, local(How.WORKER), job=job_id, attempt=attempt.number, owner=owner)
    audit("begin")
    run(jobdir.spec, jobdir, attempt, Silent(), StopSignal())
    store = open_store(settings.broker_url)
    store.upkeep.forget(job_id)
    store.upkeep.put_back(jobdir, JobState.SUCCEEDED, NONE)
    store.close()
    audit("end:succeeded")
