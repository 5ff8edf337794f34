"""Makes one side know what only the other knows: the queue server of a job, or the directory of a stop."""

from collections.abc import Iterable
from pathlib import Path

from keepfit.shared.durable import to_json
from keepfit.shared.jobs.deleting import is_deleted
from keepfit.shared.jobs.directory import JobDir
from keepfit.shared.jobs.diskstate import state_on_disk
from keepfit.shared.jobs.documents import VerdictFile
from keepfit.shared.jobs.states import JobState
from keepfit.shared.store import JobRecord, Store
from keepfit.shared.store.jobs import fields_of


def restore_from_disk(jobdir: JobDir, store: Store) -> bool:
    """Put a job back into the server as its directory says it is; False where the server knows it.

    Raises StoreUnavailable, or KeepfitError where the directory cannot be read.
    """
    found = state_on_disk(jobdir)
    result = to_json(dict(found.result)) if found.result else ""
    restored = store.upkeep.put_back(jobdir, found.state, found.reason, result=result)
    return restored and not drop_deleted(jobdir.path.parent, [jobdir.id], store)


def drop_deleted(jobs_dir: Path, job_ids: Iterable[str], store: Store) -> bool:
    """Drop again, of jobs that were just put into the server, those that were deleted meanwhile; whether any was.

    Whoever deletes a job moves its directory first and tells the server then: what a slow hand puts there after
    that is seen by its second look at the disk. Raises StoreUnavailable.
    """
    deleted = [job_id for job_id in job_ids if is_deleted(jobs_dir, job_id) and not (jobs_dir / job_id).exists()]
    for job_id in deleted:
        store.upkeep.remove(job_id)
    return bool(deleted)


def may_be_running(jobdir: JobDir, store: Store) -> bool:
    """Whether an attempt may be at work on a job that the server has just lost, and is to adopt it first.

    Restoring the job now would cut that attempt off. Raises StoreUnavailable.
    """
    over = state_on_disk(jobdir).state in (JobState.SUCCEEDED, JobState.FAILED)
    return not over and bool(jobdir.attempt_dirs()) and not store.upkeep.booted()


def only_server_knows_stop(jobdir: JobDir, record: JobRecord) -> bool:
    """Whether the directory would have a stopped job go on: its disk was full, or its keeper died, when it stopped."""
    status = jobdir.status()
    behind = status.wish_number > record.wish_number or status.attempt > record.attempt
    stopped = record.state in (JobState.PAUSED, JobState.FAILED) and is_of(record, jobdir)
    return stopped and not behind and state_on_disk(jobdir).state is JobState.QUEUED


def is_of(record: JobRecord, jobdir: JobDir) -> bool:
    """Whether the record is of this directory as it is: not of one that was removed, nor of this one while damaged."""
    known = fields_of(jobdir)
    return (record.created_ms, record.name) == (known["created_ms"], known["name"])


def note_stop(jobdir: JobDir, record: JobRecord) -> None:
    """Put on disk the stop that the server has for a job. Raises OSError."""
    verdict = VerdictFile(
        state=record.state, reason=record.reason, attempt=record.attempt, wish_number=record.wish_number
    )
    verdict.write(jobdir.verdict)
