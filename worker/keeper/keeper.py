"""The keeper: a thread of each worker's main process that finds attempts which nobody runs any more.

It re-queues them, sends kicks while jobs are ready, kills attempts that do not obey, answers drills,
and rebuilds the store from the job directories after a wipe. It has a server connection of its own and
shares no lock with the pool's children. Every worker has one; what two of them do is done once, because
each step is one script.

A tick is a row of chores. An outage ends the tick, since each of them needs the server; any other error ends
only the chore that met it, and is logged: a damaged key or a fault of ours must not silence the beat.
"""

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from celery.exceptions import CeleryError
from kombu.exceptions import KombuError, OperationalError

from keepfit.shared.actors import How, local, note
from keepfit.shared.errors import KeepfitError, StoreUnavailable
from keepfit.shared.host import Owner, Process, machine
from keepfit.shared.jobs.directory import open_jobdir
from keepfit.shared.jobs.documents import ResultFile
from keepfit.shared.jobs.mending import note_settled
from keepfit.shared.jobs.states import Cause, JobState, Outcome, Wish
from keepfit.shared.settings import Settings
from keepfit.shared.store import Budget, Claim, LeaseState, Running, Store, open_store
from keepfit.worker.consumer import Deafness
from keepfit.worker.drain import draining
from keepfit.worker.keeper.bury import Burial
from keepfit.worker.keeper.deaths import DEATHS, OUT_OF_MEMORY
from keepfit.worker.keeper.rebuild import Rebuilder
from keepfit.worker.keeper.sweep import Sweeper
from keepfit.worker.lanes import LANES

BEAT_S = 1.0
LAST_WORDS_S = 0.5
"""How long to wait for Celery to say how a child of ours died."""
LOG_GAP_S = 10.0
DEAF_GRACES = 1.5
"""In times that an attempt may take to stop: a process that has given its lease back holds its slot until it ends."""
OUTAGES = (StoreUnavailable, OperationalError, KombuError, CeleryError)
T = TypeVar("T")

log = logging.getLogger(__name__)


class Keeper:
    """One worker's keeper. ``publish`` sends one kick; ``consumes``: this process has a consumer to be watched."""

    def __init__(self, settings: Settings, name: str, publish: Callable[[], None], consumes: bool = True) -> None:
        self._settings, self._name, self._publish = settings, name, publish
        self._store: Store = open_store(settings.broker_url, timeout_s=1.0)
        self._budget = Budget(settings.restart_budget, settings.backoff_s)
        self._main = Process.of(os.getpid())
        self._rebuilder = Rebuilder(settings, self._store, name)
        self._burial = Burial(settings.jobs_dir, self._store)
        self._sweeper = Sweeper(settings.jobs_dir, settings.cache_dir, settings.sweep_s)
        grace_s = settings.stop_grace_s
        self._deafness = Deafness(DEAF_GRACES * grace_s, grace_s, leave=self._leave) if consumes else None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="keeper", daemon=True)
        self._reap_from: float | None = None
        self._was_away = False
        self._ticked_at = time.monotonic()
        self._beat_at = 0.0
        self._busy = 0
        self._logged: dict[str, float] = {}
        self._dead_since: dict[str, float] = {}
        self._strays: dict[Process, float] = {}

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and say goodbye to the store."""
        self._ended.set()
        self._thread.join(timeout=2)
        self._leave()
        self._store.close()

    def _leave(self) -> None:
        try:
            self._store.workers.leave(self._name)
        except KeepfitError as exc:
            log.info("leaving without a word: %s", exc)

    def _keep(self) -> None:
        while not self._ended.is_set():
            try:
                self._tick()
            except OUTAGES as exc:
                self._reap_from, self._was_away = None, True
                self._rebuilder.note_outage()
                if self._deafness is not None:
                    self._deafness.forget()
                if self._may_log("outage"):
                    log.warning("the queue server is away: %s", exc)
            self._ended.wait(0.01 if self._rebuilder.hurries else self._settings.keeper_tick_s)

    def _tick(self) -> None:
        """One round of chores. The beat comes first: whatever takes long or fails, this worker is seen to live."""
        DEATHS.look()
        self._chore("beat", self._beat)
        self._chore("rebuild", self._rebuilder.tick)
        running = self._chore("ask what runs", self._store.leases.running)
        if running is not None:
            self._chore("look after what runs", lambda: self._look_around(running))
            self._chore("reap", lambda: self._reap(running))
            self._chore("finish deletions", self._burial.tick)
            self._chore("sweep", lambda: self._sweeper.tick({r.claim.job_id for r in running}))
        if not draining():
            self._chore("kick", self._kick)

    def _chore(self, name: str, do: Callable[[], T]) -> T | None:
        """What ``do`` answers; None if it failed. Raises only what means an outage."""
        try:
            return do()
        except OUTAGES:
            raise
        except Exception:
            if self._may_log(name):
                log.exception("the keeper could not %s, and goes on", name)
        return None

    def _may_log(self, what: str) -> bool:
        now = time.monotonic()
        if now - self._logged.get(what, -LOG_GAP_S) < LOG_GAP_S:
            return False
        self._logged[what] = now
        return True

    def _look_around(self, running: list[Running]) -> None:
        mine = [r for r in running if self._is_local(r.claim)]
        self._busy = len([r for r in mine if Owner.parse(r.claim.owner).main == self._main])
        self._answer_drills(mine)
        for attempt in mine:
            self._look_after(attempt)
        self._end_strays(mine)

    def _kick(self) -> None:
        slots = self._settings.slots
        LANES.short_waits = self._busy >= slots and self._store.upkeep.ready(only_short=True)
        for _ in range(self._store.upkeep.top_up(gap_s=self._settings.kick_gap_s, most=slots)):
            self._publish()

    def _is_local(self, claim: Claim) -> bool:
        return claim.owner.startswith(machine() + ":")

    def _beat(self) -> None:
        takes = self._deafness is None or self._deafness.look(self._busy, self._settings.slots + LANES.short_waits)
        if time.monotonic() - self._beat_at >= BEAT_S:
            self._beat_at = time.monotonic()
            host = machine().split("/")[0]
            self._store.workers.beat(
                self._name, host=host, pid=self._main.pid, slots=self._settings.slots, busy=self._busy, takes=takes
            )

    def _answer_drills(self, mine: list[Running]) -> None:
        for attempt in mine:
            if Owner.parse(attempt.claim.owner).main == self._main and self._store.upkeep.drilled(attempt.claim.owner):
                log.warning("recovery drill: killing this worker")
                os.kill(os.getpid(), signal.SIGKILL)

    def _look_after(self, attempt: Running) -> None:
        """Re-queue an attempt of this machine whose process is gone; kill one that does not obey."""
        owner = Owner.parse(attempt.claim.owner)
        if owner.child.alive():
            overdue_ms = self._store.now_ms() - attempt.wish_ms if attempt.wish is not Wish.RUN else 0
            if overdue_ms > self._settings.stop_grace_s * 1000 and owner.main == self._main:
                log.warning("the attempt did not obey in time, killing it", extra={"job_id": attempt.claim.job_id})
                os.kill(owner.child.pid, signal.SIGKILL)
            return
        words = self._last_words(owner)
        if words:
            reason, cause = words
            self._dead_since.pop(owner.nonce, None)
            if self._report_end(attempt.claim):
                return
            state = self._store.leases.finish(
                attempt.claim, Outcome.INTERRUPTED, reason=reason, budget=self._budget, by=How.KEEPER, cause=cause
            )
            if state is not LeaseState.LOST:
                self._audit(attempt.claim, f"end:{state.value}")
                self._keep_stop(attempt.claim.job_id, state)

    def _report_end(self, claim: Claim) -> bool:
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
            claim, result.outcome, reason=result.reason, budget=self._budget, by=How.KEEPER, result=result.model_dump()
        )
        if state is not LeaseState.LOST:
            self._audit(claim, f"end:{state.value}")
        return state is not LeaseState.LOST

    def _last_words(self, owner: Owner) -> tuple[str, Cause] | None:
        """Why the process of ``owner`` is gone; None while that may still be learned."""
        if not owner.main.alive():
            return "the worker was killed", Cause.WORKER
        since = self._dead_since.setdefault(owner.nonce, time.monotonic())
        if owner.main != self._main:  # its own keeper knows more
            long_enough = time.monotonic() - since > 3 * LAST_WORDS_S
            return ("the training process was killed", Cause.PROCESS) if long_enough else None
        words = DEATHS.take(owner.child.pid)
        if words is None and time.monotonic() - since > LAST_WORDS_S:
            words = "the training process ended unexpectedly"
        return (words, Cause.MEMORY if words == OUT_OF_MEMORY else Cause.PROCESS) if words else None

    def _end_strays(self, mine: list[Running]) -> None:
        """Kill a child of ours that has lost its lease and does not end by itself: it is frozen."""
        held = {owner.child for r in mine if (owner := Owner.parse(r.claim.owner)).main == self._main}
        for child in held:
            self._strays.setdefault(child, 0.0)
        for child, since in list(self._strays.items()):
            if child in held:
                self._strays[child] = 0.0
            elif not child.alive():
                del self._strays[child]
            elif not since:
                self._strays[child] = time.monotonic()
            elif time.monotonic() - since > self._settings.stop_grace_s:
                log.warning("killing the frozen process %d, which has lost its lease", child.pid)
                os.kill(child.pid, signal.SIGKILL)
                del self._strays[child]

    def _reap(self, running: list[Running]) -> None:
        """Settle lapsed leases; not just after the server, the connection or we ourselves came back."""
        now = time.monotonic()
        if now - self._ticked_at > self._settings.lease_s:  # we were frozen, and so perhaps were the owners
            self._reap_from, self._was_away = None, True
        self._ticked_at = now
        if self._reap_from is None:
            self._reap_from = now + self._calm_s()
            self._was_away = False
        if now < self._reap_from:
            return
        now_ms = self._store.now_ms() if running else 0
        lapsed = [r for r in running if r.lease_ms < now_ms]
        for attempt in lapsed:
            self._report_end(attempt.claim)
        claims = {r.claim.job_id: r.claim for r in running}
        reason = f"no word from its worker for {self._settings.lease_s:g} s"
        for job_id, state in self._store.leases.reap(self._budget, reason=reason, silent=self._silent(lapsed)).items():
            log.warning("a lease has lapsed", extra={"job_id": job_id, "state": state.value})
            if job_id in claims:
                self._audit(claims[job_id], f"lapsed:{state.value}")
            self._keep_stop(job_id, state)

    def _silent(self, lapsed: list[Running]) -> list[str]:
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
                if beaten_ms > attempt.lease_ms - self._settings.lease_s * 500:
                    found.append(attempt.claim.job_id)
        return found

    def _calm_s(self) -> float:
        """How long owners get to renew, or to adopt, before anything is reaped."""
        lease_s = self._settings.lease_s
        if self._store.upkeep.uptime_s() <= 4 * lease_s:
            return 2 * lease_s
        return lease_s if self._was_away else 0.0

    def _audit(self, claim: Claim, event: str) -> None:
        note(
            self._settings.data_dir, local(How.KEEPER), event,
            job=claim.job_id, attempt=claim.attempt, owner=claim.owner,
        )  # fmt: skip

    def _keep_stop(self, job_id: str, state: JobState) -> None:
        """Put on disk that a silent attempt was settled so: it may still write a result, which comes too late."""
        if state is JobState.QUEUED:
            return
        try:
            note_settled(self._settings.jobs_dir, job_id, state, self._store)
        except (KeepfitError, OSError) as exc:
            log.warning("the end of the job is only in the queue server: %s", exc, extra={"job_id": job_id})
