"""Acts as a worker would, on the real store and the real directory, so that pages have something to show.

actor = Actor(settings, store)
run = actor.claim(job_id)            # a lease and an attempt's directory
run.start(step=0)
run.progress(step=40)
run.finish(accuracy=0.95, loss=0.2)
"""

import contextlib
import resource
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from keepfit.shared.durable import write_json
from keepfit.shared.jobs.directory import AttemptDir, open_jobdir
from keepfit.shared.jobs.events import AttemptStarted, EpochEnded, Event, LogLine, Progress, to_row
from keepfit.shared.jobs.states import JobState, Outcome
from keepfit.shared.reasons import read_text
from keepfit.shared.settings import Settings
from keepfit.shared.store import Budget, Claim, LeaseState, Store
from keepfit.shared.store.records import Lost
from tests.harness.documents import write_claim

STEPS_AN_EPOCH = 113
EPOCHS = 10


@contextlib.contextmanager
def no_writes() -> Iterator[None]:
    """A disk that takes nothing, also from root: every write of this process fails, as on a full one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@dataclass
class Run:
    """One attempt in the hands of a test."""

    settings: Settings
    store: Store
    claim: Claim
    directory: AttemptDir
    seen: list[Event] = field(default_factory=list)

    def start(self, step: int = 0, resumed_attempt: int = 0, exact: bool = True, differs: tuple[str, ...] = ()) -> None:
        """Say that the attempt begins to compute, at ``step``."""
        write_json(self.directory.record, {"host": "lab-1", "pid": 4242, "started_ms": 1_700_000_000_000})
        self.report(AttemptStarted(self.claim.attempt, "lab-1", 4242, step, 0, 0, resumed_attempt, exact, differs))

    def progress(self, step: int, loss: float = 0.5, accuracy: float = 0.8) -> None:
        """Say how far it is."""
        epoch, batch = divmod(step, STEPS_AN_EPOCH)
        logs = {"loss": loss, "accuracy": accuracy}
        steps = STEPS_AN_EPOCH * EPOCHS
        self.report(Progress(step, steps, epoch, EPOCHS, batch, STEPS_AN_EPOCH, logs, 900.0, 30.0))

    def end_epoch(self, epoch: int, loss: float = 0.4, val_loss: float = 0.45) -> None:
        """Say that the epoch (from 0) is done."""
        logs = {"loss": loss, "accuracy": 0.9, "val_loss": val_loss, "val_accuracy": 0.88}
        self.report(EpochEnded(epoch, (epoch + 1) * STEPS_AN_EPOCH, logs, 0.4))

    def log(self, text: str) -> None:
        """Write a line."""
        self.report(LogLine(text))

    def report(self, event: Event) -> None:
        """Tell the disk and the store."""
        if isinstance(event, LogLine):
            self._append(self.directory.log, f"2026-01-02T03:04:05.678+00:00 {event.text}\n")
        else:
            self._append(self.directory.metrics, to_row(event, 1))
        assert self.store.leases.report(self.claim, [event]) is LeaseState.HELD

    def finish(self, accuracy: float = 0.95, loss: float = 0.2) -> JobState | Lost:
        """Succeed, with exports."""
        self.directory.model.write_bytes(b"a model")
        self.directory.weights.write_bytes(b"weights")
        metrics = {"accuracy": accuracy, "loss": loss}
        result = {"outcome": "finished", "reason": "", "metrics": metrics, "weights_sha256": "ab" * 32, "step": 1130}
        return self.end(Outcome.FINISHED, result=result)

    def end(self, outcome: Outcome, reason: str = "", result: dict[str, Any] | None = None) -> JobState | Lost:
        """End in another way."""
        if result is not None:
            write_json(self.directory.result, result)
        return self.store.leases.finish(
            self.claim, outcome, reason=read_text(reason), budget=Budget(5, 0.0), result=result
        )

    def _append(self, path: Any, text: str) -> None:
        with path.open("a") as file:
            file.write(text)


@dataclass(frozen=True)
class Actor:
    """Claims jobs."""

    settings: Settings
    store: Store

    def claim(self, job_id: str) -> Run:
        """Run the next attempt of ``job_id``, which must be ready."""
        claim = self.store.leases.claim("lab-1:1:1:1:1:1", hint=job_id, lease_s=3.0)
        assert claim is not None
        assert claim.job_id == job_id
        jobdir = open_jobdir(self.settings.jobs_dir, job_id)
        directory = jobdir.new_attempt(claim.attempt)
        write_claim(directory, claim.owner, jobdir.status().wish_number, claim.previous_end)
        return Run(self.settings, self.store, claim, directory)
