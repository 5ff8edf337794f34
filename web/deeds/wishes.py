"""What a person wants of a job: that it runs, pauses or is given up, and how urgent it is.

    accepted = wishes.express(actor, job_id, Wish.PAUSE)
    accepted = wishes.prioritise(actor, job_id, 5)

A wish is kept in ``wish.json`` before the server hears of it. Nothing else writes that file.
"""

import logging
import threading

from keepfit.shared.actors import Actor, Deed
from keepfit.shared.errors import BadTransition, JobNotFound, StorageFull, StoreRefused, StoreUnavailable
from keepfit.shared.jobs.documents import WishFile
from keepfit.shared.jobs.states import LARGEST_PRIORITY, JobState, Wish, wish_allowed
from keepfit.shared.jobs.truth import wish_obeyed
from keepfit.web.deeds.accepting import Accepted, Means, ended, undamaged
from keepfit.web.jobs.reading import Seen
from keepfit.web.words.catalogue import marked

log = logging.getLogger(__name__)

_REFUSED = {
    Wish.RUN: marked("A job that has {ended} cannot be resumed."),
    Wish.PAUSE: marked("A job that has {ended} cannot be paused."),
    Wish.CANCEL: marked("A job that has {ended} cannot be cancelled."),
}


class Wishes:
    """Takes wishes."""

    def __init__(self, means: Means) -> None:
        self._means = means
        # The web side is one process: the lock makes each wish's number its own.
        self._wishing = threading.Lock()

    def express(self, actor: Actor, job_id: str, wish: Wish) -> Accepted:
        """Ask for a job to run, pause or be cancelled.

        Raises:
            JobNotFound, DamagedFile: there is no such job, or nobody can say what it is.
            BadTransition: its state has no such change.
            StorageFull: the wish could not be kept.
            NotAllowed: the actor may not.
        """
        with self._wishing:
            seen = undamaged(self._means.reader.get(job_id))
            self._means.allow(actor, Deed.WISH, seen.jobdir.job)
            if not wish_allowed(seen.record.state, wish):
                raise BadTransition(_REFUSED[wish], ended=ended(seen.record.state))
            accepted = self._keep(seen, wish, seen.jobdir.status().priority, actor)
            self._means.note(actor, f"wish:{wish.value}", job_id)
            return accepted

    def prioritise(self, actor: Actor, job_id: str, priority: int) -> Accepted:
        """Move a job in the queue; higher runs first. Raises as ``express`` does."""
        priority = max(-LARGEST_PRIORITY, min(LARGEST_PRIORITY, priority))
        with self._wishing:
            try:
                accepted = self._prioritise(actor, job_id, priority)
            except BadTransition:  # perhaps it has stopped just now: what it has come to decides
                accepted = self._prioritise(actor, job_id, priority)
            self._means.note(actor, f"priority:{priority}", job_id)
            return accepted

    def _prioritise(self, actor: Actor, job_id: str, priority: int) -> Accepted:
        seen = undamaged(self._means.reader.get(job_id))
        self._means.allow(actor, Deed.PRIORITISE, seen.jobdir.job)
        if seen.record.state not in {JobState.QUEUED, JobState.RUNNING, JobState.PAUSED}:
            raise BadTransition("A job that has {ended} does not wait for anything.", ended=ended(seen.record.state))
        kept = seen.jobdir.status()  # the wish in it stays that of whoever has made it
        if kept.wish_number > seen.record.wish_number:  # the server has not heard of it: it is told now
            return self._keep(seen, kept.wish, priority, kept.by)
        stopped_by_itself = seen.record.state is JobState.PAUSED and seen.record.wish is Wish.RUN  # a full disk
        known = Wish.PAUSE if stopped_by_itself else seen.record.wish
        return self._keep(seen, known, priority, kept.by, only_priority=True)

    def _keep(
        self, seen: Seen, wish: Wish, priority: int | None, by: Actor | None, only_priority: bool = False
    ) -> Accepted:
        """Keep a wish on disk, then tell the server."""
        before = seen.jobdir.status()
        # Above the numbers of refused wishes too, which an attempt may have seen in the moment when it failed.
        number = max(before.wish_number, seen.record.wish_number, wish_obeyed(seen.jobdir)) + 1
        path = seen.jobdir.wish_file
        try:
            WishFile(wish=wish, number=number, priority=priority, by=by).write(path)
        except OSError as exc:
            self._means.reader.open(seen.record.id)  # raises, and says so, if it was deleted just now
            raise StorageFull(
                "The wish was not kept: the data directory takes no writes ({why}). "
                "Free some space or fix its permissions, then try again.",
                why=exc.strerror,
            ) from exc
        try:
            self._means.store.jobs.request(
                seen.record.id, wish, number=number, by=by, priority=priority, only_priority=only_priority
            )
        except (
            StoreUnavailable,
            StoreRefused,
            JobNotFound,
        ):  # away, or wiped: it is rebuilt from the directory, wish included
            self._means.reader.open(seen.record.id)  # or it was deleted just now
            log.warning("wish kept on disk only", extra={"job_id": seen.record.id, "action": wish.value})
            self._means.reminder.note(seen.jobdir)
            self._means.reader.remember(seen.jobdir, changed=True)
            return Accepted(seen.jobdir, waits_for_queue=True)
        except BadTransition:  # it has ended just now: the disk must not keep what was refused
            WishFile(wish=before.wish, number=before.wish_number, priority=before.priority, by=before.by).write(path)
            raise
        return Accepted(seen.jobdir)
