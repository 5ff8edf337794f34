"""The thread that saves: what it writes, what it gives up, and that it outlives whatever the disk does."""

import dataclasses
import shutil
import threading
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from keepfit.shared.checkpoints.disk import Disk
from keepfit.shared.checkpoints.manifest import (
    NAME,
    STATE,
    TRAINER,
    FileRecord,
    Manifest,
    checkpoints_of,
    directory_name,
    encode,
)
from keepfit.shared.durable import to_json
from keepfit.shared.jobs.directory import JobDir
from keepfit.shared.jobs.events import CheckpointFailed, CheckpointRejected, CheckpointSaved
from keepfit.worker.training.interfaces import StopReason, StopSignal
from keepfit.worker.training.model_state import Tensor, blocks
from keepfit.worker.training.program import CheckpointPolicy
from keepfit.worker.training.saving import Destination, Saver, valid, write
from tests.training.running import Recorder, jobdir_at
from tests.training.test_writing import contents


@pytest.fixture
def jobdir(tmp_path: Path) -> JobDir:
    """A job without any attempt."""
    return jobdir_at(tmp_path / "job")


def saver_on(jobdir: JobDir, disk: Disk, recorder: Recorder, stop: StopSignal | None = None) -> Saver:
    """A saver of the job's next attempt on ``disk``."""
    to = Destination(jobdir, jobdir.new_attempt(len(jobdir.attempt_dirs()) + 1), disk)
    return Saver(to, CheckpointPolicy(), recorder, stop or StopSignal())


def test_none_is_due_while_one_is_written(jobdir: JobDir) -> None:
    """A second snapshot would need as much memory again."""
    may_write, recorder = threading.Event(), Recorder()

    class SlowDisk(Disk):
        def make_dir(self, path: Path) -> None:
            may_write.wait()
            super().make_dir(path)

    saver = saver_on(jobdir, SlowDisk(), recorder)
    saver.save(contents(1))

    due = saver.due(2, epoch_end=True)
    may_write.set()
    saver.close()

    assert not due
    assert [event.step for event in recorder.of(CheckpointSaved)] == [1]


def test_a_lease_that_is_lost_amid_writing_leaves_nothing(jobdir: JobDir) -> None:
    """What another attempt may have gone on from must not be followed by a checkpoint of this one."""
    stop, recorder = StopSignal(), Recorder()

    class LosesTheLease(Disk):
        def write(self, path: Path, blocks: Iterable[bytes | memoryview]) -> FileRecord:
            record = super().write(path, blocks)
            if path.name == NAME:
                stop.set(StopReason.LOST)
            return record

    saver = saver_on(jobdir, LosesTheLease(), recorder, stop)

    durable = saver.save_now(contents(1))
    saver.save(contents(2))  # not even begun
    saver.close()

    assert not durable
    assert checkpoints_of(jobdir) == []
    assert not list(jobdir.attempt_dirs()[0].checkpoints.iterdir())
    assert recorder.of(CheckpointFailed) == []


def test_a_state_that_is_no_number_is_no_checkpoint(jobdir: JobDir) -> None:
    """It is kept in mind as the fault, and the first of several is the one that is told."""
    recorder = Recorder()
    saver = saver_on(jobdir, Disk(), recorder)
    bad = [Tensor("00000|model|kernel", np.array([1.0, np.nan], dtype=np.float32))]

    for step in (1, 2):
        assert not saver.save_now(dataclasses.replace(contents(step), tensors=bad))
    saver.close()

    assert saver.fault is not None
    assert saver.fault.step == 1
    assert checkpoints_of(jobdir) == []


def test_without_room_it_is_not_even_begun(jobdir: JobDir) -> None:
    """A disk that is nearly full is said in numbers, and training goes on."""
    recorder = Recorder()

    class NearlyFull(Disk):
        def free_bytes(self, path: Path) -> int:
            return 1000

    saver = saver_on(jobdir, NearlyFull(), recorder)
    assert not saver.save_now(contents(1))
    saver.close()

    (failed,) = recorder.of(CheckpointFailed)
    assert "are free" in failed.reason
    assert saver.failures == 1
    assert not jobdir.attempt_dirs()[0].checkpoints.exists()


def test_an_old_one_that_cannot_be_removed_costs_no_new_one(jobdir: JobDir) -> None:
    """Disk space is lost then, nothing else; it is said."""
    recorder = Recorder()

    class KeepsAll(Disk):
        def rename(self, source: Path, target: Path) -> None:
            if target.name.startswith(".old-"):
                raise OSError(1, "Operation not permitted")
            super().rename(source, target)

    saver = saver_on(jobdir, KeepsAll(), recorder)
    assert all(saver.save_now(contents(step)) for step in (1, 2, 3))
    saver.close()

    assert [c.step for c in checkpoints_of(jobdir)] == [3, 2, 1]
    assert [event.reason for event in recorder.of(CheckpointFailed)] == [
        "an old checkpoint could not be removed: Operation not permitted"
    ]


def test_what_is_pruned_while_it_is_looked_at_is_not_called_damaged(jobdir: JobDir) -> None:
    """An evaluation reads beside a training that saves: then there is a newer one, which is taken."""
    attempt, recorder = jobdir.new_attempt(1), Recorder()
    for step in (1, 2):
        write(attempt, contents(step), Disk())
    looked_at = valid(jobdir, recorder)
    assert next(looked_at).checkpoint.step == 2

    write(attempt, contents(3), Disk())
    shutil.rmtree(attempt.checkpoints / directory_name(1))

    assert next(looked_at).checkpoint.step == 3
    assert list(looked_at) == []
    assert recorder.of(CheckpointRejected) == []


def test_two_damaged_ones_of_one_step_are_both_kept_for_people(jobdir: JobDir) -> None:
    """A step that is reached again, and damaged again, has another name beside the first."""
    attempt, recorder = jobdir.new_attempt(1), Recorder()
    for _ in range(2):
        write(attempt, contents(1), Disk())
        (attempt.checkpoints / directory_name(1) / NAME).write_bytes(b"{")
        assert list(valid(jobdir, recorder)) == []

    assert len(list(attempt.checkpoints.glob("step-00000001*.corrupt"))) == 2
    assert len(recorder.of(CheckpointRejected)) == 2


def test_the_same_step_of_the_same_attempt_is_not_written_twice(jobdir: JobDir) -> None:
    """What is there stays as it is, byte for byte; the second one leaves nothing behind."""
    attempt = jobdir.new_attempt(1)
    first = write(attempt, contents(1), Disk())
    inode = first.checkpoint.path.stat().st_ino

    second = write(attempt, contents(1), Disk())

    assert second.checkpoint == first.checkpoint
    assert second.checkpoint.path.stat().st_ino == inode
    assert [path.name for path in attempt.checkpoints.iterdir()] == [directory_name(1)]


def test_a_stranger_in_its_place_is_set_aside(jobdir: JobDir) -> None:
    """A file of its name is no checkpoint; what is written then is one."""
    attempt, recorder = jobdir.new_attempt(1), Recorder()
    attempt.checkpoints.mkdir()
    (attempt.checkpoints / directory_name(1)).write_text("not ours")

    write(attempt, contents(1), Disk())

    assert [found.checkpoint.step for found in valid(jobdir, recorder)] == [1]
    assert (attempt.checkpoints / f"{directory_name(1)}.corrupt").read_text() == "not ours"


def test_a_trainer_state_of_another_step_is_damage(jobdir: JobDir) -> None:
    """Each byte is what the manifest says, and yet it does not belong together."""
    attempt, recorder = jobdir.new_attempt(1), Recorder()
    other = contents(1)
    write(attempt, dataclasses.replace(other, trainer={**other.trainer, "step": 7}), Disk())

    assert list(valid(jobdir, recorder)) == []
    assert [event.reason for event in recorder.of(CheckpointRejected)] == ["its trainer state is the one of step 7"]


def test_one_of_version_0_1_holds_its_history_itself(jobdir: JobDir) -> None:
    """Its rows are read from the trainer state, where that version kept them."""
    attempt, rows = jobdir.new_attempt(1), [{"loss": 0.5}]
    folder = attempt.checkpoints / directory_name(1)
    folder.mkdir(parents=True)
    trainer = to_json({**contents(1).trainer, "format": 1, "history": rows}).encode()
    files = {
        STATE: Disk().write(folder / STATE, blocks(contents(1).tensors)),
        TRAINER: Disk().write(folder / TRAINER, [trainer]),
    }
    Disk().write(folder / NAME, [encode(Manifest(1, files))])

    (found,) = valid(jobdir, Recorder())

    assert found.history.rows() == rows
