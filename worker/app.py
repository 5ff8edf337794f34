"""The Celery app of the workers, each option with its reason.

    celery -A keepfit.worker.app worker     # from a checkout also: celery -A worker.app worker

Celery dispatches kicks and keeps a pool of processes; whether a job runs is decided by leases
(shared.store), never by acknowledgements. Importing this module must not import TensorFlow, so that
``celery inspect`` stays light.
"""

import gc
import importlib
import multiprocessing
import os
import tempfile
from typing import Any

from celery import Celery
from celery.signals import worker_init, worker_ready, worker_shutdown, worker_shutting_down

from keepfit.shared import datadir
from keepfit.shared.errors import NewerVersion
from keepfit.shared.queue import QUEUE, TASK_NAME
from keepfit.shared.settings import get_settings
from keepfit.worker import broker, remote
from keepfit.worker.consumer import SwiftReap
from keepfit.worker.drain import start_draining
from keepfit.worker.keeper.keeper import Keeper

broker.use_for_redis()  # before the app connects
settings = get_settings()
app = Celery("keepfit", broker=settings.broker_url, include=["keepfit.worker.tasks"])
app.conf.update(
    task_acks_late=False,  # a late ack is redelivered while the task still runs; the lease decides instead
    task_ignore_result=True,
    result_backend=None,  # the job directory and the store hold results
    task_default_queue=QUEUE,
    task_serializer="json",
    accept_content=["json"],  # pickle would run code
    worker_pool="prefork",
    worker_concurrency=settings.processes,
    worker_prefetch_multiplier=1,
    worker_disable_prefetch=True,  # a kick must not wait behind a training of hours
    worker_max_tasks_per_child=1,  # each attempt is a fresh fork: threads, seeds and names of layers start anew
    worker_proc_alive_timeout=30,  # the default of 4 s kills slow starters in a loop
    worker_consumer="keepfit.worker.consumer:SwiftConsumer",
    worker_send_task_events=True,  # Flower cannot turn them on (worker.remote), and they are few
    worker_cancel_long_running_tasks_on_connection_loss=False,  # nothing is acked late
    worker_hijack_root_logger=True,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,  # for ever: an outage of the server ends no worker
    broker_connection_timeout=2,
    broker_transport_options={
        "health_check_interval": 3,  # a half-open connection is noticed within seconds
        "socket_timeout": 3,
        "socket_connect_timeout": 2,
        "socket_keepalive": True,
    },
)


app.steps["worker"].add(SwiftReap)
remote.read_only()


@worker_init.connect
def _make_files_private(**_: Any) -> None:
    os.umask(0o077)  # jobs, logs and models are no business of other users of this machine


@worker_init.connect
def _take_data_dir(**_: Any) -> None:
    try:
        datadir.take(settings.data_dir)
    except NewerVersion as exc:
        raise SystemExit(f"keepfit: {exc}") from exc


@worker_init.connect
def _preload(**_: Any) -> None:
    os.umask(0o077)  # what the worker writes is its user's affair only, also where `keepfit up` did not start it
    # Before the pool forks: every attempt then starts with TensorFlow imported. One BLAS thread and no
    # operation run, so that the parent stays single-threaded and the fork is safe.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    gc.disable()  # collecting while modules pile up is a quarter of the import; a killed worker must be back soon
    importlib.import_module("keepfit.worker.kinds")
    # The pool keeps a few bytes in an unlinked file; a directory of its own for it would outlive a kill -9.
    multiprocessing.current_process()._config["tempdir"] = tempfile.gettempdir()  # type: ignore[attr-defined]  # noqa: SLF001
    gc.freeze()  # the collector of a child would otherwise copy every page that the fork shares
    gc.enable()


_keeper: list[Keeper] = []


@worker_ready.connect
def _start_keeper(sender: Any, **_: Any) -> None:
    keeper = Keeper(settings, name=str(sender.hostname), publish=_publish_kick)
    keeper.start()
    _keeper.append(keeper)


@worker_shutting_down.connect
def _drain(**_: Any) -> None:
    start_draining()


@worker_shutdown.connect
def _stop_keeper(**_: Any) -> None:
    for keeper in _keeper:
        keeper.stop()


def _publish_kick() -> None:
    app.send_task(TASK_NAME, args=[""], queue=QUEUE, retry=False)
