"""What state a job is in by its directory alone: the truth from which Redis is rebuilt. Pure reading.

    state = state_on_disk(jobdir)     # DiskState(JobState.PAUSED, "paused by a person", {})

A running job is one that a live worker holds a lease on; the disk does not know that.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.durable import read_json, write_json
from shared.jobdir import AttemptDir, JobDir
from shared.states import JobState, Outcome, Wish


@dataclass(frozen=True)
class DiskState:
    """The state that a job has when nobody runs it."""

    state: JobState
    reason: str = ""
    result: Mapping[str, Any] = field(default_factory=dict)


def state_on_disk(jobdir: JobDir) -> DiskState:
    """The state of a job that nobody runs: queued, or one of the others."""
    status = jobdir.status()
    result = status.result or {}
    outcome = result.get("outcome", "")
    resumed = status.wish is Wish.RUN and status.wish_number > wish_obeyed(jobdir)
    verdict = read_json(jobdir.verdict) or {}
    if verdict and status.attempt <= verdict["attempt"] and status.wish_number <= verdict["wish_number"]:
        # Before the result: an attempt that was cut off may have written one after its end was settled.
        return DiskState(JobState(verdict["state"]), verdict["reason"])
    if outcome == Outcome.FINISHED:
        return DiskState(JobState.SUCCEEDED, "", result)
    if outcome == Outcome.FAILED and not resumed:
        return DiskState(JobState.FAILED, str(result.get("reason", "")), result)
    if status.wish is Wish.CANCEL:
        return DiskState(JobState.CANCELLED, "cancelled by a person")
    if status.wish is Wish.PAUSE:
        return DiskState(JobState.PAUSED, "paused by a person")
    return DiskState(JobState.QUEUED)


def write_verdict(jobdir: JobDir, state: JobState, reason: str, attempt: int, wish_number: int) -> None:
    """Keep a stop that ``attempt`` could not write itself, for the next rebuild. Raises OSError.

    It holds until a later attempt begins, or a person wishes something after ``wish_number``.
    """
    verdict = {"state": state.value, "reason": reason, "attempt": attempt, "wish_number": wish_number}
    write_json(jobdir.verdict, verdict)


def write_claim(attempt: AttemptDir, owner: str, wish_number: int, after: str = "") -> None:
    """Note who runs an attempt, which wish it obeys and why the one before it ended. Raises OSError."""
    write_json(attempt.claim, {"owner": owner, "wish_number": wish_number, "after": after})


def wish_obeyed(jobdir: JobDir) -> int:
    """The number of the latest wish that the latest attempt has seen; only a later one resumes a failed job."""
    attempts = jobdir.attempt_dirs()
    return int(attempts[-1].read_claim().get("wish_number", 0)) if attempts else 0
