"""What the store answers with: frozen values, decoded once from Redis' strings."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from keepfit.shared import actors
from keepfit.shared.actors import Actor
from keepfit.shared.durable import from_json
from keepfit.shared.jobs.states import JobState, Wish
from keepfit.shared.reasons import NONE, Reason, read_text
from keepfit.shared.spec import DEFAULT_KIND, Needs
from keepfit.shared.spec.task import DEFAULT_TASK, Task


class LeaseState(StrEnum):
    """How an attempt's lease is: the one word of every fenced script for it."""

    HELD = "held"
    LOST = "lost"
    """Another attempt has begun, or the job has ended: nothing was changed; stop, write nothing more."""
    MISSING = "missing"
    """The server was wiped: adopt the job."""


Lost = Literal[LeaseState.LOST]
"""For answers that are something else while the lease is held."""


@dataclass(frozen=True)
class JobRecord:
    """One job as Redis has it. Times are milliseconds since 1970 on the server's clock; 0 for never."""

    id: str
    name: str
    kind: str
    state: JobState
    wish: Wish = Wish.RUN
    wish_number: int = 0
    wish_by: Actor | None = None
    """Who has made that wish; None where nobody has wished anything, or nobody knows."""
    by: Actor | None = None
    """Who has submitted the job; None where nobody knows."""
    attempt: int = 0
    owner: str = ""
    """Who runs it, as ``host.Owner`` writes itself; empty when nobody does."""
    lease_ms: int = 0
    """When its lease lapses."""
    heartbeat_ms: int = 0
    """When its owner was last heard of."""
    priority: int = 0
    reason: Reason = NONE
    """Why it is in this state."""
    last_end: Reason = NONE
    """Why the latest attempt that has ended did so; later wishes leave it as it is."""
    created_ms: int = 0
    since_ms: int = 0
    """When it came into this state."""
    needs: int = 1
    """The version of its spec: workers that read no such spec leave it to others."""
    source: str = ""
    """The first of the jobs that it comes from: for an evaluation, the one whose model it measures."""
    data: str = ""
    model: str = ""
    checkpoint_step: int = 0
    checkpoint_failure: Mapping[str, Any] = field(default_factory=dict)
    """The fields of the latest ``CheckpointFailed`` event, if no checkpoint has been written since."""
    progress: Mapping[str, Any] = field(default_factory=dict)
    """The fields of the latest ``Progress`` event."""
    progress_attempt: int = 0
    """The attempt that reported it."""
    result: Mapping[str, Any] = field(default_factory=dict)
    """The content of the attempt's ``result.json``, once there is one."""

    @property
    def task(self) -> Task:
        """What the model is trained for, which says what counts. Every job of today has the same."""
        return DEFAULT_TASK

    @property
    def recovering(self) -> bool:
        """Queued with an attempt behind it: people see "recovering"."""
        return self.state is JobState.QUEUED and self.attempt > 0


def whole(raw: Mapping[str, str], name: str) -> int:
    """The whole number in a field; 0 for none, or for one that cannot be read."""
    try:
        return int(raw.get(name, 0))
    except ValueError:
        return 0


def needs_of_record(needs: str | None, kind: str | None) -> Needs:
    """What a worker must know to run the job; the first version wrote neither field."""
    return Needs(int(needs) if needs and needs.isascii() and needs.isdigit() else 1, kind or DEFAULT_KIND)


def wish_of(text: str | None) -> Wish:
    """The wish written as ``text``; to run where there is none, or none that this version knows."""
    return Wish(text) if text in set(Wish) else Wish.RUN


def _number(raw: Mapping[str, str], name: str) -> int:
    value = int(raw.get(name, 0))
    if abs(value) >= 2**53:  # beyond what the scripts can count
        raise ValueError(f"its {name} is no number that anything can have come to")
    return value


def _object(raw: Mapping[str, str], name: str) -> Mapping[str, Any]:
    value = from_json(raw.get(name) or "{}")
    if not isinstance(value, dict):
        raise ValueError(f"its {name} is no object")  # noqa: TRY004 - of a damaged text, like all that JSON raises
    return value


@dataclass(frozen=True)
class WorkerRecord:
    """One living worker."""

    name: str
    host: str
    pid: int
    slots: int
    busy: int
    """The attempts that it runs: of short kinds, one beyond its slots."""
    seen_ms: int
    age_ms: int = 0
    """How long ago it was last heard of."""
    takes: bool = True
    """Whether it takes jobs; a worker that stops, or whose consumer has gone deaf, does not."""


def job_record(job_id: str, raw: Mapping[str, str]) -> JobRecord:
    """Decode the hash of a job. Raises ValueError, KeyError for one that is damaged."""
    return JobRecord(
        id=job_id,
        name=raw.get("name", ""),
        kind=raw.get("kind", DEFAULT_KIND),
        state=JobState(raw["state"]),
        wish=Wish(raw.get("wish", "run")),
        wish_number=_number(raw, "wish_number"),
        wish_by=actors.read_text(raw.get("wish_by")),
        by=actors.read_text(raw.get("by")),
        attempt=_number(raw, "attempt"),
        owner=raw.get("owner", ""),
        lease_ms=_number(raw, "lease_ms"),
        heartbeat_ms=_number(raw, "heartbeat_ms"),
        priority=_number(raw, "priority"),
        reason=read_text(raw.get("reason", "")),
        last_end=read_text(raw.get("last_end", "")),
        created_ms=_number(raw, "created_ms"),
        since_ms=_number(raw, "since_ms"),
        needs=_number(raw, "needs") or 1,
        source=raw.get("source", ""),
        data=raw.get("data", ""),
        model=raw.get("model", ""),
        checkpoint_step=_number(raw, "checkpoint_step"),
        checkpoint_failure=_object(raw, "checkpoint_failure"),
        progress=_object(raw, "progress"),
        progress_attempt=_number(raw, "progress_attempt"),
        result=_object(raw, "result"),
    )
