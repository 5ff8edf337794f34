"""Looks after the attempts of this machine, whose processes can be looked at: the dead, the disobedient, the strays.

A dead one is re-queued at once, long before its lease lapses. One of our own that does not obey a wish in time is
killed, and so is a process that has lost its lease and does not end: it is frozen, or in a long step. Answers drills.
"""

import logging
import os
import signal
from collections.abc import Sequence

from keepfit.shared.host import Owner, Process, machine
from keepfit.shared.jobs.states import Cause, Wish
from keepfit.shared.reasons import Code, Reason
from keepfit.shared.settings import Settings
from keepfit.shared.store import Running, Store
from keepfit.worker.keeper.chores import REAL, Chore, Clock, RollCall
from keepfit.worker.keeper.deaths import DEATHS
from keepfit.worker.keeper.settle import Settlement

LAST_WORDS_S = 0.5
"""How long to wait for Celery to say how a child of ours died."""

log = logging.getLogger(__name__)


class Locals(Chore):
    """Those of this machine; what only their own worker may do, only for those of this process."""

    name = "look after what runs"

    def __init__(
        self, settings: Settings, store: Store, roll: RollCall, settlement: Settlement, clock: Clock = REAL
    ) -> None:
        self._grace_s, self._store = settings.stop_grace_s, store
        self._roll, self._settlement, self._clock = roll, settlement, clock
        self._main = Process.of(os.getpid())
        self._dead_since: dict[str, float] = {}
        self._strays: dict[Process, float | None] = {}
        """Our processes that have held a lease, and since when they do so no longer; None while they do."""
        self.busy = 0
        """How many attempts of this worker run."""

    def tick(self) -> None:
        """Look at each of them once."""
        here = [r for r in self._roll.running if r.claim.owner.startswith(machine() + ":")]
        mine = [(r, Owner.parse(r.claim.owner)) for r in here]
        own = [owner for _, owner in mine if owner.main == self._main]
        self.busy = len(own)
        self._answer_drills(own)
        for attempt, owner in mine:
            self._look_after(attempt, owner)
        self._end_strays(own)

    def _answer_drills(self, own: Sequence[Owner]) -> None:
        for owner in own:
            if self._store.upkeep.drilled(str(owner)):
                log.warning("recovery drill: killing this worker")
                os.kill(os.getpid(), signal.SIGKILL)

    def _look_after(self, attempt: Running, owner: Owner) -> None:
        """Re-queue an attempt whose process is gone; kill one of ours that does not obey."""
        if owner.child.alive():
            overdue_ms = self._store.now_ms() - attempt.wish_ms if attempt.wish is not Wish.RUN else 0
            if overdue_ms > self._grace_s * 1000 and owner.main == self._main:
                log.warning("the attempt did not obey in time, killing it", extra={"job_id": attempt.claim.job_id})
                os.kill(owner.child.pid, signal.SIGKILL)
            return
        if words := self._last_words(owner):
            self._dead_since.pop(owner.nonce, None)
            self._settlement.interrupt(attempt.claim, *words)

    def _last_words(self, owner: Owner) -> tuple[Reason, Cause] | None:
        """Why the process of ``owner`` is gone; None while that may still be learned."""
        if not owner.main.alive():
            return Reason.of(Code.WORKER_KILLED), Cause.WORKER
        now = self._clock.monotonic()
        since = self._dead_since.setdefault(owner.nonce, now)
        if owner.main != self._main:  # its own keeper knows more
            long_enough = now - since > 3 * LAST_WORDS_S
            return (Reason.of(Code.PROCESS_KILLED), Cause.PROCESS) if long_enough else None
        words = DEATHS.take(owner.child.pid)
        if words is None and now - since > LAST_WORDS_S:
            words = Reason.of(Code.PROCESS_VANISHED)
        return (words, Cause.MEMORY if words.code == Code.KERNEL_KILLED else Cause.PROCESS) if words else None

    def _end_strays(self, own: Sequence[Owner]) -> None:
        """Kill a child of ours that has lost its lease and does not end by itself: it is frozen."""
        held = {owner.child for owner in own}
        self._strays |= dict.fromkeys(held)
        now = self._clock.monotonic()
        for child, since in [(child, since) for child, since in self._strays.items() if child not in held]:
            if not child.alive():
                del self._strays[child]
            elif since is None:
                self._strays[child] = now
            elif now - since > self._grace_s:
                log.warning("killing the frozen process %d, which has lost its lease", child.pid)
                os.kill(child.pid, signal.SIGKILL)
                del self._strays[child]
