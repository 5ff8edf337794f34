"""Does what a difference between disk and server asks for: the one place where either side is put right.

    mend(Difference.WISH_UNHEARD, jobs_dir, job_id, store)      # True: both sides say the same
    put_back(jobdir, store)                                     # a job that the server does not know
    tell(jobdir, store)                                         # what the web side has accepted, if nobody has heard

Who asks decides which differences are his to mend: a keeper, the doctor, the web side. Each step looks again before it
changes anything, since a person or an attempt may have been faster.
"""

import logging
from collections.abc import Iterable
from pathlib import Path

from keepfit.shared.durable import to_json
from keepfit.shared.errors import BadTransition, DamagedFile, JobNotFound
from keepfit.shared.jobs.deleting import is_deleted
from keepfit.shared.jobs.directory import JobDir, open_jobdir
from keepfit.shared.jobs.documents import VerdictFile
from keepfit.shared.jobs.states import JobState
from keepfit.shared.jobs.truth import Difference, Lack, compare, is_of, on_disk, state_on_disk
from keepfit.shared.store import JobRecord, Store

BY_PUTTING_BACK = frozenset({Difference.RECORD_DAMAGED, Difference.ANOTHER, Difference.STATE, Difference.ATTEMPT})
"""The record is dropped, and made anew from the directory."""

log = logging.getLogger(__name__)


def mend(difference: Difference, jobs_dir: Path, job_id: str, store: Store) -> bool:
    """Make both sides say the same; False where that is not possible now. Raises StoreUnavailable, StoreRefused."""
    match difference:
        case Difference.GONE:
            store.upkeep.remove(job_id)
            return True
        case Difference.UNKNOWN:
            return put_back(open_jobdir(jobs_dir, job_id), store)
        case Difference.WISH_UNHEARD:
            return _pass_on_wish(open_jobdir(jobs_dir, job_id), store)
        case Difference.STOP_UNNOTED:
            return _note_unnoted(jobs_dir, job_id, store)
    if difference not in BY_PUTTING_BACK:
        return False
    if not store.upkeep.forget(job_id, damaged=difference is Difference.RECORD_DAMAGED):
        return False  # it runs
    return put_back(open_jobdir(jobs_dir, job_id), store)


def put_back(jobdir: JobDir, store: Store) -> bool:
    """Put a job back into the server as its directory says it is; False where the server knows it.

    Raises StoreUnavailable, or KeepfitError where the directory cannot be read.
    """
    found = state_on_disk(jobdir)
    result = to_json(dict(found.result)) if found.result else ""
    done = store.upkeep.put_back(jobdir, found.state, found.reason, result=result)
    return done and not drop_deleted(jobdir.path.parent, [jobdir.id], store)


def drop_deleted(jobs_dir: Path, job_ids: Iterable[str], store: Store) -> bool:
    """Drop again, of jobs that were just put into the server, those that were deleted meanwhile; whether any was.

    Whoever deletes a job moves its directory first and tells the server then: what a slow hand puts there after
    that is seen by its second look at the disk. Raises StoreUnavailable.
    """
    deleted = [job_id for job_id in job_ids if is_deleted(jobs_dir, job_id) and not (jobs_dir / job_id).exists()]
    for job_id in deleted:
        store.upkeep.remove(job_id)
    return bool(deleted)


def tell(jobdir: JobDir, store: Store) -> bool:
    """Tell the server what it has not heard of a job; False while its owner may be about to adopt it after a wipe.

    Raises StoreUnavailable, StoreRefused, or KeepfitError where the directory cannot be read.
    """
    if drop_deleted(jobdir.path.parent, [jobdir.id], store):
        return True
    found = compare(on_disk(jobdir), look_up(jobdir.id, store), owner_may_adopt=not store.upkeep.booted())
    if found in (Difference.UNKNOWN, Difference.WISH_UNHEARD):
        mend(found, jobdir.path.parent, jobdir.id, store)
    return found is not Difference.AWAITS_OWNER


def look_up(job_id: str, store: Store) -> JobRecord | Lack:
    """What the server has of a job. Raises StoreUnavailable."""
    try:
        return store.jobs.get(job_id)
    except JobNotFound:
        return Lack.MISSING
    except DamagedFile:
        return Lack.DAMAGED


def note_settled(jobs_dir: Path, job_id: str, state: JobState, store: Store) -> None:
    """Put on disk that a silent attempt was settled so: it may still write a result, which comes too late.

    Raises StoreUnavailable, OSError, or KeepfitError where the directory cannot be read.
    """
    record, jobdir = store.jobs.get(job_id), open_jobdir(jobs_dir, job_id)
    if record.state is state and is_of(record, on_disk(jobdir)):  # else a person has had it go on, or made it anew
        _note_stop(jobdir, record)


def _note_stop(jobdir: JobDir, record: JobRecord) -> None:
    verdict = VerdictFile(
        state=record.state, reason=record.reason, attempt=record.attempt, wish_number=record.wish_number
    )
    verdict.write(jobdir.verdict)


def _pass_on_wish(jobdir: JobDir, store: Store) -> bool:
    status = jobdir.status()
    try:
        store.jobs.request(jobdir.id, status.wish, number=status.wish_number, by=status.by, priority=status.priority)
    except (BadTransition, JobNotFound) as exc:  # the job ended before the wish could reach it, or has just gone
        log.info("a wish came too late: %s", exc, extra={"job_id": jobdir.id})
        return False
    return True


def _note_unnoted(jobs_dir: Path, job_id: str, store: Store) -> bool:
    try:
        jobdir, record = open_jobdir(jobs_dir, job_id), look_up(job_id, store)
        if isinstance(record, Lack) or compare(on_disk(jobdir), record) is not Difference.STOP_UNNOTED:
            return False  # a person has had it go on just now
        _note_stop(jobdir, record)
    except (JobNotFound, OSError) as exc:  # taken away meanwhile, or the disk is still full
        log.info("a stop is only in the queue server: %s", exc, extra={"job_id": job_id})
        return False
    return True
