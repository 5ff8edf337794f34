"""Deletes jobs for good, with what belongs to them: first says what that is, then does it.

    doomed = deletions.look(job_id)              # doomed.jobs, .bytes, .running: nothing is changed
    deleted = deletions.delete(actor, job_id, cancel=True)

The directory is moved away first, which is the deletion; then the server hears of it, then the space is freed. So it
holds while the queue server is away, and whatever dies in between a keeper finishes. An attempt that runs, or wakes
up later, finds no directory and no lease, and stops.
"""

import contextlib
import logging
from dataclasses import dataclass

from keepfit.shared.actors import Actor, Deed
from keepfit.shared.errors import BadTransition, DamagedFile, JobDeleted, JobNotFound, StoreRefused, StoreUnavailable
from keepfit.shared.jobs.deleting import bury, clear, read_tombstone, size_of
from keepfit.shared.jobs.documents import JobFile
from keepfit.shared.jobs.states import JobState
from keepfit.shared.store import JobRecord
from keepfit.web.deeds.accepting import Means
from keepfit.web.jobs.reading import Seen

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Doomed:
    """What deleting a job would take with it."""

    jobs: tuple[JobRecord, ...]
    """The job itself first, then its evaluations: they measure a model that goes with it."""
    bytes: int
    """The space that would be free again."""

    @property
    def running(self) -> tuple[JobRecord, ...]:
        """Those that would have to be cancelled for it."""
        return tuple(record for record in self.jobs if record.state is JobState.RUNNING)


@dataclass(frozen=True)
class Deleted:
    """What was deleted."""

    job_ids: tuple[str, ...]
    bytes: int
    freed: bool = True
    """False if some of the space could not be freed yet: a keeper goes on with it."""
    waits_for_queue: bool = False
    """The queue server does not answer; it hears of it when it does."""


class Deletions:
    """Deletes jobs of one data directory."""

    def __init__(self, means: Means) -> None:
        self._means, self._jobs_dir = means, means.settings.jobs_dir

    def look(self, job_id: str) -> Doomed:
        """What would be deleted. Raises JobNotFound, JobDeleted."""
        seen = self._family(job_id)
        return Doomed(tuple(one.record for one in seen), sum(size_of(one.jobdir.path) for one in seen))

    def delete(self, actor: Actor, job_id: str, cancel: bool = False) -> Deleted:
        """Delete a job and its evaluations; of one that was deleted, say so again. ``cancel``: also if they run.

        Raises:
            JobNotFound: there has never been such a job.
            BadTransition: some of it runs.
            StorageFull: the data directory takes no changes.
            NotAllowed: the actor may not.
        """
        try:
            family = self._family(job_id)
        except JobDeleted:
            return Deleted((job_id,), read_tombstone(self._jobs_dir, job_id).freed_bytes)
        for one in family:
            self._means.allow(actor, Deed.DELETE, _or_none(one))
        doomed = Doomed(tuple(one.record for one in family), sum(size_of(one.jobdir.path) for one in family))
        if doomed.running and not cancel:
            raise _still_runs(doomed)
        for one in reversed(family):  # the job last: what is cut off here can be asked for again
            self._bury(actor, one)
        untold = [one for one in family if not self._tell_server(one)]
        kept = [one for one in family if not self._free(actor, one.record.id)]
        return Deleted(tuple(record.id for record in doomed.jobs), doomed.bytes, not kept, bool(untold))

    def _family(self, job_id: str) -> list[Seen]:
        seen = self._means.reader.get(job_id)
        return [seen, *self._means.reader.evaluations(seen.jobdir)]

    def _bury(self, actor: Actor, seen: Seen) -> None:
        with contextlib.suppress(JobNotFound):  # somebody else does the same
            bury(self._jobs_dir, seen.record.id)
        self._means.note(actor, "delete", seen.record.id)
        self._means.reader.forget(seen.record.id)

    def _tell_server(self, seen: Seen) -> bool:
        try:
            self._means.store.upkeep.remove(seen.record.id)
        except (StoreUnavailable, StoreRefused):
            log.warning("deleted on disk only", extra={"job_id": seen.record.id, "action": "delete"})
            self._means.reminder.note(seen.jobdir)
            return False
        return True

    def _free(self, actor: Actor, job_id: str) -> bool:
        try:
            clear(self._jobs_dir, job_id, actor)
        except OSError as exc:
            log.warning("the space is not freed yet: %s", exc, extra={"job_id": job_id, "action": "delete"})
            return False
        return True


def _or_none(seen: Seen) -> JobFile | None:
    """The job's document, as far as it decides who may delete it: also a damaged job can be deleted."""
    try:
        return seen.jobdir.job
    except (DamagedFile, JobNotFound):
        return None


def _still_runs(doomed: Doomed) -> BadTransition:
    if doomed.running[0] is doomed.jobs[0]:
        return BadTransition("A job that is running cannot be deleted. Cancel it first, or delete it with cancel=true.")
    return BadTransition("An evaluation of this job is running. Wait for its end, or delete both with cancel=true.")
