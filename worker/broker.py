"""The wire to the task queue: takes kicks, and outlives whatever else lies there.

A list on a shared server may hold anything: text that is no JSON, a message of another program, a task with
wrong arguments. Celery lets the first such message out of its event loop as an exception, and the worker takes
no more kicks until its trainings end. Here it costs a log line. A kick carries no state, so nothing is kept of
one: no acknowledgements, none of the keys that kombu has for them, and a key of the wrong type is dropped.
"""

import base64
import logging
import reprlib
import time
from collections.abc import Callable
from queue import Empty
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, virtual
from kombu.transport import redis as kombu_redis

from keepfit.shared.durable import from_json
from keepfit.shared.queue import QUEUE, TASK_NAME
from keepfit.worker.lanes import LANES

LONGEST_BODY = 4096
"""Bytes. A kick names one job at most."""
QUIET_S = 1.0
"""How long to ask for nothing after the server has refused to answer: its disk is full, or it is a replica."""
LOG_GAP_S = 10.0

log = logging.getLogger(__name__)


class Answers:
    """How often the server has answered our question for kicks: asked once a second while a slot is free."""

    def __init__(self) -> None:
        self.count = 0


ANSWERS = Answers()
"""Of this worker. A module value because kombu makes the channels, not we."""


class NothingKept(virtual.QoS):
    """Kombu's record of messages that are not acknowledged yet, for messages that need none."""

    def can_consume(self) -> bool:
        """Whether to look for kicks now; remote control is always listened to."""
        return (QUEUE not in self.channel.active_queues or LANES.may_take()) and super().can_consume()

    def append(self, message: Any, delivery_tag: str) -> None:
        """A lost kick is made up for by any keeper."""

    def ack(self, delivery_tag: str) -> None:
        """Nothing to strike out."""

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Nothing to give back."""


class Channel(kombu_redis.Channel):
    """Kombu's channel, that raises out of the event loop only what a new connection mends."""

    QoS: Any = NothingKept
    _quiet_until = _logged_at = 0.0

    def _brpop_start(self, timeout: float | None = None) -> None:
        if time.monotonic() >= self._quiet_until:
            super()._brpop_start(timeout)

    def _brpop_read(self, **options: Any) -> Any:
        ANSWERS.count += 1
        try:
            return super()._brpop_read(**options)
        except self.ResponseError as exc:
            if not self._set_aside(exc, *(key for queue in self.active_queues for key in self._lists(queue))):
                self._quiet_until = time.monotonic() + QUIET_S
                if time.monotonic() - self._logged_at > LOG_GAP_S:
                    self._logged_at = time.monotonic()
                    log.warning("the queue server gives no kicks: %s", exc)
        except (ValueError, RecursionError) as exc:
            log.warning("dropped a message from the task queue that cannot be read: %s", reprlib.repr(exc))
        raise Empty

    def _receive_one(self, c: Any) -> Any:
        try:
            return super()._receive_one(c)
        except RecursionError:
            log.warning("dropped a remote control message that is nested too deeply")
            return None

    def _size(self, queue: str) -> Any:
        return self._again(super()._size, (queue,), *self._lists(queue))

    def _queue_bind(self, exchange: str, *binding: Any) -> None:
        tables = (self.keyprefix_queue % exchange, self.keyprefix_binding_permanent % exchange)
        try:
            self._again(super()._queue_bind, (exchange, *binding), *tables)
        except self.ResponseError as exc:  # no write is taken now; kicks find their queue without
            log.warning("the queue server takes no binding of %s: %s", exchange, exc)

    def get_table(self, exchange: str) -> Any:
        """The queues that are bound to ``exchange``."""
        return self._again(super().get_table, (exchange,), self.keyprefix_queue % exchange)

    def _lists(self, queue: str) -> list[str]:
        return [self._q_for_pri(queue, step) for step in self.priority_steps]

    def _again(self, ask: Callable[..., Any], arguments: tuple[Any, ...], *keys: str) -> Any:
        """The answer of ``ask``, which needs ``keys``; asked twice if one of them had to be dropped."""
        try:
            return ask(*arguments)
        except self.ResponseError as exc:
            if not self._set_aside(exc, *keys):
                raise
            return ask(*arguments)

    def _set_aside(self, exc: Exception, *keys: str) -> bool:
        """Drop those of ``keys`` that somebody has made something else of; whether that is what ``exc`` says."""
        if "WRONGTYPE" not in str(exc):
            return False
        with self.conn_or_acquire() as client:
            for key in keys:
                if (kind := client.type(key)) not in (b"list", b"set", b"none"):
                    client.delete(key)
                    log.warning("the key %s of the task queue held a %s, and was dropped", key, kind.decode())
        return True


class Transport(kombu_redis.Transport):
    """Kombu's transport, that hands on kicks and remote control only."""

    Channel = Channel

    def _deliver(self, message: Any, queue: str) -> None:
        if queue == QUEUE and not is_kick(message):
            log.warning("dropped a message from the task queue that is no kick: %s", reprlib.repr(message))
            return
        try:
            super()._deliver(message, queue)
        except Exception as exc:
            # To kombu a KeyError is a lost connection as well; here it is a message that lacks something.
            if isinstance(exc, self.connection_errors) and not isinstance(exc, KeyError):
                raise
            log.warning("dropped a message of %s that cannot be handled: %r", queue, exc)


def is_kick(message: Any) -> bool:
    """Whether a message is what a keeper sends: our task, with one job's id or none, to be run now."""
    try:
        headers, properties, body = message["headers"], message["properties"], message["body"]
        if len(body) > LONGEST_BODY or message["content-type"] != "application/json":
            return False
        if properties.get("body_encoding") == "base64":
            body = base64.b64decode(body, validate=True)
        hints, named, _ = from_json(body)
        return (
            headers["task"] == TASK_NAME
            and all(isinstance(text, str) for text in (headers["id"], properties["delivery_tag"], *hints))
            and isinstance(hints, list)
            and len(hints) <= 1
            and named == {}
            and not headers.get("eta")
            and not headers.get("expires")
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return False


def use_for_redis() -> None:
    """From now on kombu connects to every kind of Redis address through this module."""
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:Transport"
