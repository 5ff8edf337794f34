"""Kicks: sends as many as there are jobs ready, while none waits in the task queue. A lost kick is made up for here."""

from collections.abc import Callable

from keepfit.shared.settings import Settings
from keepfit.shared.store import Store
from keepfit.worker.drain import draining
from keepfit.worker.keeper.chores import Chore
from keepfit.worker.lanes import LANES


class Kicks(Chore):
    """``publish`` sends one kick, ``busy``: how many attempts run here. A worker that stops sends none.

    It also says whether a short job waits that only the short lane can take.
    """

    name = "kick"

    def __init__(self, settings: Settings, store: Store, publish: Callable[[], None], busy: Callable[[], int]) -> None:
        self._gap_s, self._slots, self._store = settings.kick_gap_s, settings.slots, store
        self._publish, self._busy = publish, busy

    def tick(self) -> None:
        """Top the task queue up."""
        if draining():
            return
        LANES.short_waits = self._busy() >= self._slots and self._store.upkeep.ready(only_short=True)
        for _ in range(self._store.upkeep.top_up(gap_s=self._gap_s, most=self._slots)):
            self._publish()
