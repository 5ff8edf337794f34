"""Settles attempts that cannot speak for themselves: their end is read from disk, or decided, and kept on disk.

An attempt that has committed its result has ended so, whatever killed it afterwards. One whose end was decided here may
still write a result: what is kept on disk outweighs that, so that a wiped server is rebuilt as it was.
"""

import logging

from keepfit.shared.actors import How, local, note
from keepfit.shared.errors import KeepfitError
from keepfit.shared.jobs.directory import open_jobdir
from keepfit.shared.jobs.documents import ResultFile
from keepfit.shared.jobs.mending import note_settled
from keepfit.shared.jobs.states import Cause, JobState, Outcome
from keepfit.shared.reasons import Reason
from keepfit.shared.settings import Settings
from keepfit.shared.store import Budget, Claim, LeaseState, Store

log = logging.getLogger(__name__)


class Settlement:
    """What a keeper does about attempts that have ended without a word."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings, self._store = settings, store
        self.budget = Budget(settings.restart_budget, settings.backoff_s)

    def interrupt(self, claim: Claim, reason: Reason, cause: Cause) -> None:
        """End an attempt whose process is gone, as it has said itself on disk, else as interrupted."""
        if self.report_end(claim):
            return
        state = self._store.leases.finish(
            claim, Outcome.INTERRUPTED, reason=reason, budget=self.budget, by=How.KEEPER, cause=cause
        )
        if state is not LeaseState.LOST:
            self.audit(claim, f"end:{state.value}")
            self.keep(claim.job_id, state)

    def report_end(self, claim: Claim) -> bool:
        """Report for an attempt the end that it has committed to disk, if it could not do so itself."""
        try:
            attempts = open_jobdir(self._settings.jobs_dir, claim.job_id).attempt_dirs()
        except KeepfitError:  # the directory was taken away by hand; there is nothing to report
            return False
        ended = [ResultFile.read_or_none(attempt.result) for attempt in attempts if attempt.number == claim.attempt]
        result = ended[0] if ended else None
        if result is None or result.outcome not in (Outcome.FINISHED, Outcome.FAILED):
            return False
        state = self._store.leases.finish(
            claim, result.outcome, reason=result.reason, budget=self.budget, by=How.KEEPER, result=result.model_dump()
        )
        if state is not LeaseState.LOST:
            self.audit(claim, f"end:{state.value}")
        return state is not LeaseState.LOST

    def keep(self, job_id: str, state: JobState) -> None:
        """Put on disk that a silent attempt was settled so."""
        if state is JobState.QUEUED:
            return
        try:
            note_settled(self._settings.jobs_dir, job_id, state, self._store)
        except (KeepfitError, OSError) as exc:
            log.warning("the end of the job is only in the queue server: %s", exc, extra={"job_id": job_id})

    def audit(self, claim: Claim, event: str) -> None:
        """Keep a line of what was decided."""
        note(
            self._settings.data_dir, local(How.KEEPER), event,
            job=claim.job_id, attempt=claim.attempt, owner=claim.owner,
        )  # fmt: skip
