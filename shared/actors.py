"""Who does something: an actor, what it may do, and the line that the audit file keeps of it.

    actor = local(How.PAGE)                        # Actor("local", Role.ADMIN, How.PAGE)
    may(actor, Deed.WISH, jobdir.job)              # True
    note(data_dir, actor, "wish:pause", job=job_id)

Everything that is done has an actor, who is stored with it. Without accounts there is one, "local": whoever reaches
the service, and the service itself. Knows nothing of how an actor proves who it is.
"""

import contextlib
import os
import time
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from keepfit.shared.durable import from_json, to_json

LOCAL = "local"
"""Who everybody is while there are no accounts."""
VIA = "Keepfit-Via"
"""The header in which a client of the API says what it is, such as "command"."""
NAME = "audit.jsonl"
"""The audit file, in the data directory. Append only; nothing reads it to decide anything."""


class Role(StrEnum):
    """What an actor is here."""

    ADMIN = "admin"
    """May do everything."""
    MEMBER = "member"
    """Submits jobs, and does everything with those of its own."""
    VIEWER = "viewer"
    """Looks."""


class How(StrEnum):
    """The way by which something was done."""

    PAGE = "page"
    API = "api"
    COMMAND = "command"
    WORKER = "worker"
    KEEPER = "keeper"


class Deed(StrEnum):
    """What can be done."""

    SUBMIT = "submit"
    WISH = "wish"
    """Have a job run, pause or be cancelled."""
    PRIORITISE = "prioritise"
    EVALUATE = "evaluate"
    DELETE = "delete"
    DRILL = "drill"
    """Kill a worker, to see its job recover."""


@dataclass(frozen=True)
class Actor:
    """Somebody who does something, as it is stored with what was done."""

    who: str
    role: Role
    how: How


def actor_of(value: Any) -> Actor | None:
    """The actor that a decoded ``value`` names; None for none that this version knows."""
    try:
        return Actor(str(value["who"]), Role(value["role"]), How(value["how"]))
    except (TypeError, KeyError, ValueError):
        return None


def text_of(actor: Actor | None) -> str:
    """``actor`` as one field of a record, in JSON; empty where nobody knows."""
    return to_json(asdict(actor)) if actor else ""


def read_text(text: str | None) -> Actor | None:
    """The actor that ``text_of`` has written."""
    try:
        return actor_of(from_json(text or "null"))
    except ValueError:
        return None


class Job(Protocol):
    """A job, as far as it decides who may do something with it."""

    @property
    def by(self) -> Actor | None:
        """Who has submitted it; None where an older version did not write that down."""


def local(how: How) -> Actor:
    """The one actor that there is without accounts."""
    return Actor(LOCAL, Role.ADMIN, how)


def may(actor: Actor, deed: Deed, job: Job | None = None) -> bool:
    """Whether ``actor`` may do ``deed``, with ``job`` if there is one."""
    match actor.role:
        case Role.ADMIN:
            return True
        case Role.MEMBER:
            own = job is not None and job.by is not None and job.by.who == actor.who
            return deed in (Deed.SUBMIT, Deed.EVALUATE) or (own and deed is not Deed.DRILL)
        case Role.VIEWER:
            return False


def note(data_dir: Path, actor: Actor, event: str, *, job: str, attempt: int | None = None, owner: str = "") -> None:
    """Append a line to the audit file; one that cannot be written is lost.

    Of people: ``submit``, ``wish:<wish>``, ``priority:<number>``, ``drill``. Of an attempt, with its number and its
    owner: ``begin``, ``end:<state>``, ``lost``; by a keeper ``lapsed:<state>``.
    """
    line = {"at_ms": time.time_ns() // 1_000_000, "job": job, "event": event, "by": asdict(actor)}
    line |= {"pid": os.getpid()}
    if attempt is not None:
        line |= {"attempt": attempt, "owner": owner}
    with contextlib.suppress(OSError):
        fd = os.open(data_dir / NAME, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(fd, (to_json(line) + "\n").encode())  # one write: lines of several processes never mix
        finally:
            os.close(fd)
