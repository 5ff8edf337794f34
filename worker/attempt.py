"""One attempt of one job: claim, directory, heartbeat, training, end.

Runs in a child of the pool, a fresh fork. Knows how the lease, the directory and the training fit
together; leaves training to ``worker.training`` and the state of the job to the store's scripts.
"""

import contextlib
import logging
import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from keepfit.shared.actors import How, local, note
from keepfit.shared.errors import DamagedFile, KeepfitError, NewerVersion, StorageFull, StoreRefused, StoreUnavailable
from keepfit.shared.host import Owner
from keepfit.shared.jobs.directory import AttemptDir, JobDir, open_jobdir
from keepfit.shared.jobs.documents import ClaimFile
from keepfit.shared.jobs.mending import put_back
from keepfit.shared.jobs.states import Cause, JobState, Outcome
from keepfit.shared.jobs.truth import state_on_disk
from keepfit.shared.reasons import Code, Reason
from keepfit.shared.settings import Settings
from keepfit.shared.spec import JobSpec, kind_named
from keepfit.shared.store import Budget, Claim, LeaseState, Store, open_store
from keepfit.worker.drain import draining
from keepfit.worker.heartbeat import Heartbeat
from keepfit.worker.reporting import StreamReporter
from keepfit.worker.training.interfaces import AttemptResult, StopReason, StopSignal

NICENESS = 5
"""The pages and the keeper come before training when cores are short."""
SHORT_NICENESS = 2
"""A second of work that somebody waits for comes before hours of it."""
OOM_SCORE = "500"
"""When memory runs out the kernel should choose the training process, not the worker."""
STORE_TIMEOUT_S = 0.5
RETRY_S = 0.3
REFUSED_S = 30.0
"""For how long an end may be refused; then a keeper settles it, as it does when the process dies."""

log = logging.getLogger(__name__)


def run_one(settings: Settings, hint: str) -> None:
    """Claim a job and run one attempt of it; does nothing when no job is ready or the server is away."""
    if draining():
        return
    store = open_store(settings.broker_url, timeout_s=STORE_TIMEOUT_S)
    try:
        claim = store.leases.claim(str(Owner.myself()), hint=hint, lease_s=settings.lease_s, slots=settings.slots)
        if claim is not None:
            _Attempt(settings, store, claim).run()
    except StoreUnavailable as exc:
        log.warning("no job was claimed: %s", exc)  # a keeper sends the next kick when the server is back
    except StoreRefused:  # our fault, not the job's: it is left to the keepers
        log.exception("the attempt could not go on")
    finally:
        store.close()


class _Attempt:
    """The attempt that holds ``claim``."""

    def __init__(self, settings: Settings, store: Store, claim: Claim) -> None:
        self._settings, self._store, self._claim = settings, store, claim
        self._stop = StopSignal()
        self._budget = Budget(settings.restart_budget, settings.backoff_s)

    def run(self) -> None:
        """From the claim to the end of the attempt."""
        try:
            jobdir = open_jobdir(self._settings.jobs_dir, self._claim.job_id)
            spec = jobdir.spec
            if self._ended_before(jobdir):
                return
            attempt = self._make_directory(jobdir)
        except (StoreUnavailable, StoreRefused):
            raise  # no failure of the job: a keeper finds that nobody runs it
        except NewerVersion as exc:
            self._leave_to_newer(exc)
            return
        except DamagedFile as exc:  # no failure either: a person can restore the file
            self._finish(AttemptResult(Outcome.STOPPED, exc.reason), pause_with_reason=True)
            return
        except KeepfitError as exc:
            self._finish(AttemptResult(Outcome.FAILED, exc.reason))
            return
        except OSError as exc:
            self._finish(
                AttemptResult(Outcome.STOPPED, _no_writes(self._settings.data_dir, exc)), pause_with_reason=True
            )
            return
        if attempt is not None:
            self._train(spec, jobdir, attempt)

    def _leave_to_newer(self, why: NewerVersion) -> None:
        """Leave the job to a newer worker: its record, made anew, says what it needs."""
        self._finish(AttemptResult(Outcome.STOPPED, why.reason))
        if self._store.upkeep.forget(self._claim.job_id):
            put_back(open_jobdir(self._settings.jobs_dir, self._claim.job_id), self._store)

    def _ended_before(self, jobdir: JobDir) -> bool:
        """Whether the directory holds the job's end already, which the server had lost; reports it."""
        found = state_on_disk(jobdir)
        outcomes = {JobState.SUCCEEDED: Outcome.FINISHED, JobState.FAILED: Outcome.FAILED}
        if found.state not in outcomes or not found.result:
            return False
        outcome = outcomes[found.state]
        state = self._store.leases.finish(
            self._claim, outcome, reason=found.reason, budget=self._budget, result=found.result
        )
        if state is not LeaseState.LOST:
            self._audit(f"end:{state.value}")
        return True

    def _make_directory(self, jobdir: JobDir) -> AttemptDir | None:
        """The attempt's own directory; where the disk is ahead of the server, under a higher number."""
        while True:
            status = jobdir.status()
            try:
                attempt = jobdir.new_attempt(self._claim.attempt)
            except FileExistsError:
                raised = self._store.leases.bump(self._claim, floor=status.attempt)
                if raised is LeaseState.LOST:
                    return None
                self._claim = raised
            else:
                self._write_claim(attempt, status.wish_number)
                self._audit("begin")
                return attempt

    def _train(self, spec: JobSpec, jobdir: JobDir, attempt: AttemptDir) -> None:
        _yield_to_others(SHORT_NICENESS if kind_named(spec.kind).short else NICENESS)
        leases, s = self._store.leases, self._settings

        def give_back() -> None:
            self._give_back(attempt)

        with Heartbeat(leases, self._claim, jobdir, self._stop, draining, give_back, s.lease_s, s.renew_s) as heartbeat:
            pause_with_reason = False
            with StreamReporter(leases, self._claim, lambda: heartbeat.lost) as reporter:
                try:
                    result = self._compute(spec, jobdir, attempt, reporter)
                except StorageFull as exc:
                    result, pause_with_reason = AttemptResult(Outcome.STOPPED, exc.reason), True
            if result.outcome is Outcome.FAILED:
                # A wish made before the job failed has come too late; only a later one resumes it.
                self._write_claim(attempt, jobdir.status().wish_number)
            if not heartbeat.lost:
                self._finish(result, pause_with_reason=pause_with_reason, heartbeat=heartbeat)
            if heartbeat.lost:
                self._audit("lost")

    def _compute(self, spec: JobSpec, jobdir: JobDir, attempt: AttemptDir, reporter: StreamReporter) -> AttemptResult:
        from keepfit.worker.kinds import run
        from keepfit.worker.training import bits, device

        device.use_cache(self._settings.cache_dir)
        bits.configure(self._settings.threads_per_slot)
        return run(spec, jobdir, attempt, reporter, self._stop)

    def _finish(
        self, result: AttemptResult, *, pause_with_reason: bool = False, heartbeat: Heartbeat | None = None
    ) -> None:
        """Report the end until the server has it, the lease is lost, or the worker must go. Raises StoreRefused."""
        reason = result.reason
        if result.outcome is Outcome.STOPPED and self._stop.reason is StopReason.DRAIN and not pause_with_reason:
            reason = Reason.of(Code.WORKER_STOPPED)
        outcome = result.outcome
        if heartbeat is not None and heartbeat.fault and outcome is Outcome.STOPPED and not pause_with_reason:
            outcome, reason = Outcome.INTERRUPTED, heartbeat.fault  # so that it is not tried again at once, for ever
        details: dict[str, Any] | None = None
        if result.outcome in (Outcome.FINISHED, Outcome.FAILED):
            details = asdict(result)
        until = time.monotonic() + REFUSED_S
        while True:
            try:
                state = self._store.leases.finish(
                    self._claim,
                    outcome,
                    reason=reason,
                    budget=self._budget,
                    result=details,
                    pause_with_reason=pause_with_reason,
                    cause=Cause.SERVER,
                )
                if state is not LeaseState.LOST:
                    self._audit(f"end:{state.value}")
                    return
                if heartbeat is None or heartbeat.lost or heartbeat.fault:
                    return
            except StoreRefused:
                if time.monotonic() > until:
                    raise
            except StoreUnavailable:
                if draining():
                    return  # the end is on disk; a keeper finds it there
            time.sleep(RETRY_S)  # away, or wiped: the heartbeat adopts the job, then its end counts

    def _give_back(self, attempt: AttemptDir) -> None:
        """The worker is about to be killed with this attempt in it: say why, while somebody can."""
        begun = attempt.record.exists()  # before that it has computed nothing that a stop could lose
        outcome = Outcome.INTERRUPTED if begun else Outcome.STOPPED
        reason = Reason.of(Code.WORKER_STOPPED_EARLY if begun else Code.WORKER_STOPPED)
        state = self._store.leases.finish(self._claim, outcome, reason=reason, budget=self._budget, cause=Cause.WORKER)
        if state is not LeaseState.LOST:
            self._audit(f"end:{state.value}")

    def _write_claim(self, attempt: AttemptDir, wish_number: int) -> None:
        """Note who runs the attempt, which wish it obeys and why the one before it ended. Raises OSError."""
        claim = ClaimFile(owner=self._claim.owner, wish_number=wish_number, previous_end=self._claim.previous_end)
        claim.write(attempt.claim)

    def _audit(self, event: str) -> None:
        claim = self._claim
        note(
            self._settings.data_dir, local(How.WORKER), event,
            job=claim.job_id, attempt=claim.attempt, owner=claim.owner,
        )  # fmt: skip


def _no_writes(data_dir: Path, exc: OSError) -> Reason:
    return Reason.of(Code.NO_WRITES, directory=str(data_dir), error=str(exc.strerror))


def _yield_to_others(niceness: int) -> None:
    with contextlib.suppress(OSError):
        os.nice(niceness)
    score = Path("/proc/self/oom_score_adj")
    if score.exists():
        with contextlib.suppress(OSError):  # not ours to raise in some containers
            score.write_text(OOM_SCORE)
