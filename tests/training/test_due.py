"""When a checkpoint is due: by time, by steps, at the end of an epoch, and not too often."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from keepfit.shared.checkpoints.disk import Disk
from keepfit.shared.jobs.events import CheckpointSaved
from keepfit.worker.training.interfaces import StopSignal
from keepfit.worker.training.program import CheckpointPolicy
from keepfit.worker.training.saving import MIN_SPACING_S, Destination, Saver
from tests.training import programs
from tests.training.running import Recorder, attempt, jobdir_at
from tests.training.test_writing import contents


class Clock:
    """Stands still until it is moved."""

    now = 1000.0

    def __call__(self) -> float:
        """The time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock of this test."""
    return Clock()


def saver_of(folder: Path, policy: CheckpointPolicy, clock: Clock) -> Saver:
    """A saver that has just saved."""
    jobdir = jobdir_at(folder)
    return Saver(Destination(jobdir, jobdir.new_attempt(1), Disk()), policy, Recorder(), StopSignal(), clock)


@pytest.fixture
def by_default(tmp_path: Path, clock: Clock) -> Iterator[Saver]:
    """With the default policy."""
    saver = saver_of(tmp_path / "job", CheckpointPolicy(), clock)
    yield saver
    saver.close()


def test_ten_seconds_after_the_last_one(by_default: Saver, clock: Clock) -> None:
    """Not earlier."""
    clock.now += 9.9
    early = by_default.due(7, epoch_end=False)
    clock.now += 0.1

    assert not early
    assert by_default.due(7, epoch_end=False)


def test_at_the_end_of_an_epoch_unless_it_was_very_short(by_default: Saver, clock: Clock) -> None:
    """A job whose epochs take no time would do nothing else."""
    clock.now += MIN_SPACING_S / 2
    early = by_default.due(7, epoch_end=True)
    clock.now += MIN_SPACING_S / 2

    assert not early
    assert by_default.due(7, epoch_end=True)
    assert not by_default.due(7, epoch_end=False)


def test_every_so_many_steps_whatever_the_time(tmp_path: Path, clock: Clock) -> None:
    """And chunks end there."""
    saver = saver_of(tmp_path / "job", CheckpointPolicy(every_steps=5), clock)

    assert [step for step in range(1, 12) if saver.due(step, epoch_end=False)] == [5, 10]
    assert [saver.steps_until_due(step) for step in (3, 4, 5)] == [2, 1, 5]
    saver.close()


def test_what_was_given_to_be_saved_is_saved_however_slow_the_disk(tmp_path: Path, clock: Clock) -> None:
    """Every N steps means every one: training waits rather than replace the one that waits."""
    jobdir, recorder, may_write = jobdir_at(tmp_path / "job"), Recorder(), threading.Event()

    class SlowDisk(Disk):
        def make_dir(self, path: Path) -> None:
            may_write.wait()
            super().make_dir(path)

    to = Destination(jobdir, jobdir.new_attempt(1), SlowDisk())
    saver = Saver(to, CheckpointPolicy(every_steps=1), recorder, StopSignal(), clock)
    steps = range(6)

    def train() -> None:
        for step in steps:
            saver.save(contents(step))

    training = threading.Thread(target=train, name="training")
    training.start()
    training.join(0.2)
    waits = training.is_alive()
    may_write.set()
    training.join()
    saver.close()

    assert waits
    assert [event.step for event in recorder.of(CheckpointSaved)] == list(steps)


def test_the_very_beginning_is_saved(tmp_path: Path) -> None:
    """So that no attempt after the first one begins without a checkpoint."""
    jobdir, recorder = jobdir_at(tmp_path / "job"), Recorder()
    policy = CheckpointPolicy(interval_s=1000, each_epoch=False)

    attempt(programs.compose("mlp", policy=policy), jobdir, reporter=recorder)

    assert recorder.of(CheckpointSaved)[0].step == 0
