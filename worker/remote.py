"""Celery's remote control, limited to what only reads.

Whoever reaches the queue server may broadcast to its workers: `celery inspect` and Flower do so to show what
they are at. The same channel could end a worker, take its queue away, shrink its pool or kill a training,
without a trace in the job; all of that has a way here that leaves one: signals to the worker, wishes for a job.
So each command that changes something answers that it is not taken. Events, which Flower turns on for itself
elsewhere, are always on (`worker_send_task_events`).
"""

import logging
from collections.abc import Callable
from typing import Any

from celery.worker.control import Panel, nok

WRITE_FILES = ("objgraph", "memdump")
"""Commands that pass for reading, but write files or to the log at a stranger's wish."""

log = logging.getLogger(__name__)


def read_only() -> None:
    """From now on this worker refuses every remote command that changes something."""
    for name in list(Panel.data):
        if name in WRITE_FILES or getattr(Panel.meta.get(name), "type", "inspect") != "inspect":
            Panel.data[name] = _refusal(name)
    Panel.data["hello"] = _greet_only(Panel.data["hello"])


def _refusal(name: str) -> Callable[..., dict[str, str]]:
    def refuse(_state: object, **_: object) -> dict[str, str]:
        log.warning("the remote command %s is not taken", name)
        answer: dict[str, str] = nok(f"Keepfit's workers take no {name}: use signals for a worker, wishes for a job")
        return answer

    return refuse


def _greet_only(hello: Callable[..., Any]) -> Callable[..., Any]:
    """Another worker that starts says hello; the list of revoked tasks that may come with it is not taken."""
    return lambda state, from_node, **_: hello(state, from_node)
