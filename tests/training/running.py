"""Running programs in tests: to the end, with interruptions, in this process; and what has come of it, byte by byte."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keepfit.shared.checkpoints.disk import Disk
from keepfit.shared.checkpoints.manifest import newest_valid
from keepfit.shared.jobs.directory import JobDir
from keepfit.shared.jobs.events import Event
from keepfit.shared.jobs.states import Outcome
from keepfit.worker.training.interfaces import AttemptResult, StopReason, StopSignal
from keepfit.worker.training.model_state import digest
from keepfit.worker.training.program import Program
from keepfit.worker.training.run import Session, attempt_with
from keepfit.worker.training.saving import load
from keepfit.worker.training.train import train
from tests.harness.documents import record_of, result_of


@dataclass
class Recorder:
    """A reporter that remembers."""

    events: list[Event] = field(default_factory=list)

    def report(self, event: Event) -> None:
        """Keep one event."""
        self.events.append(event)

    def of(self, kind: type[Event]) -> list[Any]:
        """The events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]


class StopAfter(StopSignal):
    """Asks to stop the ``times``-th time that training looks."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self._left = times

    def is_set(self) -> bool:
        """Count down."""
        self._left -= 1
        if self._left <= 0:
            self.set(StopReason.WISH)
        return super().is_set()


@dataclass(frozen=True)
class Final:
    """All that a finished job has come to; equal means equal in every bit."""

    step: int
    iterations: int
    """The optimizer's own count of its steps."""
    state: str
    callbacks: str
    history: str
    weights: str


def jobdir_at(path: Path) -> JobDir:
    """A job directory for a program, which needs no job.json."""
    path.mkdir(parents=True, exist_ok=True)
    return JobDir(path, path.parent / "datasets")


def attempt(
    program: Program,
    jobdir: JobDir,
    stop: StopSignal | None = None,
    reporter: Recorder | None = None,
    chunk_steps: int | None = 1,
    disk: Disk | None = None,
) -> AttemptResult:
    """One attempt at ``program``, as a worker makes it."""
    dirs = jobdir.attempt_dirs()
    mine = jobdir.new_attempt(dirs[-1].number + 1 if dirs else 1)
    session = Session(jobdir, mine, reporter or Recorder(), stop or StopSignal(), disk or Disk(), chunk_steps)
    return attempt_with(lambda s: train(program, s), session)


def final_of(jobdir: JobDir) -> Final:
    """What the job in ``jobdir`` has come to: its last checkpoint (before averages and best weights) and its result."""
    last = newest_valid(jobdir)
    result = result_of(jobdir.attempt_dirs()[-1])
    assert last is not None, "no valid checkpoint"
    assert result.outcome is Outcome.FINISHED, result.reason
    loaded = load(last)
    return Final(
        step=last.step,
        iterations=next(int(value) for name, value in loaded.tensors.items() if name.endswith("/iteration")),
        state=digest(list(loaded.tensors.values())),
        callbacks=json.dumps(loaded.trainer["callbacks"]),
        history=json.dumps(loaded.history.rows()),
        weights=result.weights_sha256,
    )


def undisturbed(program: Program, path: Path, chunk_steps: int | None = None) -> Final:
    """Run ``program`` from beginning to end in one attempt."""
    jobdir = jobdir_at(path)
    result = attempt(program, jobdir, chunk_steps=chunk_steps)
    assert result.outcome is Outcome.FINISHED, result.reason
    return final_of(jobdir)


def interrupted(program: Program, path: Path, looks: Sequence[int], chunk_steps: int = 1) -> Final:
    """Run ``program`` with a stop after each of ``looks`` looks at the stop signal; each goes on with a new model."""
    jobdir, stopped_at = jobdir_at(path), None
    for times in looks:
        result = attempt(program, jobdir, StopAfter(times), chunk_steps=chunk_steps)
        assert result.outcome is Outcome.STOPPED, f"it ended before the stop: {result.outcome} {result.reason}"
        assert _resumed_at(jobdir) == stopped_at
        stopped_at = result.step
    result = attempt(program, jobdir, chunk_steps=chunk_steps)
    assert result.outcome is Outcome.FINISHED, result.reason
    assert _resumed_at(jobdir) == stopped_at, "it began anew"
    return final_of(jobdir)


def _resumed_at(jobdir: JobDir) -> int | None:
    """The step that the latest attempt has gone on from."""
    resumed = record_of(jobdir.attempt_dirs()[-1]).resumed
    return resumed.step if resumed else None
