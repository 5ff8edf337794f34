"""The Celery app of the workers, each option with its reason.

    celery -A worker.app worker

Celery dispatches kicks and keeps a pool of processes; whether a job runs is decided by leases
(shared.store), never by acknowledgements. Importing this module must not import TensorFlow, so that
``celery inspect`` stays light.
"""

import functools
import gc
import importlib
import multiprocessing
import os
import tempfile
from typing import Any

from celery import Celery, bootsteps
from celery.signals import worker_init, worker_ready, worker_shutdown, worker_shutting_down
from celery.worker.consumer import Consumer

from shared import datadir
from shared.errors import NewerVersion
from shared.queue import QUEUE, TASK_NAME
from shared.settings import get_settings
from worker.drain import start_draining
from worker.keeper import Keeper

settings = get_settings()
app = Celery("keepfit", broker=settings.broker_url, include=["worker.tasks"])
app.conf.update(
    task_acks_late=False,  # a late ack is redelivered while the task still runs; the lease decides instead
    task_ignore_result=True,
    result_backend=None,  # the job directory and the store hold results
    task_default_queue=QUEUE,
    task_serializer="json",
    accept_content=["json"],  # pickle would run code
    worker_pool="prefork",
    worker_concurrency=settings.slots,
    worker_prefetch_multiplier=1,
    worker_disable_prefetch=True,  # a kick must not wait behind a training of hours
    worker_max_tasks_per_child=1,  # each attempt is a fresh fork: threads, seeds and names of layers start anew
    worker_proc_alive_timeout=30,  # the default of 4 s kills slow starters in a loop
    worker_consumer="worker.app:SwiftConsumer",
    worker_cancel_long_running_tasks_on_connection_loss=False,  # nothing is acked late
    worker_hijack_root_logger=True,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,  # for ever: an outage of the server ends no worker
    broker_connection_timeout=2,
    broker_transport_options={
        "visibility_timeout": 30,  # safe since kicks are acked within milliseconds
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
        "health_check_interval": 3,  # a half-open connection is noticed within seconds
        "socket_timeout": 3,
        "socket_connect_timeout": 2,
        "socket_keepalive": True,
    },
)


class SwiftConsumer(Consumer):
    """Reconnects in under a second; Celery's own back-off leaves a worker deaf for up to 30 s."""

    def ensure_connected(self, conn: Any) -> Any:
        """Wait for the server, trying again every 0.2 to 1 s."""
        conn.ensure_connection = functools.partial(
            conn.ensure_connection, interval_start=0.2, interval_step=0.2, interval_max=1.0
        )
        return super().ensure_connected(conn)


class SwiftReap(bootsteps.StartStopStep):
    """Looks for dead children every 0.1 s; by itself the pool may notice one only after 5 s."""

    requires = ("celery.worker.components:Pool",)

    def register_with_event_loop(self, parent: Any, hub: Any) -> None:
        """Called when the event loop starts."""
        hub.call_repeatedly(0.1, parent.pool.maintain_pool)


app.steps["worker"].add(SwiftReap)


@worker_init.connect
def _take_data_dir(**_: Any) -> None:
    try:
        datadir.take(settings.data_dir)
    except NewerVersion as exc:
        raise SystemExit(f"keepfit: {exc}") from exc


@worker_init.connect
def _preload(**_: Any) -> None:
    # Before the pool forks: every attempt then starts with TensorFlow imported. One BLAS thread and no
    # operation run, so that the parent stays single-threaded and the fork is safe.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    gc.disable()  # collecting while modules pile up is a quarter of the import; a killed worker must be back soon
    importlib.import_module("worker.training.run")
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
