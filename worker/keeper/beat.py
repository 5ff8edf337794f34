"""The beat: says once a second that this worker lives, and whether it takes jobs."""

import os
from collections.abc import Callable

from keepfit.shared.host import machine
from keepfit.shared.settings import Settings
from keepfit.shared.store import Store
from keepfit.worker.consumer import Deafness
from keepfit.worker.keeper.chores import REAL, Chore, Clock
from keepfit.worker.lanes import LANES

BEAT_S = 1.0


class Beat(Chore):
    """``deafness`` watches the consumer, if this process has one; ``busy``: how many attempts run here."""

    name = "beat"

    def __init__(
        self,
        settings: Settings,
        store: Store,
        worker: str,
        deafness: Deafness | None,
        busy: Callable[[], int],
        clock: Clock = REAL,
    ) -> None:
        self._slots, self._store, self._worker, self._clock = settings.slots, store, worker, clock
        self._deafness, self._busy = deafness, busy
        self._host, self._pid = machine().split("/")[0], os.getpid()
        self._beat_at = -BEAT_S

    def tick(self) -> None:
        """Beat, if it is time. The consumer is looked at each time."""
        busy = self._busy()
        takes = self._deafness is None or self._deafness.look(busy, self._slots + LANES.short_waits)
        if self._clock.monotonic() - self._beat_at >= BEAT_S:
            self._beat_at = self._clock.monotonic()
            self._store.workers.beat(
                self._worker, host=self._host, pid=self._pid, slots=self._slots, busy=busy, takes=takes
            )

    def note_outage(self) -> None:
        """The consumer gets its time to reconnect."""
        if self._deafness is not None:
            self._deafness.forget()
