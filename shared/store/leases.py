"""The lease on a job: the time-limited right of one attempt to count. For workers only.

    claim = store.leases.claim(owner, hint="", lease_s=3)
    renewal = store.leases.renew(claim, lease_s=3)
    store.leases.finish(claim, Outcome.FINISHED, reason=NONE, budget=budget, result={...})

Every call carries the owner and the attempt number (the fencing token); one whose lease no longer holds is
answered with ``LeaseState.LOST`` and changes nothing.
"""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keepfit.shared.actors import How
from keepfit.shared.durable import to_json
from keepfit.shared.errors import DamagedFile, JobNotFound
from keepfit.shared.jobs.directory import JobDir
from keepfit.shared.jobs.events import Event, encode
from keepfit.shared.jobs.states import Cause, JobState, Outcome, Wish
from keepfit.shared.reasons import NONE, Reason
from keepfit.shared.spec import KINDS, READS
from keepfit.shared.store import keys, scripts
from keepfit.shared.store.jobs import fields_of
from keepfit.shared.store.keepers import WishChannel
from keepfit.shared.store.link import Link
from keepfit.shared.store.records import LeaseState, Lost, whole, wish_of
from keepfit.shared.store.scripts import ms


@dataclass(frozen=True)
class Claim:
    """One attempt's right: the job, the attempt number, and who holds it."""

    job_id: str
    attempt: int
    owner: str
    previous_end: Reason = NONE
    """Why the attempt before it ended; none for the first."""


@dataclass(frozen=True)
class Renewal:
    """The answer to a heartbeat: whether the lease holds, and what a person wishes."""

    lease: LeaseState
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


class Leases:
    """Claims, heartbeats and ends of attempts."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def claim(
        self,
        owner: str,
        *,
        hint: str = "",
        lease_s: float,
        slots: int | None = None,
        reads: int = READS,
        kinds: Sequence[str] = tuple(KINDS),
    ) -> Claim | None:
        """Take the hinted job if it is ready, else the best one; None when no job is ready.

        An owner whose worker runs ``slots`` jobs of long kinds already gets only one of a short kind.
        A job whose spec has a higher version than ``reads``, or another kind, is left to workers that know it.
        """
        call = scripts.Claim(owner=owner, hint=hint, lease_ms=ms(lease_s), slots=slots, reads=reads, kinds=tuple(kinds))
        found = self._link.run(call)
        return found and Claim(found.job_id, found.attempt, owner, found.previous_end)

    def bump(self, claim: Claim, *, floor: int) -> Claim | Lost:
        """Raise the attempt number above ``floor``, the highest on disk."""
        call = scripts.Bump(job_id=claim.job_id, owner=claim.owner, attempt=claim.attempt, floor=floor)
        raised = self._link.run(call)
        return raised if raised is LeaseState.LOST else dataclasses.replace(claim, attempt=raised)

    def renew(self, claim: Claim, *, lease_s: float) -> Renewal:
        """The owner's heartbeat. A wish that nobody can read is none: the record is put right from the disk."""
        call = scripts.Renew(job_id=claim.job_id, owner=claim.owner, attempt=claim.attempt, lease_ms=ms(lease_s))
        renewed = self._link.run(call)
        return Renewal(renewed.lease, wish_of(renewed.wish))

    def report(self, claim: Claim, events: Sequence[Event]) -> LeaseState:
        """Append events to the job's stream; none of them when the lease is lost."""
        pairs = tuple(_pair(event) for event in events)
        return self._link.run(
            scripts.Report(job_id=claim.job_id, owner=claim.owner, attempt=claim.attempt, events=pairs)
        )

    def finish(
        self,
        claim: Claim,
        outcome: Outcome,
        *,
        reason: Reason,
        budget: Budget,
        by: How = How.WORKER,
        result: Mapping[str, Any] | None = None,
        pause_with_reason: bool = False,
        cause: Cause = Cause.PROCESS,
    ) -> JobState | Lost:
        """End the attempt. Returns the job's new state.

        ``by``: whether the attempt's own worker says so, or a keeper.
        ``cause`` is that of an interruption: whether it counts against the budget.
        ``pause_with_reason`` pauses the job whatever was wished, because it cannot go on without a person.
        """
        call = scripts.Finish(
            job_id=claim.job_id,
            owner=claim.owner,
            attempt=claim.attempt,
            outcome=outcome,
            reason=reason,
            cause=cause,
            result=to_json(dict(result)) if result else "",
            budget=budget.restarts,
            backoff_ms=ms(budget.backoff_s),
            by=by,
            pause_with_reason=pause_with_reason,
        )
        return self._link.run(call)

    def reap(self, budget: Budget, *, reason: Reason, silent: Collection[str] = ()) -> dict[str, JobState]:
        """Settle every attempt whose lease has lapsed. Returns the new state of each job.

        ``silent``: the jobs whose worker lives, so that the silence was their own fault.
        """
        backoff_ms = ms(budget.backoff_s)
        call = scripts.Reap(reason=reason, budget=budget.restarts, backoff_ms=backoff_ms, silent=tuple(silent))
        return self._link.run(call)

    def adopt(self, claim: Claim, jobdir: JobDir, *, lease_s: float) -> LeaseState:
        """Take the job back whose record the server has lost; lost where the disk has a later attempt.

        After a wipe the server cannot know that; a frozen attempt that wakes up then must not come back. Nor must
        one whose directory was removed, even if the job was submitted anew. Raises OSError.
        """
        if not _is_still(jobdir) or jobdir.status().attempt > claim.attempt:
            return LeaseState.LOST
        call = scripts.Adopt(
            job_id=claim.job_id,
            owner=claim.owner,
            attempt=claim.attempt,
            lease_ms=ms(lease_s),
            record=tuple(fields_of(jobdir).items()),
        )
        state = self._link.run(call)
        if not jobdir.exists():  # deleted just now: the record that was made for it must not stay
            self._link.run(scripts.Remove(job_id=claim.job_id))
            return LeaseState.LOST
        return state

    def running(self) -> list[Running]:
        """All attempts that the server holds for running. A damaged field is 0: it matches no attempt."""
        ids = self._link.ask(lambda r: r.zrange(keys.LEASES, 0, -1))
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


def _pair(event: Event) -> tuple[str, str]:
    fields = encode(event)
    return fields["type"], fields["data"]
