"""What a job of each kind does, and the one place that knows them all.

    result = run(spec, jobdir, attempt, reporter, stop)

A kind is a module with ``run(spec, session)`` here, and a row in ``shared.spec.KINDS``, which says what the other
side must know of it. How an attempt ends and is committed is the same for all (``worker.training.run``).
"""

from collections.abc import Callable, Mapping
from typing import Any

from keepfit.shared.jobs.directory import AttemptDir, JobDir
from keepfit.shared.spec import JobSpec
from keepfit.worker.kinds import evaluate, train
from keepfit.worker.training.account import DiskReporter, Tee
from keepfit.worker.training.interfaces import AttemptResult, Reporter, StopSignal
from keepfit.worker.training.run import Session, attempt_with

RUNS: Mapping[str, Callable[[Any, Session], AttemptResult]] = {"train": train.run, "evaluate": evaluate.run}
"""How a job of each kind is run. Each takes the model of its own spec."""


def run(spec: JobSpec, jobdir: JobDir, attempt: AttemptDir, reporter: Reporter, stop: StopSignal) -> AttemptResult:
    """Execute one attempt of a job in its directory, which the caller has made.

    Raises:
        StorageFull: not even the result could be written; the job can go on once there is space.
    """
    session = Session(jobdir, attempt, Tee(reporter, DiskReporter(attempt, stop)), stop)
    return attempt_with(lambda session: RUNS[spec.kind](spec, session), session)
