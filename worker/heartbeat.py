"""The heartbeat of one attempt: renews its lease, and turns wishes, drains and a lost lease into a stop.

A thread of the training process. While the server is away it does nothing but try again: training
goes on, since an attempt writes only in its own directory and its end counts only if the lease holds.
Whatever else goes wrong in it stops the attempt, which writes a checkpoint and gives its job back.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from keepfit.shared.errors import StoreRefused, StoreUnavailable
from keepfit.shared.jobs.directory import JobDir
from keepfit.shared.jobs.states import Wish
from keepfit.shared.reasons import NONE, Code, Reason
from keepfit.shared.store import Claim, Leases, LeaseState, WishChannel
from keepfit.worker.training.interfaces import StopReason, StopSignal

DRAIN_LOOK_S = 0.1
"""How often the drain flag is looked at."""
REFUSED_S = 30.0
"""For how long a server may refuse heartbeats: a keeper mends damaged keys within seconds, a fault of ours stays."""
DRAIN_PATIENCE_S = 3.0
"""How long an attempt may take to stop when its worker does; a second later the worker is killed with it."""

log = logging.getLogger(__name__)


class Heartbeat:
    """Beats while it is entered."""

    def __init__(
        self,
        leases: Leases,
        claim: Claim,
        jobdir: JobDir,
        stop: StopSignal,
        draining: Callable[[], bool],
        give_back: Callable[[], None],
        lease_s: float,
        renew_s: float,
    ) -> None:
        self._leases, self._claim, self._jobdir, self._stop = leases, claim, jobdir, stop
        self._draining, self._lease_s, self._renew_s = draining, lease_s, renew_s
        self._give_back, self._drained_at = give_back, 0.0
        self._ended = threading.Event()
        self._lost = threading.Event()
        self._away = False
        self._well_at = time.monotonic()
        self.fault = NONE
        """What stopped the heartbeat; none while it is well. It goes on trying, so as to keep the lease."""
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join(timeout=5)

    @property
    def lost(self) -> bool:
        """Whether another attempt has taken over, or the job has ended."""
        return self._lost.is_set()

    def _beat(self) -> None:
        channel = self._leases.listen(self._claim.job_id)
        while not self._ended.is_set() and not self.lost:
            try:
                self._renew()
                self._watch(channel)
                self._away, self._well_at = False, time.monotonic()
            except (StoreUnavailable, OSError) as exc:  # or the disk, which adopting reads
                if not self._away:
                    log.warning("no heartbeat, training goes on: %s", exc, extra={"job_id": self._claim.job_id})
                self._away = True
                self._pause(self._renew_s)
            except Exception as exc:  # noqa: BLE001 - a thread that ends unheard leaves a training without its lease
                if not isinstance(exc, StoreRefused) or time.monotonic() - self._well_at > REFUSED_S:
                    self._give_up(exc)
                self._pause(self._renew_s)
        channel.close()

    def _give_up(self, exc: Exception) -> None:
        if not self.fault:
            log.error("no heartbeat, stopping the attempt", exc_info=exc, extra={"job_id": self._claim.job_id})
            self.fault = Reason.of(Code.HEARTBEAT_FAILED, error=str(exc))
            self._stop.set(StopReason.DRAIN)

    def _renew(self) -> None:
        renewal = self._leases.renew(self._claim, lease_s=self._lease_s)
        if renewal.lease is not LeaseState.HELD:
            # Wiped, or the server lost its last writes, or our lease lapsed but nobody has begun yet.
            lease = self._leases.adopt(self._claim, self._jobdir, lease_s=self._lease_s)
            if lease is LeaseState.LOST:
                log.warning("the lease is lost, stopping", extra={"job_id": self._claim.job_id})
                self._lost.set()
                self._stop.set(StopReason.LOST)
                return
            renewal = self._leases.renew(self._claim, lease_s=self._lease_s)
        if renewal.wish is not Wish.RUN:
            self._stop.set(StopReason.WISH)

    def _watch(self, channel: WishChannel) -> None:
        """Wait for the next beat; return earlier when a wish is heard."""
        due = time.monotonic() + self._renew_s
        while not self._ended.is_set() and (left := due - time.monotonic()) > 0:
            self._look_for_drain()
            if channel.heard(min(left, DRAIN_LOOK_S)):
                return

    def _pause(self, seconds: float) -> None:
        due = time.monotonic() + seconds
        while not self._ended.wait(DRAIN_LOOK_S) and time.monotonic() < due:
            self._look_for_drain()

    def _look_for_drain(self) -> None:
        if not self._draining():
            return
        self._drained_at = self._drained_at or time.monotonic()
        self._stop.set(StopReason.DRAIN)
        if time.monotonic() - self._drained_at > DRAIN_PATIENCE_S and not self.lost:
            # It starts, or computes a long step: killed with its worker it could not say why it ended.
            with contextlib.suppress(StoreUnavailable, StoreRefused):
                self._give_back()
                self._lost.set()
                self._stop.set(StopReason.LOST)
