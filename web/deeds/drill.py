"""The recovery drill: has a worker kill itself, to see its job go on.

drills.drill(actor, job_id)
"""

import time

from keepfit.shared.actors import Actor, Deed
from keepfit.shared.errors import BadTransition
from keepfit.shared.jobs.states import JobState
from keepfit.shared.store import JobRecord
from keepfit.shared.store.jobs import DRILL_KEPT_MS
from keepfit.web.deeds.accepting import Means


class Drills:
    """Has workers die, and knows for a while which were told to."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._drilled: dict[str, tuple[int, float]] = {}

    def drill(self, actor: Actor, job_id: str) -> None:
        """Have the worker that runs ``job_id`` kill itself with SIGKILL.

        Raises:
            JobNotFound: no such job.
            BadTransition: drills are off, or nobody runs the job.
            NotAllowed: the actor may not.
            StoreUnavailable: the queue server, over which the worker is told, does not answer.
        """
        self._means.allow(actor, Deed.DRILL)
        if not self._means.settings.drills:
            raise BadTransition(
                "Recovery drills are off. KEEPFIT_DRILLS=true allows them where only this machine reaches Keepfit."
            )
        record = self._means.reader.get(job_id).record
        if not self._means.store.jobs.drill(job_id):
            raise BadTransition("No worker runs this job now, so there is none to kill.")
        self._drilled[job_id] = (record.attempt, time.monotonic() + DRILL_KEPT_MS / 1000)
        self._means.note(actor, "drill", job_id)

    def told_to_die(self, record: JobRecord) -> bool:
        """Whether the worker of the attempt that runs now was told to kill itself, and may still hear of it."""
        attempt, until = self._drilled.get(record.id, (0, 0.0))
        return record.state is JobState.RUNNING and attempt == record.attempt and time.monotonic() < until
