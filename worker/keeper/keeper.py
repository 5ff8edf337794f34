"""The keeper: a thread of each worker's main process that sees to all jobs, in chores, a few times a second.

It has a server connection of its own and shares no lock with the pool's children. Every worker has one; what two of
them do is done once, because each step is one script. What is done is in the chores; here are the thread, the outages
and the order:

1. ``Beat`` first: whatever takes long or fails below, this worker is seen to live.
2. ``Rebuilder`` before anything that looks at leases: after a wipe there are none, and nothing below means anything
   until jobs are back. It drops keys of a wrong type too, on which all below would stumble.
3. ``Locals`` before ``Reap``: who can look at a process knows better, and sooner, than who only sees a lease lapse.
4. ``Burial`` and ``Sweeper``, which may wait, and look only at the disk and at what has no owner.
5. ``Kicks`` last: jobs that were re-queued just now are kicked in the same tick.

An outage ends the tick, since each of them needs the server; any other error ends only the chore that met it, and is
logged: a damaged key or a fault of ours must not silence the beat.
"""

import logging
import threading
from collections.abc import Callable

from celery.exceptions import CeleryError
from kombu.exceptions import KombuError, OperationalError

from keepfit.shared.errors import KeepfitError, StoreUnavailable
from keepfit.shared.settings import Settings
from keepfit.shared.store import Store, open_store
from keepfit.worker.consumer import Deafness
from keepfit.worker.keeper.beat import Beat
from keepfit.worker.keeper.bury import Burial
from keepfit.worker.keeper.chores import REAL, Chore, Clock, RollCall
from keepfit.worker.keeper.deaths import DEATHS
from keepfit.worker.keeper.kicks import Kicks
from keepfit.worker.keeper.locals import Locals
from keepfit.worker.keeper.reap import Reap
from keepfit.worker.keeper.rebuild import Rebuilder
from keepfit.worker.keeper.settle import Settlement
from keepfit.worker.keeper.sweep import Sweeper

LOG_GAP_S = 10.0
HURRY_S = 0.01
"""Between two ticks of a rebuild."""
DEAF_GRACES = 1.5
"""In times that an attempt may take to stop: a process that has given its lease back holds its slot until it ends."""
OUTAGES = (StoreUnavailable, OperationalError, KombuError, CeleryError)

log = logging.getLogger(__name__)


class Keeper:
    """One worker's keeper. ``publish`` sends one kick; ``consumes``: this process has a consumer to be watched."""

    def __init__(
        self,
        settings: Settings,
        name: str,
        publish: Callable[[], None],
        consumes: bool = True,
        clock: Clock = REAL,
    ) -> None:
        self._name, self._tick_s, self._clock = name, settings.keeper_tick_s, clock
        self._store: Store = open_store(settings.broker_url, timeout_s=1.0)
        self._roll = RollCall(self._store)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="keeper", daemon=True)
        self._logged: dict[str, float] = {}
        grace_s = settings.stop_grace_s
        deafness = Deafness(DEAF_GRACES * grace_s, grace_s, leave=self._leave) if consumes else None
        self._chores = self._in_order(settings, publish, deafness)

    def _in_order(
        self, settings: Settings, publish: Callable[[], None], deafness: Deafness | None
    ) -> tuple[Chore, ...]:
        store, clock = self._store, self._clock
        settlement = Settlement(settings, store)
        locals_ = Locals(settings, store, self._roll, settlement, clock)
        self._rebuilder = Rebuilder(settings, store, self._name, clock)
        return (
            Beat(settings, store, self._name, deafness, lambda: locals_.busy, clock),
            self._rebuilder,
            locals_,
            Reap(settings, store, self._roll, settlement, clock),
            Burial(settings.jobs_dir, store, clock),
            Sweeper(settings.jobs_dir, settings.cache_dir, settings.sweep_s, self._roll, clock),
            Kicks(settings, store, publish, lambda: locals_.busy),
        )

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and say goodbye to the store."""
        self._ended.set()
        self._thread.join(timeout=2)
        self._leave()
        self._store.close()

    def tick(self) -> None:
        """Do each chore once, in their order. Raises what means an outage, which ends the tick."""
        DEATHS.look()  # also in an outage, so that old kills are known as old
        self._roll.begin()
        for chore in self._chores:
            try:
                chore.tick()
            except OUTAGES:
                for told in self._chores:
                    told.note_outage()
                raise
            except Exception:
                if self._may_log(chore.name):
                    log.exception("the keeper could not %s, and goes on", chore.name)

    def _keep(self) -> None:
        while not self._ended.is_set():
            try:
                self.tick()
            except OUTAGES as exc:
                if self._may_log("outage"):
                    log.warning("the queue server is away: %s", exc)
            self._clock.wait(self._ended, HURRY_S if self._rebuilder.hurries else self._tick_s)

    def _leave(self) -> None:
        try:
            self._store.workers.leave(self._name)
        except KeepfitError as exc:
            log.info("leaving without a word: %s", exc)

    def _may_log(self, what: str) -> bool:
        now = self._clock.monotonic()
        if now - self._logged.get(what, -LOG_GAP_S) < LOG_GAP_S:
            return False
        self._logged[what] = now
        return True
