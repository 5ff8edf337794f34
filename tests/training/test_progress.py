"""What people are told of an attempt's progress: seldom while it trains, and always where it has come to in the end."""

from pathlib import Path

from keepfit.shared.jobs.events import CheckpointSaved, Progress
from tests.training import programs
from tests.training.running import Recorder, StopAfter, attempt, jobdir_at


def test_the_last_progress_of_a_finished_attempt_is_its_last_step(tmp_path: Path) -> None:
    """However fast its last epochs were."""
    program, reporter = programs.compose("mlp"), Recorder()

    result = attempt(program, jobdir_at(tmp_path / "job"), reporter=reporter)

    last = reporter.of(Progress)[-1]
    assert (last.step, last.epoch, last.batch) == (result.step, programs.EPOCHS - 1, program.batches)


def test_the_last_progress_of_a_stopped_attempt_is_its_checkpoint(tmp_path: Path) -> None:
    """A paused job shows where it has stopped, not where it was a moment before."""
    program, reporter = programs.compose("mlp"), Recorder()

    attempt(program, jobdir_at(tmp_path / "job"), StopAfter(4), reporter=reporter)

    assert reporter.of(Progress)[-1].step == reporter.of(CheckpointSaved)[-1].step > 0
