"""What a job's directory alone says, as a record: for the pages while Redis has none. Pure reading.

    record = record_on_disk(jobdir)

Where an attempt has no result yet, only its files tell whether it is alive: one that has written
within the last half minute counts as running.
"""

import contextlib
import dataclasses
import time
from typing import Any

from shared.diskstate import state_on_disk
from shared.errors import InvalidSpec
from shared.events import Progress
from shared.jobdir import AttemptDir, JobDir
from shared.spec import TrainSpec
from shared.states import JobState
from shared.store.records import JobRecord
from web.history import read_rows

TAIL_BYTES = 64 * 1024
"""Enough of ``metrics.jsonl`` to hold the latest progress row."""
ALIVE_MS = 30_000
"""Training reports at least every few seconds, also while the queue server is away."""


def record_on_disk(jobdir: JobDir, now_ms: int | None = None) -> JobRecord:
    """The record of a job, derived from its directory. ``now_ms``: the time, for tests. Raises JobNotFound."""
    status, attempts = jobdir.status(), jobdir.attempt_dirs()
    found = state_on_disk(jobdir)
    last = attempts[-1] if attempts else None
    created_ms = int(jobdir.job["created_ms"])
    sign_ms = _last_sign_ms(last) if last else created_ms
    now_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    running = last is not None and not status.result and now_ms - sign_ms < ALIVE_MS
    record = JobRecord(
        id=jobdir.id,
        name=jobdir.id,
        kind="train",
        state=JobState.RUNNING if running else found.state,
        reason="" if running else found.reason,
        wish=status.wish,
        wish_number=status.wish_number,
        attempt=status.attempt,
        heartbeat_ms=sign_ms if last else 0,
        created_ms=created_ms,
        since_ms=sign_ms,
        checkpoint_step=max((_newest_checkpoint(a) for a in attempts), default=0),
        result=found.result,
        **_latest_progress(attempts),
    )
    return dataclasses.replace(record, **_what_it_is(jobdir))


def filled_in(record: JobRecord, jobdir: JobDir) -> JobRecord:
    """``record`` with the progress that Redis has lost in a wipe and the directory has not."""
    if record.progress or not record.attempt:
        return record
    attempts = jobdir.attempt_dirs()
    step = record.checkpoint_step or max((_newest_checkpoint(a) for a in attempts), default=0)
    return dataclasses.replace(record, checkpoint_step=step, **_latest_progress(attempts))


def _what_it_is(jobdir: JobDir) -> dict[str, Any]:
    try:
        spec = jobdir.spec
    except InvalidSpec:  # written by another version: it must not hide the others from the list
        raw = jobdir.job["spec"]
        return {"name": str(raw.get("name", jobdir.id)), "kind": str(raw.get("kind", "train"))}
    if isinstance(spec, TrainSpec):
        return {"name": spec.name, "kind": spec.kind, "data": spec.data.name, "model": spec.model.name}
    return {"name": spec.name, "kind": spec.kind, "data": spec.data.name, "source": spec.source}


def _last_sign_ms(attempt: AttemptDir) -> int:
    times = [0.0]
    for path in (attempt.path, attempt.metrics, attempt.log, attempt.result):
        with contextlib.suppress(FileNotFoundError):
            times.append(path.stat().st_mtime)
    return int(max(times) * 1000)


def _newest_checkpoint(attempt: AttemptDir) -> int:
    names = (p.parent.name for p in attempt.checkpoints.glob("step-*/manifest.json"))
    return max((int(name.removeprefix("step-")) for name in names), default=0)


def _latest_progress(attempts: list[AttemptDir]) -> dict[str, Any]:
    """The fields of a record that say how far the job is."""
    for attempt in reversed(attempts):
        rows = [event for event in read_rows(attempt.metrics, tail_bytes=TAIL_BYTES) if isinstance(event, Progress)]
        if rows:
            return {"progress": dataclasses.asdict(rows[-1]), "progress_attempt": attempt.number}
    return {}
