"""What is true of a job: what its directory says, and how that differs from what the queue server says.

    state_on_disk(jobdir)                   # DiskState(JobState.PAUSED, Reason("paused"), {})
    compare(on_disk(jobdir), record)        # Difference.WISH_UNHEARD

The directory is the truth. It does not know whether a job is running: that is one on which a live worker holds a
lease. Every place that looks at both sides asks ``compare``; what is then done is in ``mending``. Pure reading.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from keepfit.shared.errors import DamagedFile
from keepfit.shared.jobs.directory import DiskStatus, JobDir
from keepfit.shared.jobs.documents import AttemptFile, ClaimFile, ResultFile, VerdictFile, read_object
from keepfit.shared.jobs.states import JobState, Outcome, Wish, wish_allowed
from keepfit.shared.reasons import NONE, Code, Reason
from keepfit.shared.store.jobs import fields_of
from keepfit.shared.store.records import JobRecord


@dataclass(frozen=True)
class DiskState:
    """The state that a job has when nobody runs it."""

    state: JobState
    reason: Reason = NONE
    result: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class OnDisk:
    """A job by its directory alone, as far as the server says the same things of it."""

    state: JobState
    """As if nobody ran it."""
    wish: Wish = Wish.RUN
    wish_number: int = 0
    attempt: int = 0
    """The highest; 0 before the first."""
    damage: Reason = NONE
    """What is wrong with ``job.json`` or ``wish.json``."""
    name: str = ""
    created_ms: int = 0

    @property
    def may_run(self) -> bool:
        """Whether an attempt may be at work on it."""
        return self.attempt > 0 and self.state not in (JobState.SUCCEEDED, JobState.FAILED)


class Lack(StrEnum):
    """What the server has instead of a record."""

    MISSING = "-"
    DAMAGED = "damaged"


class Difference(StrEnum):
    """How the two sides differ, and so what is to be done."""

    NONE = "none"
    """They agree."""
    RUNS = "runs"
    """Somebody runs it, or did until just now: it is left to its lease."""
    UNKNOWN = "unknown"
    """The server does not know the job: it is put back."""
    AWAITS_OWNER = "awaits owner"
    """The same, but who runs it is about to adopt it: putting it back now would cut that attempt off."""
    GONE = "gone"
    """The server has a job that has no directory: it is dropped."""
    RECORD_DAMAGED = "record damaged"
    """The server's record cannot be read: it is dropped, and put back."""
    DISK_DAMAGED = "disk damaged"
    """The directory does not say what is true: only a person can mend that."""
    WISH_UNHEARD = "wish unheard"
    """The server has not heard of a person's last wish: it is passed on."""
    STOP_UNNOTED = "stop unnoted"
    """Only the server knows that the job has stopped (the disk was full, or a keeper died): it is noted on disk."""
    ANOTHER = "another"
    """The record is of a directory that was there before: it is dropped, and this one put back."""
    STATE = "state"
    """The states differ: the record is dropped, and the job put back."""
    ATTEMPT = "attempt"
    """The disk has a later attempt: the same."""


def compare(disk: OnDisk | None, server: JobRecord | Lack, *, owner_may_adopt: bool = False) -> Difference:
    """How the directory (None: there is none) and the server differ; of several differences the first to be mended.

    ``owner_may_adopt``: the record may have been lost so lately that who runs the job has not noticed yet.
    """
    if disk is None:
        return Difference.NONE if server is Lack.MISSING else Difference.GONE
    if server is Lack.MISSING:
        return Difference.AWAITS_OWNER if owner_may_adopt and disk.may_run else Difference.UNKNOWN
    return Difference.RECORD_DAMAGED if isinstance(server, Lack) else _between(disk, server)


def _between(disk: OnDisk, record: JobRecord) -> Difference:
    if disk.wish_number > record.wish_number and wish_allowed(record.state, disk.wish):
        return Difference.WISH_UNHEARD
    if disk.damage:
        return Difference.DISK_DAMAGED
    if record.state is JobState.RUNNING:
        return Difference.RUNS
    if not is_of(record, disk):
        return Difference.ANOTHER
    if _only_server_knows_stop(disk, record):
        return Difference.STOP_UNNOTED
    if disk.state is not record.state:
        return Difference.STATE
    return Difference.ATTEMPT if disk.attempt > record.attempt else Difference.NONE


def is_of(record: JobRecord, disk: OnDisk) -> bool:
    """Whether the record is of this directory as it is: not of one that was removed, nor of this one while damaged."""
    return (record.created_ms, record.name) == (disk.created_ms, disk.name)


def _only_server_knows_stop(disk: OnDisk, record: JobRecord) -> bool:
    """Whether the directory would have a stopped job go on, and knows of nothing that has happened since."""
    behind = disk.wish_number > record.wish_number or disk.attempt > record.attempt
    return record.state in (JobState.PAUSED, JobState.FAILED) and disk.state is JobState.QUEUED and not behind


def on_disk(jobdir: JobDir) -> OnDisk:
    """What the directory says. Raises JobNotFound, and what else says that it cannot be read."""
    status, known = jobdir.status(), fields_of(jobdir)
    return OnDisk(
        state=_state(jobdir, status).state,
        wish=status.wish,
        wish_number=status.wish_number,
        attempt=status.attempt,
        damage=jobdir.damage or status.damage,
        name=str(known["name"]),
        created_ms=int(known["created_ms"]),
    )


def state_on_disk(jobdir: JobDir) -> DiskState:
    """The state of a job that nobody runs: queued, or one of the others.

    Where ``job.json`` is damaged nothing is run: it has its end, or is paused, and the reason says what to do.
    """
    return _state(jobdir, jobdir.status())


def _state(jobdir: JobDir, status: DiskStatus) -> DiskState:
    found, damage = _state_of_whole(jobdir, status), jobdir.damage
    if not damage:
        return found
    state = JobState.PAUSED if found.state is JobState.QUEUED else found.state
    return DiskState(state, damage, found.result)


def _state_of_whole(jobdir: JobDir, status: DiskStatus) -> DiskState:
    result = status.result.model_dump() if status.result else {}
    outcome = status.result.outcome if status.result else None
    resumed = not status.damage and status.wish is Wish.RUN and status.wish_number > wish_obeyed(jobdir)
    verdict = VerdictFile.read_or_none(jobdir.verdict)
    if verdict and status.attempt <= verdict.attempt and status.wish_number <= verdict.wish_number:
        # Before the result: an attempt that was cut off may have written one after its end was settled.
        return DiskState(verdict.state, verdict.reason)
    if outcome is Outcome.FINISHED:
        return DiskState(JobState.SUCCEEDED, NONE, result)
    if outcome is Outcome.FAILED and not resumed:
        return DiskState(JobState.FAILED, status.result.reason if status.result else NONE, result)
    if status.damage:
        return DiskState(JobState.PAUSED, status.damage)
    if status.wish is Wish.CANCEL:
        return DiskState(JobState.CANCELLED, Reason.of(Code.CANCELLED))
    if status.wish is Wish.PAUSE:
        return DiskState(JobState.PAUSED, Reason.of(Code.PAUSED))
    return DiskState(JobState.QUEUED)


def wish_obeyed(jobdir: JobDir) -> int:
    """The number of the latest wish that the latest attempt has seen; only a later one resumes a failed job."""
    claims = [ClaimFile.read_or_none(attempt.claim) for attempt in jobdir.attempt_dirs()[-1:]]
    return next((claim.wish_number for claim in claims if claim), 0)


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
