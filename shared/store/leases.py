"""The lease on a job: the time-limited right of one attempt to count. For workers only.

    claim = store.leases.claim(owner, hint="", lease_s=3)
    renewal = store.leases.renew(claim)
    store.leases.finish(claim, Outcome.FINISHED, result={...})

Every call carries the owner and the attempt number (the fencing token); one that no longer holds
is answered with ``lost`` and changes nothing.
"""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from keepfit.shared.durable import to_json
from keepfit.shared.errors import DamagedFile, JobNotFound
from keepfit.shared.jobs.directory import JobDir
from keepfit.shared.jobs.events import Event, encode
from keepfit.shared.jobs.states import Cause, JobState, Outcome, Wish
from keepfit.shared.spec import KINDS, READS
from keepfit.shared.store import keys
from keepfit.shared.store.jobs import fields_of, flat
from keepfit.shared.store.keepers import WishChannel
from keepfit.shared.store.records import whole, wish_of
from keepfit.shared.store.scripts import Argument, Link


@dataclass(frozen=True)
class Claim:
    """One attempt's right: the job, the attempt number, and who holds it."""

    job_id: str
    attempt: int
    owner: str
    after: str = ""
    """Why the attempt before it ended, in words; empty for the first."""


class Hold(StrEnum):
    """What became of a claim."""

    HELD = "held"
    LOST = "lost"
    """Another attempt has begun, or the job has ended: stop, write nothing more."""
    MISSING = "missing"
    """The server was wiped: adopt the job."""


@dataclass(frozen=True)
class Renewal:
    """The answer to a heartbeat: whether the lease holds, and what a person wishes."""

    hold: Hold
    wish: Wish


@dataclass(frozen=True)
class Running:
    """A running attempt, as its keeper sees it."""

    claim: Claim
    wish: Wish
    wish_ms: int
    """When the wish was made, on the server's clock; 0 if none was."""
    lease_ms: int
    """When its lease lapses, on the server's clock."""


@dataclass(frozen=True)
class Budget:
    """How often an attempt may fail by its own fault without progress, and the pauses between interruptions."""

    restarts: int
    backoff_s: float

    @property
    def arguments(self) -> tuple[int, int]:
        """As the scripts take it."""
        return self.restarts, round(self.backoff_s * 1000)


class Leases:
    """Claims, heartbeats and ends of attempts."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def claim(
        self, owner: str, hint: str, lease_s: float, reads: int = READS, kinds: Sequence[str] = KINDS
    ) -> Claim | None:
        """Take the hinted job if it is ready, else the best one; None when no job is ready.

        A job whose spec has a higher version than ``reads``, or another kind, is left to workers that know it.
        """
        answer = self._link.run("claim", owner, hint, round(lease_s * 1000), reads, *kinds)
        return Claim(answer[0], int(answer[1]), owner, answer[2]) if answer else None

    def bump(self, claim: Claim, floor: int) -> Claim | None:
        """Raise the attempt number above ``floor``, the highest on disk; None when the lease is lost."""
        raised = self._link.run("bump", claim.job_id, claim.owner, claim.attempt, floor)
        return dataclasses.replace(claim, attempt=int(raised)) if raised else None

    def renew(self, claim: Claim, lease_s: float) -> Renewal:
        """The owner's heartbeat. A wish that nobody can read is none: the record is put right from the disk."""
        status, wish, _ = self._link.run("renew", *_who(claim), round(lease_s * 1000))
        return Renewal(Hold(status), wish_of(wish))

    def report(self, claim: Claim, events: Sequence[Event]) -> bool:
        """Append events to the job's stream; False when the lease is lost."""
        pairs = [part for event in events for part in _pair(event)]
        return bool(self._link.run("report", *_who(claim), *pairs))

    def finish(
        self,
        claim: Claim,
        outcome: Outcome,
        reason: str,
        budget: Budget,
        result: Mapping[str, Any] | None = None,
        hold: bool = False,
        cause: Cause = Cause.PROCESS,
    ) -> JobState | None:
        """End the attempt. Returns the job's new state; None when the lease is lost (nothing changed).

        ``cause`` is that of an interruption: whether it counts against the budget.
        ``hold`` pauses the job whatever was wished, because it cannot go on without a person.
        """
        restarts, backoff_ms = budget.arguments
        stored = to_json(dict(result)) if result else ""
        how = outcome.value, reason, cause.value, stored, restarts, backoff_ms, int(hold)
        answer = self._link.run("finish", *_who(claim), *how)
        return JobState(answer) if answer else None

    def reap(self, budget: Budget, reason: str, silent: Collection[str] = ()) -> dict[str, JobState]:
        """Settle every attempt whose lease has lapsed. Returns the new state of each job.

        ``silent``: the jobs whose worker lives, so that the silence was their own fault.
        """
        answer = self._link.run("reap", *budget.arguments, reason, *silent)
        return {job_id: JobState(state) for job_id, state in zip(answer[::2], answer[1::2], strict=True)}

    def adopt(self, claim: Claim, jobdir: JobDir, lease_s: float) -> Hold:
        """Take the job back whose record the server has lost; lost where the disk has a later attempt.

        After a wipe the server cannot know that; a frozen attempt that wakes up then must not come back. Nor must
        one whose directory was removed, even if the job was submitted anew. Raises OSError.
        """
        if not _is_still(jobdir) or jobdir.status().attempt > claim.attempt:
            return Hold.LOST
        fields = flat(fields_of(jobdir))
        return Hold(self._link.run("adopt", *_who(claim), round(lease_s * 1000), *fields))

    def running(self) -> list[Running]:
        """All attempts that the server holds for running. A damaged field is 0: it matches no attempt."""
        ids = self._link.read(lambda r: r.zrange(keys.LEASES, 0, -1))
        rows = self._link.hashes([keys.job(job_id) for job_id in ids])
        return [
            Running(
                Claim(job_id, whole(raw, "attempt"), raw["owner"]),
                wish_of(raw.get("wish")),
                whole(raw, "wish_ms"),
                whole(raw, "lease_ms"),
            )
            for job_id, raw in zip(ids, rows, strict=True)
            if raw.get("owner")
        ]

    def listen(self, job_id: str) -> WishChannel:
        """A channel on which a wish for ``job_id`` is heard at once. Close it after use."""
        return WishChannel(self._link, job_id)


def _is_still(jobdir: JobDir) -> bool:
    """Whether the directory is there, and is that of the job which ``jobdir`` has read."""
    try:
        return bool(JobDir(jobdir.path, jobdir.datasets).job.created_ms == jobdir.job.created_ms)
    except JobNotFound:
        return False
    except DamagedFile:  # its attempt has read it while it was whole
        return True


def _who(claim: Claim) -> tuple[Argument, Argument, Argument]:
    return claim.job_id, claim.owner, claim.attempt


def _pair(event: Event) -> tuple[str, str]:
    fields = encode(event)
    return fields["type"], fields["data"]
