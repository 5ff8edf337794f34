"""Finishes deletions: whoever began one has died, was cut off from the server, or could not remove everything.

A deleted job is a directory that was moved away (``shared.jobs.deleting``). The server hears of it here if it has not,
the space is freed, the tombstone put up. What two keepers do at once is done once.
"""

import logging
from pathlib import Path

from keepfit.shared.jobs.deleting import FOLDER, clear, unfinished
from keepfit.shared.jobs.mending import drop_deleted
from keepfit.shared.store import Store
from keepfit.worker.keeper.chores import REAL, Chore, Clock

LOOK_S = 1.0
"""How often the folder's time is asked for; it is read when that has changed, or something could not be removed."""
ANYWAY_S = 60.0
"""How often it is read anyway: what comes within one tick of a coarse clock leaves the time as it was."""

log = logging.getLogger(__name__)


class Burial(Chore):
    """Looks whether anything has come since the last time."""

    name = "finish deletions"

    def __init__(self, jobs_dir: Path, store: Store, clock: Clock = REAL) -> None:
        self._jobs_dir, self._store, self._clock = jobs_dir, store, clock
        self._looked_at = self._read_at = -ANYWAY_S
        self._changed_ns = 0

    def tick(self) -> None:
        """Finish what is unfinished, if anything has changed. Raises StoreUnavailable, StoreRefused."""
        at = self._clock.monotonic()
        if at - self._looked_at < LOOK_S:
            return
        self._looked_at = at
        changed_ns = _changed_ns(self._jobs_dir / FOLDER)
        if changed_ns == self._changed_ns and at - self._read_at < ANYWAY_S:
            return
        self._read_at = at
        done = [self._finish(job_id) for job_id in unfinished(self._jobs_dir)]
        self._changed_ns = changed_ns if all(done) else 0

    def _finish(self, job_id: str) -> bool:
        drop_deleted(self._jobs_dir, [job_id], self._store)
        try:
            freed = clear(self._jobs_dir, job_id)
        except OSError as exc:
            log.warning("a deleted job's space cannot be freed: %s", exc, extra={"job_id": job_id})
            return False
        log.info("a deletion is finished, %d bytes are free again", freed, extra={"job_id": job_id})
        return True


def _changed_ns(folder: Path) -> int:
    """When an entry of ``folder`` came or went; 0 before the first deletion."""
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0
