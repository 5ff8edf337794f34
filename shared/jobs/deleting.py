"""Jobs that were deleted for good: how their directories leave, and the tombstones that stay.

    bury(jobs_dir, job_id)           # from here on there is no such job, whatever dies next
    clear(jobs_dir, job_id)          # frees the space; whoever finds it unfinished does the rest
    is_deleted(jobs_dir, job_id)     # True, for ever

    jobs/deleted/<id>/        what was the job's directory, on its way out
    jobs/deleted/<id>.json    the tombstone, once that is gone

A job is deleted by one rename, which happens or does not: there is no moment at which a crash leaves half a job.
The folder lies within that of the jobs, so that both are on one disk whatever is mounted where, and its name is no
job's id. The tombstone keeps a late repeat of the submit from making the job anew. Knows nothing of the queue server.
"""

import contextlib
import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path

from keepfit.shared.actors import Actor
from keepfit.shared.durable import fsync_dir
from keepfit.shared.errors import JobConflict, JobDeleted, JobNotFound, StorageFull
from keepfit.shared.jobs.documents import TombstoneFile

FOLDER = "deleted"


def is_deleted(jobs_dir: Path, job_id: str) -> bool:
    """Whether the job was deleted for good, its space freed or not."""
    return os.path.lexists(_tombstone(jobs_dir, job_id)) or os.path.lexists(_grave(jobs_dir, job_id))


def no_such_job(jobs_dir: Path, job_id: str) -> JobNotFound:
    """The error that says why there is no such job: it was deleted, or has never been."""
    if is_deleted(jobs_dir, job_id):
        return JobDeleted("The job {job_id} was deleted.", job_id=job_id)
    return JobNotFound("There is no job {job_id}.", job_id=job_id)


def check_key(jobs_dir: Path, job_id: str) -> None:
    """See that the key of a new job is not that of a deleted one. Raises JobConflict."""
    if is_deleted(jobs_dir, job_id):
        raise JobConflict(
            "The job that was submitted with this key has been deleted. To run it again, submit it with a new key; "
            "a form has one when it is opened anew."
        )


def read_tombstone(jobs_dir: Path, job_id: str) -> TombstoneFile:
    """The tombstone of a deleted job; one that cannot be read, or is not written yet, says nothing but that it is."""
    return TombstoneFile.read_or_none(_tombstone(jobs_dir, job_id)) or TombstoneFile(id=job_id)


def bury(jobs_dir: Path, job_id: str) -> None:
    """Move a job's directory out of the jobs: it is deleted, durably. Raises JobNotFound, StorageFull."""
    grave = _grave(jobs_dir, job_id)
    try:
        grave.parent.mkdir(exist_ok=True)
        try:
            (jobs_dir / job_id).rename(grave)
        except OSError as exc:
            if exc.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            _empty(grave)  # of an earlier deletion: the directory was put back by hand since
            (jobs_dir / job_id).rename(grave)
        fsync_dir(grave.parent)
        fsync_dir(jobs_dir)
    except FileNotFoundError as exc:
        raise no_such_job(jobs_dir, job_id) from exc
    except OSError as exc:
        raise StorageFull(
            "The job was not deleted: the data directory takes no changes ({why}). "
            "Fix its permissions, or what is wrong with its disk, then delete it again.",
            why=exc.strerror,
        ) from exc


def clear(jobs_dir: Path, job_id: str, by: Actor | None = None) -> int:
    """Free the space of a job that is buried, and put up its tombstone. Returns the bytes. Raises OSError.

    The buried directory stands for the tombstone until that is written: on a full disk space is needed for it first.
    """
    grave = _grave(jobs_dir, job_id)
    freed = size_of(grave)
    _empty(grave)
    if not os.path.lexists(_tombstone(jobs_dir, job_id)):
        said = TombstoneFile(id=job_id, deleted_ms=time.time_ns() // 1_000_000, freed_bytes=freed, by=by)
        said.write(_tombstone(jobs_dir, job_id))
    with contextlib.suppress(FileNotFoundError):  # two do it at once
        grave.rmdir()
    return freed


def unfinished(jobs_dir: Path) -> Iterator[str]:
    """The ids of deleted jobs whose space is still to be freed."""
    with contextlib.suppress(OSError), os.scandir(jobs_dir / FOLDER) as entries:  # nothing was ever deleted
        yield from (entry.name for entry in entries if entry.is_dir(follow_symlinks=False))


def size_of(path: Path) -> int:
    """How much space a directory takes on the disk; what is removed meanwhile takes none."""
    try:
        found = path.lstat().st_blocks * 512
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    found += size_of(Path(entry.path))
                else:
                    with contextlib.suppress(FileNotFoundError):
                        found += entry.stat(follow_symlinks=False).st_blocks * 512
    except (FileNotFoundError, NotADirectoryError):
        return 0
    return found


def _grave(jobs_dir: Path, job_id: str) -> Path:
    return jobs_dir / FOLDER / job_id


def _tombstone(jobs_dir: Path, job_id: str) -> Path:
    return jobs_dir / FOLDER / f"{job_id}.json"


def _empty(folder: Path) -> None:
    """Remove all that is in ``folder``. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):  # two do it at once: here and below
        with os.scandir(folder) as found:
            entries = list(found)
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                if entry.is_dir(follow_symlinks=False):
                    _empty(Path(entry.path))
                    Path(entry.path).rmdir()
                else:
                    Path(entry.path).unlink()
