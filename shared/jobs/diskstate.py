"""What state a job is in by its directory alone: the truth from which Redis is rebuilt.

    state = state_on_disk(jobdir)     # DiskState(JobState.PAUSED, "paused by a person", {})

A running job is one that a live worker holds a lease on; the disk does not know that. Pure reading.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keepfit.shared.errors import DamagedFile
from keepfit.shared.jobs.directory import JobDir
from keepfit.shared.jobs.documents import AttemptFile, ClaimFile, ResultFile, VerdictFile, read_object
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
    read = {jobdir.verdict: VerdictFile.read_or_none(jobdir.verdict) is not None}
    for attempt in jobdir.attempt_dirs()[-1:]:
        claim, record = ClaimFile.read_or_none(attempt.claim), AttemptFile.read_or_none(attempt.record)
        read[attempt.claim] = claim is not None and bool(claim.owner)
        read[attempt.record] = record is not None and bool(record.host)
        read[attempt.result] = ResultFile.read_or_none(attempt.result) is not None
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
    result = status.result.model_dump() if status.result else {}
    outcome = status.result.outcome if status.result else None
    resumed = not status.damage and status.wish is Wish.RUN and status.wish_number > wish_obeyed(jobdir)
    verdict = VerdictFile.read_or_none(jobdir.verdict)
    if verdict and status.attempt <= verdict.attempt and status.wish_number <= verdict.wish_number:
        # Before the result: an attempt that was cut off may have written one after its end was settled.
        return DiskState(verdict.state, verdict.reason)
    if outcome is Outcome.FINISHED:
        return DiskState(JobState.SUCCEEDED, "", result)
    if outcome is Outcome.FAILED and not resumed:
        return DiskState(JobState.FAILED, str(result.get("reason", "")), result)
    if status.damage:
        return DiskState(JobState.PAUSED, status.damage)
    if status.wish is Wish.CANCEL:
        return DiskState(JobState.CANCELLED, "cancelled by a person")
    if status.wish is Wish.PAUSE:
        return DiskState(JobState.PAUSED, "paused by a person")
    return DiskState(JobState.QUEUED)


def wish_obeyed(jobdir: JobDir) -> int:
    """The number of the latest wish that the latest attempt has seen; only a later one resumes a failed job."""
    claims = [ClaimFile.read_or_none(attempt.claim) for attempt in jobdir.attempt_dirs()[-1:]]
    return next((claim.wish_number for claim in claims if claim), 0)
