"""What state a job is in by its directory alone: the truth from which Redis is rebuilt.

    state = state_on_disk(jobdir)     # DiskState(JobState.PAUSED, "paused by a person", {})

A running job is one that a live worker holds a lease on; the disk does not know that. What keepers and
attempts write beside a job's own files so that this stays so, the verdict and the claim, is written here too.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keepfit.shared.durable import write_json
from keepfit.shared.errors import DamagedFile
from keepfit.shared.jobs.directory import AttemptDir, JobDir
from keepfit.shared.jobs.documents import read_object, read_or_nothing, text, whole
from keepfit.shared.jobs.states import JobState, Outcome, Wish


@dataclass(frozen=True)
class DiskState:
    """The state that a job has when nobody runs it."""

    state: JobState
    reason: str = ""
    result: Mapping[str, Any] = field(default_factory=dict)


def state_on_disk(jobdir: JobDir) -> DiskState:
    """The state of a job that nobody runs: queued, or one of the others.

    Where ``job.json`` is damaged nothing is run: it has its end, or is paused, and the reason says what to do.
    """
    found = _state(jobdir)
    damage = jobdir.damage
    if not damage:
        return found
    state = JobState.PAUSED if found.state is JobState.QUEUED else found.state
    return DiskState(state, damage, found.result)


def damage_of(jobdir: JobDir) -> str:
    """Which document of a job that goes on without it is damaged; empty if none is."""
    read = {jobdir.verdict: bool(_read_verdict(jobdir))}
    for attempt in jobdir.attempt_dirs()[-1:]:
        read[attempt.claim] = bool(text(attempt.read_claim(), "owner"))
        read[attempt.record] = bool(text(attempt.read_record(), "host"))
        read[attempt.result] = attempt.read_result() is not None
    for path, readable in read.items():
        if not readable and os.path.lexists(path):
            return f"its {path.relative_to(jobdir.path)} is damaged{_how(path)} and counts as absent; it may be removed"
    return ""


def _how(path: Path) -> str:
    try:
        read_object(path)
    except DamagedFile as exc:
        return f" ({exc})"
    return ""


def _state(jobdir: JobDir) -> DiskState:
    status = jobdir.status()
    result = status.result or {}
    outcome = result.get("outcome", "")
    resumed = not status.damage and status.wish is Wish.RUN and status.wish_number > wish_obeyed(jobdir)
    verdict = _read_verdict(jobdir)
    if verdict and status.attempt <= verdict.attempt and status.wish_number <= verdict.wish_number:
        # Before the result: an attempt that was cut off may have written one after its end was settled.
        return DiskState(verdict.state, verdict.reason)
    if outcome == Outcome.FINISHED:
        return DiskState(JobState.SUCCEEDED, "", result)
    if outcome == Outcome.FAILED and not resumed:
        return DiskState(JobState.FAILED, str(result.get("reason", "")), result)
    if status.damage:
        return DiskState(JobState.PAUSED, status.damage)
    if status.wish is Wish.CANCEL:
        return DiskState(JobState.CANCELLED, "cancelled by a person")
    if status.wish is Wish.PAUSE:
        return DiskState(JobState.PAUSED, "paused by a person")
    return DiskState(JobState.QUEUED)


@dataclass(frozen=True)
class _Verdict:
    state: JobState
    reason: str
    attempt: int
    wish_number: int


def _read_verdict(jobdir: JobDir) -> _Verdict | None:
    """The verdict; None while there is none. A damaged one is as if absent: the job then comes to its end again."""
    document = read_or_nothing(jobdir.verdict)
    if text(document, "state") not in {JobState.PAUSED, JobState.FAILED, JobState.CANCELLED}:
        return None
    attempt, wish_number = whole(document, "attempt", -1), whole(document, "wish_number", -1)
    return _Verdict(JobState(document["state"]), text(document, "reason"), attempt, wish_number)


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
    return whole(attempts[-1].read_claim(), "wish_number") if attempts else 0
