"""Rebuilds the store from the job directories: at once after a wipe, and every minute against drift.

Live owners adopt their jobs by themselves first; what is left is put back as the directory says.
Attempt numbers never go back, since the directories hold them.
"""

import logging
import time

from shared.errors import BadTransition, StoreUnavailable
from shared.jobdir import JobDir, list_jobdirs
from shared.restoring import note_stop, only_server_knows_stop, restore_from_disk
from shared.settings import Settings
from shared.states import JobState
from shared.store import Store

SCAN_S = 60.0
SCAN_BATCH = 500

log = logging.getLogger(__name__)


class Rebuilder:
    """Part of a keeper; ``tick`` is called several times a second."""

    def __init__(self, settings: Settings, store: Store, name: str) -> None:
        self._settings, self._store, self._name = settings, store, name
        self._wiped_at: float | None = None
        self._scanned_at = time.monotonic()

    def note_outage(self) -> None:
        """The server was away: what happened on disk meanwhile is looked for as soon as it is back."""
        self._scanned_at = -SCAN_S

    def tick(self) -> None:
        """Notice a wipe and rebuild, or scan if it is time to. Raises StoreUnavailable."""
        now = time.monotonic()
        if self._store.upkeep.booted():
            self._wiped_at = None
            if now - self._scanned_at > SCAN_S:
                self.scan()
            return
        if self._wiped_at is None:
            self._wiped_at = now
        owners_had_time = now - self._wiped_at > 4 * self._settings.renew_s
        if owners_had_time and self._store.upkeep.lock_rebuild(self._name):
            restored = self.scan()
            self._store.upkeep.mark_booted()
            log.info("the store is rebuilt from the job directories", extra={"restored": restored})

    def scan(self) -> int:
        """Put back every job that the server does not know, and every wish. Returns how many jobs."""
        self._scanned_at = time.monotonic()
        jobdirs = {jobdir.id: jobdir for jobdir in list_jobdirs(self._settings.jobs_dir)}
        ids = list(jobdirs)
        restored = 0
        for start in range(0, len(ids), SCAN_BATCH):
            batch = ids[start : start + SCAN_BATCH]
            known = self._store.upkeep.known(batch)
            for job_id in batch:
                restored += self._look_at(jobdirs[job_id], known.get(job_id))
        return restored

    def _look_at(self, jobdir: JobDir, known: tuple[JobState, int] | None) -> bool:
        """Whether the job was put back. One directory that cannot be read keeps no other job from its rebuild."""
        try:
            if known is None:
                return restore_from_disk(jobdir, self._store)
            state, wish_number = known
            self._pass_on_wish(jobdir, wish_number)
            if state in (JobState.PAUSED, JobState.FAILED):
                self._keep_stop(jobdir)
        except StoreUnavailable:
            raise
        except Exception as exc:  # noqa: BLE001 - whatever a damaged or foreign file leads to
            log.warning("a job directory cannot be read: %s", exc, extra={"job_id": jobdir.id})
        return False

    def _pass_on_wish(self, jobdir: JobDir, known: int) -> None:
        """Tell the server of a wish that a person made while it was away."""
        status = jobdir.status()
        if status.wish_number > known:
            try:
                self._store.jobs.request(jobdir.id, status.wish, status.wish_number, status.priority)
            except BadTransition as exc:  # the job ended before the wish could reach it
                log.info("a wish came too late: %s", exc, extra={"job_id": jobdir.id})

    def _keep_stop(self, jobdir: JobDir) -> None:
        """Put on disk a stop that only the server knows: the disk was full, or its keeper died, when it happened."""
        record = self._store.jobs.get(jobdir.id)  # anew: a person may have had it go on just now
        if only_server_knows_stop(jobdir, record):
            note_stop(jobdir, record)
