"""When the server is compared with the job directories, and by whom: once a minute what has not ended and what has
changed, once an hour everything, and all of it at once after a wipe.

One keeper does it, under a lock, in slices between two beats (``comparing``). Live owners adopt their jobs by
themselves first; what is left is put back as its directory says. Attempt numbers never go back, since the directories
hold them. A key of the wrong type is dropped as soon as anything was refused because of it.
"""

import logging
from collections.abc import Iterator
from itertools import chain

from keepfit.shared.settings import Settings
from keepfit.shared.store import Store
from keepfit.worker.keeper.chores import REAL, Chore, Clock
from keepfit.worker.keeper.comparing import Comparison

MINUTE_S, HOUR_S, DAY_S = 60.0, 3600.0, 86_400.0
SLICE_S = 0.02
"""Of each tick, so that what is due each minute takes less than a tenth of a core."""
HOURLY_SHARE = 0.01
"""Of a core, for what is due each hour: 100,000 unchanged directories, 25 s of work, take 40 minutes."""
REBUILD_SLICE_S = 0.25
"""While jobs are missing that is all that counts, beside the beat and those that run."""
LOCK_S = 3.0
"""How often the lock is renewed, or asked for."""
SOUND_GAP_S = 1.0
NEVER = -HOUR_S

log = logging.getLogger(__name__)


class Rebuilder(Chore):
    """One of several does it, while it has the lock, which is given to ``worker``."""

    name = "compare and rebuild"

    def __init__(self, settings: Settings, store: Store, worker: str, clock: Clock = REAL) -> None:
        self._store, self._worker, self._clock = store, worker, clock
        self._adoption_s = 4 * settings.renew_s
        self._comparison = Comparison(settings, store, clock)
        self._lock_at = self._sound_at = self._minute_at = self._hour_at = NEVER
        self._holds_lock = False
        self._changed_since = clock.wall() - DAY_S
        """What has changed on the day before this worker started is looked for soon; all else within the hour."""
        self._hourly_not_before = NEVER
        self._wiped_at: float | None = None
        self._rebuild: Iterator[None] | None = None
        self._minutely: Iterator[None] | None = None
        self._hourly: Iterator[None] | None = None
        self._refusals = 0

    @property
    def hurries(self) -> bool:
        """Whether a rebuild is under way: the next tick should come at once."""
        return self._rebuild is not None

    def note_outage(self) -> None:
        """The server was away: what happened on disk meanwhile is looked for as soon as it is back.

        If it was wiped before, owners could not reach it to adopt their jobs: they get their time anew.
        """
        self._lock_at = self._minute_at = self._hour_at = NEVER
        self._wiped_at = self._rebuild = self._minutely = self._hourly = None

    def tick(self) -> None:
        """Take the next slice of whatever is due. Raises StoreUnavailable, StoreRefused."""
        at = self._clock.monotonic()
        self._look_at_keys(at)
        if self._store.upkeep.booted():
            self._wiped_at = self._rebuild = None
            if self._has_lock(at):
                self._compare(at)
        else:
            self._put_all_back(at)

    def scan(self) -> None:
        """Compare everything now, in one go, whoever else does."""
        for _ in chain(self._comparison.live(), self._comparison.directories(0.0)):
            self._comparison.settle()

    def _look_at_keys(self, now: float) -> None:
        """Whether a key is of the wrong type, now and then, and at once after something was refused."""
        refused = self._store.link.refusals != self._refusals
        if now - self._sound_at < (SOUND_GAP_S if refused else MINUTE_S):
            return
        self._sound_at = now
        wrong = self._store.upkeep.sound()
        self._refusals = self._store.link.refusals
        if wrong:
            log.error("keys of the wrong type were dropped: %s", ", ".join(wrong))
        if wrong or refused:
            self._minute_at, self._minutely = NEVER, None

    def _has_lock(self, now: float) -> bool:
        if now - self._lock_at > LOCK_S:
            self._lock_at = now
            self._holds_lock = self._store.upkeep.lock(self._worker)
        return self._holds_lock

    def _compare(self, now: float) -> None:
        if self._minutely is None and now - self._minute_at > MINUTE_S:
            self._minute_at = now
            since, self._changed_since = self._changed_since, self._clock.wall()
            self._minutely = chain(self._comparison.live(), self._comparison.directories(since))
        if self._hourly is None and now - self._hour_at > HOUR_S:
            self._hour_at = now
            self._hourly = self._comparison.directories(0.0)
        self._comparison.settle()
        until = now + SLICE_S
        if self._minutely is not None:
            self._minutely = self._advance(self._minutely, until)
        if self._hourly is not None and self._minutely is None and now >= self._hourly_not_before:
            self._hourly = self._advance(self._hourly, until=now)
            ended = self._clock.monotonic()
            self._hourly_not_before = ended + (ended - now) / HOURLY_SHARE

    def _put_all_back(self, now: float) -> None:
        """The server was wiped: owners get the time to adopt their jobs, then one keeper restores all others."""
        if self._wiped_at is None:
            self._minutely = self._hourly = None
            self._wiped_at, self._lock_at = now, NEVER  # the lock is lost as well
        if now - self._wiped_at <= self._adoption_s:
            return
        if not self._has_lock(now):
            self._rebuild = None
            return
        if self._rebuild is None:
            self._rebuild, self._changed_since = self._comparison.rebuild(), self._clock.wall()
        self._rebuild = self._advance(self._rebuild, now + REBUILD_SLICE_S)
        if self._rebuild is None:  # every directory was read just now
            self._hour_at = now

    def _advance(self, work: Iterator[None], until: float) -> Iterator[None] | None:
        """Take slices of ``work``, one at least, until then; what is left of it."""
        while next(work, work) is not work:
            if self._clock.monotonic() >= until:
                return work
        return None
