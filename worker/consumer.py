"""The consumer of a worker: how its main process takes kicks, reconnects, and is known to be at it.

A kick is dropped unread while no job is ready: each one that is dispatched costs a fork. Whether the consumer
is at work is told by the answers that it gets from the server (``worker.broker``), counted by the keeper,
which is a thread and goes on while the event loop hangs.
"""

import functools
import logging
import os
import time
from collections.abc import Callable
from typing import Any

from celery import Task, bootsteps
from celery.worker.consumer import Consumer
from celery.worker.strategy import default as dispatch_always

from keepfit.shared.errors import KeepfitError
from keepfit.shared.settings import get_settings
from keepfit.shared.store import open_store
from keepfit.worker.broker import ANSWERS
from keepfit.worker.drain import draining, start_draining
from keepfit.worker.lanes import LANES

ASK_S = 0.3
"""How long the event loop may wait for an answer before it drops a kick."""
LONGEST_GAP_S = 1.0
"""Of the time between two looks this much counts: after more, this process itself was frozen."""
LAST_S = 2.0
"""How long a consumer that ends in order may take for it, after its last attempt."""

log = logging.getLogger(__name__)


class SwiftConsumer(Consumer):
    """Reconnects in under a second; Celery's own back-off leaves a worker deaf for up to 30 s.

    When it ends by an error, the trainings of this worker are asked to give their jobs back: Celery would wait
    for them, however long they are, before the process ends and can be replaced.
    """

    def start(self) -> None:
        """Take kicks until the worker is stopped."""
        try:
            super().start()
        except Exception:
            start_draining()
            raise

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


def dispatch_if_ready(task: Task, app: Any, consumer: Any, **options: Any) -> Callable[..., None]:
    """Celery's strategy for our task: forks a child for a kick only while a job is ready that it may claim."""
    dispatch = dispatch_always(task, app, consumer, **options)
    upkeep = open_store(get_settings().broker_url, timeout_s=ASK_S).upkeep

    def take(message: Any, *rest: Any) -> None:
        try:
            ready = upkeep.ready(only_short=LANES.full())
        except KeepfitError:  # a keeper sends the next kick when the server is back
            return
        if ready:
            dispatch(message, *rest)

    return take


class Deafness:
    """Notices that the consumer takes no kicks although a slot is free, and has the worker replaced.

    The attempts of the worker are asked to give their jobs back; then the process ends, and its supervisor starts
    another. ``after_s``: how long the consumer may be silent; ``grace_s``: how long attempts may take to stop.
    """

    def __init__(self, after_s: float, grace_s: float, leave: Callable[[], None]) -> None:
        self._after_s, self._grace_s, self._leave = after_s, grace_s, leave
        self._answers, self._looked_at, self._silent_s, self._noticed = ANSWERS.count, time.monotonic(), 0.0, False

    def forget(self) -> None:
        """The server was away: the consumer gets its time to reconnect."""
        self._silent_s = 0.0

    def look(self, busy: int, slots: int) -> bool:
        """Whether the consumer takes kicks; called several times a second, while the server answers."""
        now = time.monotonic()
        gap, self._looked_at = min(now - self._looked_at, LONGEST_GAP_S), now
        if draining() and not self._noticed:
            return False
        heard, self._answers = ANSWERS.count != self._answers, ANSWERS.count
        self._silent_s = 0.0 if not self._noticed and (heard or busy >= slots) else self._silent_s + gap
        if self._silent_s > self._after_s and not self._noticed:
            self._noticed = True
            log.error("this worker has taken no kicks for %.0f s: it gives its jobs back and ends", self._silent_s)
            start_draining()
        over_s = self._silent_s - self._after_s
        if self._noticed and (over_s > 2 * self._grace_s or (not busy and over_s > LAST_S)):
            self._leave()
            os._exit(1)  # the main thread hangs, so nothing gentler is heard
        return not self._noticed
