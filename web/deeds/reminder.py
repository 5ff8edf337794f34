"""Tells the queue server, as soon as it answers again, of what was accepted while it did not.

    reminder.note(jobdir)       # returns at once

Keepers find such jobs and wishes too, but where only the web side was cut off they look no earlier than
once a minute. So does this thread give up after a while: what is on disk is not lost with it.
"""

import logging
import threading
import time

from keepfit.shared.errors import KeepfitError, StoreRefused, StoreUnavailable
from keepfit.shared.jobs.directory import JobDir
from keepfit.shared.jobs.mending import tell
from keepfit.shared.store import Store

AGAIN_S = 0.5
GIVE_UP_S = 120.0
"""By then every keeper has looked through the job directories."""

log = logging.getLogger(__name__)


class Reminder:
    """One for each web application; its thread lives only while there is something to tell."""

    def __init__(self, store: Store, closing: threading.Event) -> None:
        self._store, self._closing = store, closing
        self._lock = threading.Lock()
        self._untold: dict[str, tuple[JobDir, float]] = {}
        self._at_work = False

    def note(self, jobdir: JobDir) -> None:
        """The server has not heard of this job, or of its newest wish."""
        with self._lock:
            self._untold[jobdir.id] = (jobdir, time.monotonic() + GIVE_UP_S)
            if not self._at_work:
                self._at_work = True
                threading.Thread(target=self._remind, name="reminder", daemon=True).start()

    def _remind(self) -> None:
        while not self._closing.wait(AGAIN_S):
            with self._lock:
                untold = dict(self._untold)
            for job_id, (jobdir, until) in untold.items():
                if self._tell(jobdir) or time.monotonic() > until:
                    with self._lock:
                        if self._untold.get(job_id) == (jobdir, until):  # else there is something newer to tell
                            del self._untold[job_id]
            with self._lock:
                if not self._untold:
                    self._at_work = False
                    return

    def _tell(self, jobdir: JobDir) -> bool:
        """Whether the server knows of everything now, or never will."""
        try:
            return tell(jobdir, self._store)
        except (StoreUnavailable, StoreRefused):  # a keeper mends a damaged key within seconds
            return False
        except KeepfitError as exc:  # deleted, or it has ended before the wish could reach it
            log.info("nothing to tell any more: %s", exc, extra={"job_id": jobdir.id})
        return True
