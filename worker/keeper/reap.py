"""Reaps: settles the attempts of any machine whose leases have lapsed, but gives owners a calm moment first.

Nobody is robbed because the server or the connection was away, or because this keeper itself stood still: owners may
have stood still or been cut off with it, and renew or adopt as soon as they can.
"""

import contextlib
import logging
from collections.abc import Sequence

from keepfit.shared.host import Owner
from keepfit.shared.reasons import Code, Reason
from keepfit.shared.settings import Settings
from keepfit.shared.store import Running, Store
from keepfit.worker.keeper.chores import REAL, Chore, Clock, RollCall
from keepfit.worker.keeper.settle import Settlement

log = logging.getLogger(__name__)


class Reap(Chore):
    """Every keeper does it: what two of them reap is settled once, since that is one script."""

    name = "reap"

    def __init__(
        self, settings: Settings, store: Store, roll: RollCall, settlement: Settlement, clock: Clock = REAL
    ) -> None:
        self._roll, self._settlement, self._clock = roll, settlement, clock
        self._lease_s, self._store = settings.lease_s, store
        self._calm_until: float | None = None
        """None: something has happened since, and how long the calm lasts is still to be asked for."""
        self._was_away = False
        self._ticked_at = clock.monotonic()

    def note_outage(self) -> None:
        """Owners could not renew either."""
        self._calm_until, self._was_away = None, True

    def tick(self) -> None:
        """Settle what has lapsed, unless it is too early to tell."""
        at = self._clock.monotonic()
        if at - self._ticked_at > self._lease_s:  # we were frozen, and so perhaps were the owners
            self.note_outage()
        self._ticked_at = at
        if self._calm_until is None:
            self._calm_until = at + self._calm_s()
            self._was_away = False
        if at >= self._calm_until:
            self._reap(self._roll.running)

    def _reap(self, running: Sequence[Running]) -> None:
        now_ms = self._store.now_ms() if running else 0
        lapsed = [r for r in running if r.lease_ms < now_ms]
        for attempt in lapsed:
            self._settlement.report_end(attempt.claim)
        claims = {r.claim.job_id: r.claim for r in running}
        reason, silent = Reason.of(Code.SILENT, seconds=self._lease_s), self._silent(lapsed)
        reaped = self._store.leases.reap(self._settlement.budget, reason=reason, silent=silent)
        for job_id, state in reaped.items():
            log.warning("a lease has lapsed", extra={"job_id": job_id, "state": state.value})
            if job_id in claims:
                self._settlement.audit(claims[job_id], f"lapsed:{state.value}")
            self._settlement.keep(job_id, state)

    def _silent(self, lapsed: Sequence[Running]) -> list[str]:
        """Those of the ``lapsed`` whose worker has beaten since: they alone fell silent, so it is their own fault."""
        if not lapsed:
            return []
        seen = {(worker.host, worker.pid): worker.seen_ms for worker in self._store.workers.list()}
        found = []
        for attempt in lapsed:
            with contextlib.suppress(ValueError):  # an owner that nobody can read
                owner = Owner.parse(attempt.claim.owner)
                beaten_ms = seen.get((owner.machine.split("/")[0], owner.main.pid), 0)
                # The last heartbeat was a lease before; who froze or was cut off together has beaten no later.
                if beaten_ms > attempt.lease_ms - self._lease_s * 500:
                    found.append(attempt.claim.job_id)
        return found

    def _calm_s(self) -> float:
        """How long owners get to renew, or to adopt, before anything is reaped."""
        if self._store.upkeep.uptime_s() <= 4 * self._lease_s:
            return 2 * self._lease_s
        return self._lease_s if self._was_away else 0.0
