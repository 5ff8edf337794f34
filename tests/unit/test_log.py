"""The log of an attempt: every epoch is a line, checkpoints that went well are one a minute."""

from pathlib import Path

from keepfit.shared.jobs.directory import JobDir
from keepfit.shared.jobs.events import CheckpointFailed, CheckpointSaved, EpochEnded
from keepfit.worker.training.account import DiskReporter
from keepfit.worker.training.interfaces import StopSignal


def test_checkpoints_that_went_well_are_a_line_a_minute(tmp_path: Path) -> None:
    """Or they would be half of a long job's log; each is a row of the metrics, each that failed is a line."""
    attempt = JobDir(tmp_path, tmp_path / "datasets").new_attempt(1)
    now = 0.0
    reporter = DiskReporter(attempt, StopSignal(), lambda: now)

    for second in range(121):
        now = float(second)
        reporter.report(EpochEnded(second, second, {"loss": 0.5}, 1.0))
        reporter.report(CheckpointSaved(second, second, 0, 1_000_000, 0.01))
    reporter.report(CheckpointFailed(121, "No space left on device", 1))

    lines = attempt.log.read_text().splitlines()
    assert sum("checkpoint at step" in line for line in lines) == 3 + 1
    assert sum("epoch " in line for line in lines) == 121
    assert len(attempt.metrics.read_text().splitlines()) == 121 * 2 + 1
