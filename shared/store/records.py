"""What the store answers with: frozen values, decoded once from Redis' strings."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.states import JobState, Wish


@dataclass(frozen=True)
class JobRecord:
    """One job as Redis has it. Times are milliseconds since 1970 on the server's clock; 0 for never."""

    id: str
    name: str
    kind: str
    state: JobState
    wish: Wish = Wish.RUN
    wish_number: int = 0
    attempt: int = 0
    owner: str = ""
    """The worker that runs it, as ``host:namespace:pid:nonce``; empty when nobody does."""
    lease_ms: int = 0
    """When its lease lapses."""
    heartbeat_ms: int = 0
    """When its owner was last heard of."""
    priority: int = 0
    reason: str = ""
    """Why it is in this state, in words for people."""
    last_end: str = ""
    """Why the latest attempt that has ended did so, in words; later wishes leave it as it is."""
    created_ms: int = 0
    since_ms: int = 0
    """When it came into this state."""
    needs: int = 1
    """The version of its spec: workers that read no such spec leave it to others."""
    source: str = ""
    """For an evaluation: the job whose model it measures."""
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
    def recovering(self) -> bool:
        """Queued with an attempt behind it: people see "recovering"."""
        return self.state is JobState.QUEUED and self.attempt > 0


@dataclass(frozen=True)
class WorkerRecord:
    """One living worker."""

    name: str
    host: str
    pid: int
    slots: int
    busy: int
    seen_ms: int
    age_ms: int = 0
    """How long ago it was last heard of."""
    takes: bool = True
    """Whether it takes jobs; a worker that stops, or whose consumer has gone deaf, does not."""


def job_record(job_id: str, raw: Mapping[str, str]) -> JobRecord:
    """Decode the hash of a job."""
    return JobRecord(
        id=job_id,
        name=raw.get("name", ""),
        kind=raw.get("kind", "train"),
        state=JobState(raw["state"]),
        wish=Wish(raw.get("wish", "run")),
        wish_number=int(raw.get("wish_number", 0)),
        attempt=int(raw.get("attempt", 0)),
        owner=raw.get("owner", ""),
        lease_ms=int(raw.get("lease_ms", 0)),
        heartbeat_ms=int(raw.get("heartbeat_ms", 0)),
        priority=int(raw.get("priority", 0)),
        reason=raw.get("reason", ""),
        last_end=raw.get("last_end", ""),
        created_ms=int(raw.get("created_ms", 0)),
        since_ms=int(raw.get("since_ms", 0)),
        needs=int(raw.get("needs", 1)),
        source=raw.get("source", ""),
        data=raw.get("data", ""),
        model=raw.get("model", ""),
        checkpoint_step=int(raw.get("checkpoint_step", 0)),
        checkpoint_failure=json.loads(raw.get("checkpoint_failure") or "{}"),
        progress=json.loads(raw.get("progress") or "{}"),
        progress_attempt=int(raw.get("progress_attempt", 0)),
        result=json.loads(raw.get("result") or "{}"),
    )
