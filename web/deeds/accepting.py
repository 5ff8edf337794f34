"""What all deeds share: what they work with, whether the actor may, and how a job is accepted.

    means.allow(actor, Deed.WISH, job)             # NotAllowed
    spec = completed(means, spec, key)             # InvalidSpec where it does not fit what there is
    accepted = accept(means, actor, spec, key)     # accepted.jobdir, .new, .waits_for_queue

What a person was promised is on disk before Redis hears of it, so it holds while Redis is away;
``waits_for_queue`` says that it will take effect when the queue server is back.
"""

import logging
from dataclasses import dataclass
from typing import TypeVar

from keepfit.shared import actors
from keepfit.shared.actors import Actor, Deed, Job, may
from keepfit.shared.catalog import accepting
from keepfit.shared.catalog.library import builtin_library
from keepfit.shared.errors import DamagedFile, NotAllowed, StoreRefused, StoreUnavailable
from keepfit.shared.jobs.directory import JobDir, create_jobdir, job_id_of
from keepfit.shared.jobs.mending import drop_deleted, tell
from keepfit.shared.jobs.states import JobState
from keepfit.shared.settings import Settings
from keepfit.shared.spec import JobSpec
from keepfit.shared.store import Store
from keepfit.web.deeds.reminder import Reminder
from keepfit.web.jobs.reading import JobReader, Seen
from keepfit.web.words.catalogue import Marked, marked

log = logging.getLogger(__name__)

S = TypeVar("S", bound=JobSpec)


@dataclass(frozen=True)
class Accepted:
    """What was asked is durable."""

    jobdir: JobDir
    new: bool = True
    """False if the same key has made this job before."""
    waits_for_queue: bool = False
    """The queue server does not answer; it will take effect when it does."""


@dataclass(frozen=True)
class Means:
    """What deeds work with."""

    settings: Settings
    store: Store
    reader: JobReader
    reminder: Reminder

    def allow(self, actor: Actor, deed: Deed, job: Job | None = None) -> None:
        """See that ``actor`` may do ``deed``: every deed asks here, before it does anything. Raises NotAllowed."""
        if not may(actor, deed, job):
            raise NotAllowed(
                "{who} may not do this here: it takes another role than {role}.", who=actor.who, role=actor.role.value
            )

    def note(self, actor: Actor, event: str, job_id: str) -> None:
        """Keep in the audit file what was done."""
        actors.note(self.settings.data_dir, actor, event, job=job_id)


def completed(means: Means, spec: S, key: str | None, trained: JobSpec | None = None) -> S:
    """``spec`` as it is kept: it names each card by name and id, and fits what there is. Raises InvalidSpec.

    Today's catalogue has no say in what ``key`` has made before: that is compared with what is asked for now.
    ``trained`` is the job whose model the new one is about.
    """
    spec = accepting.named(spec, builtin_library())
    if key and (means.settings.jobs_dir / job_id_of(key)).exists():
        return spec
    return accepting.accept(spec, builtin_library(), trained)


def accept(means: Means, actor: Actor, spec: JobSpec, key: str | None) -> Accepted:
    """Make a job of ``spec``, or find the one that ``key`` has made. Raises JobConflict, StorageFull."""
    jobdir, new = create_jobdir(means.settings.jobs_dir, spec, key, by=actor)
    if new:
        means.note(actor, "submit", jobdir.id)
    means.reader.remember(jobdir)
    try:
        if new:
            means.store.jobs.create(jobdir)
            drop_deleted(means.settings.jobs_dir, [jobdir.id], means.store)
        elif not tell(jobdir, means.store):  # wiped just now, and an attempt may be at work on it
            means.reminder.note(jobdir)
    except (StoreUnavailable, StoreRefused):
        log.warning("job accepted on disk only", extra={"job_id": jobdir.id, "action": "submit"})
        means.reminder.note(jobdir)
        return Accepted(jobdir, new, waits_for_queue=True)
    return Accepted(jobdir, new)


def undamaged(seen: Seen) -> Seen:
    """``seen``, unless nobody can say what the job is: then nothing can be asked of it. Raises DamagedFile."""
    if damage := seen.jobdir.damage:
        raise DamagedFile(damage)
    return seen


_ENDED = {
    JobState.SUCCEEDED: marked("succeeded"),
    JobState.FAILED: marked("failed"),
    JobState.CANCELLED: marked("been cancelled"),
}


def ended(state: JobState) -> Marked:
    """What a job in ``state`` has come to, after "A job that has"."""
    return _ENDED.get(state, Marked(state.value))
