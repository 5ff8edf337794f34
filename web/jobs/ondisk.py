"""What a job's directory alone says, as a record: for the pages while Redis has none. Pure reading.

    record = record_on_disk(jobdir)

Where an attempt has no result yet, only its files tell whether it is alive: one that has written
within the last half minute counts as running.
"""

import contextlib
import dataclasses
import time
from typing import Any

from keepfit.shared import actors
from keepfit.shared.checkpoints.manifest import checkpoints_in
from keepfit.shared.jobs.directory import AttemptDir, JobDir
from keepfit.shared.jobs.events import Progress
from keepfit.shared.jobs.states import JobState
from keepfit.shared.jobs.truth import state_on_disk
from keepfit.shared.reasons import NONE
from keepfit.shared.store.jobs import fields_of
from keepfit.shared.store.records import JobRecord
from keepfit.web.jobs.rows import last_row

ALIVE_MS = 30_000
"""Training reports at least every few seconds, also while the queue server is away."""


def record_on_disk(jobdir: JobDir, now_ms: int | None = None) -> JobRecord:
    """The record of a job, derived from its directory. ``now_ms``: the time, for tests. Raises JobNotFound.

    A damaged job, or one that only a newer version can read, has one as well.
    """
    status, attempts = jobdir.status(), jobdir.attempt_dirs()
    found, known = state_on_disk(jobdir), fields_of(jobdir)
    last = attempts[-1] if attempts else None
    created_ms = int(known["created_ms"])
    sign_ms = _last_sign_ms(last) if last else created_ms
    now_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    running = last is not None and not status.result and now_ms - sign_ms < ALIVE_MS
    return JobRecord(
        id=jobdir.id,
        name=str(known["name"]),
        kind=str(known["kind"]),
        needs=int(known["needs"]),
        source=str(known["source"]),
        data=str(known["data"]),
        model=str(known["model"]),
        state=JobState.RUNNING if running else found.state,
        reason=NONE if running else found.reason,
        wish=status.wish,
        wish_number=status.wish_number,
        wish_by=status.by,
        by=actors.read_text(str(known["by"])),
        priority=int(known["priority"]),
        attempt=status.attempt,
        heartbeat_ms=sign_ms if last else 0,
        created_ms=created_ms,
        since_ms=sign_ms,
        checkpoint_step=max((_newest_checkpoint(a) for a in attempts), default=0),
        result=found.result,
        **_latest_progress(attempts),
    )


def filled_in(record: JobRecord, jobdir: JobDir) -> JobRecord:
    """``record`` with what the directory knows better: what is damaged in it, and progress lost in a wipe."""
    stopped = record.state is JobState.PAUSED
    if damage := jobdir.damage or (stopped and jobdir.status().damage):
        record = dataclasses.replace(record, reason=damage)
    if record.progress or not record.attempt:
        return record
    attempts = jobdir.attempt_dirs()
    step = record.checkpoint_step or max((_newest_checkpoint(a) for a in attempts), default=0)
    return dataclasses.replace(record, checkpoint_step=step, **_latest_progress(attempts))


def _last_sign_ms(attempt: AttemptDir) -> int:
    times = [0.0]
    for path in (attempt.path, attempt.metrics, attempt.log, attempt.result):
        with contextlib.suppress(OSError):
            times.append(path.stat().st_mtime)
    return int(max(times) * 1000)


def _newest_checkpoint(attempt: AttemptDir) -> int:
    return next((checkpoint.step for checkpoint in checkpoints_in(attempt)), 0)


def _latest_progress(attempts: list[AttemptDir]) -> dict[str, Any]:
    """The fields of a record that say how far the job is."""
    for attempt in reversed(attempts):
        if (row := last_row(attempt.metrics, Progress)) is not None:
            return {"progress": dataclasses.asdict(row), "progress_attempt": attempt.number}
    return {}
