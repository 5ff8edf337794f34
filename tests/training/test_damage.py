"""P5: no bad checkpoint is ever loaded. Damage of every kind is detected, set aside, and the one before is used."""

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from keepfit.shared.checkpoints.manifest import NAME, STATE, TRAINER, Checkpoint, checkpoints_of, verify
from keepfit.shared.errors import CorruptCheckpoint
from keepfit.shared.jobs.directory import JobDir
from keepfit.shared.jobs.documents import ResumedFrom
from keepfit.shared.jobs.events import CheckpointRejected
from keepfit.worker.training.saving import load, load_newest
from tests.harness.documents import record_of
from tests.training import programs
from tests.training.running import Recorder, StopAfter, attempt, final_of, jobdir_at, undisturbed

DAMAGES = 1200
PROGRAM = "dropout+adam+constant"
HISTORY = "history.jsonl"


def make_job(path: Path) -> JobDir:
    """A job that was stopped in its second epoch; it holds two checkpoints."""
    jobdir = jobdir_at(path)
    attempt(programs.build(PROGRAM), jobdir, StopAfter(9))
    return jobdir


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> JobDir:
    """A stopped job, not to be changed."""
    return make_job(tmp_path_factory.mktemp("damage") / "job")


def truncate(content: bytes, chance: random.Random) -> bytes:
    """Cut it off anywhere."""
    return content[: chance.randrange(len(content))]


def flip_a_bit(content: bytes, chance: random.Random) -> bytes:
    """Change one bit anywhere."""
    at = chance.randrange(len(content))
    return content[:at] + bytes([content[at] ^ (1 << chance.randrange(8))]) + content[at + 1 :]


def zero_a_sector(content: bytes, chance: random.Random) -> bytes:
    """Zeros in place of 512 bytes, or of what there is."""
    at = chance.randrange(0, len(content), 512)
    return content[:at] + bytes(min(512, len(content) - at)) + content[at + 512 :]


def append(content: bytes, chance: random.Random) -> bytes:
    """More than was written."""
    return content + chance.randbytes(chance.randrange(1, 100))


KINDS: tuple[Callable[[bytes, random.Random], bytes], ...] = (truncate, flip_a_bit, flip_a_bit, zero_a_sector, append)


def test_no_damage_in_a_thousand_is_loaded(job: JobDir, tmp_path: Path) -> None:
    """Random damages of each kind to each file; the undamaged copy loads before and after."""
    chance = random.Random(5)
    newest = checkpoints_of(job)[0]
    path = tmp_path / "attempts" / "000001" / "checkpoints" / newest.path.name
    shutil.copytree(newest.path, path)
    history = path.parents[1] / HISTORY
    shutil.copy(newest.path.parents[1] / HISTORY, history)
    copy = Checkpoint(path, newest.step, newest.attempt)
    load(copy)
    loaded = damages = 0
    for _ in range(DAMAGES):
        file = chance.choice((path / NAME, path / STATE, path / TRAINER, history))
        content = file.read_bytes()
        damaged = chance.choice(KINDS)(content, chance)
        if damaged.startswith(content) and (file == history or damaged == content):  # grown, or zeros zeroed
            continue
        damages += 1
        file.write_bytes(damaged)
        try:
            load(copy)
            loaded += 1
        except CorruptCheckpoint:
            pass
        file.write_bytes(content)

    assert loaded == 0
    assert damages >= 1000
    load(copy)


def _make_dir(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _swap(first: Path, second: Path) -> None:
    spare = first.with_name("spare")
    first.rename(spare)
    second.rename(first)
    spare.rename(second)


BREAK: dict[str, Callable[[Path, Path], object]] = {
    "its state is another step's": lambda new, old: _swap(new / STATE, old / STATE),
    "its manifest is another step's": lambda new, old: _swap(new / NAME, old / NAME),
    "it is another step under a false name": _swap,
    "it has no manifest": lambda new, _: (new / NAME).unlink(),
    "it has no state": lambda new, _: (new / STATE).unlink(),
    "its manifest is empty": lambda new, _: (new / NAME).write_bytes(b""),
    "its manifest is huge": lambda new, _: (new / NAME).write_bytes(b"[" * 10_000_000),
    "its manifest is of a later version": lambda new, _: (new / NAME).write_bytes(
        (new / NAME).read_bytes().replace(b'"format": 2', b'"format": 3')
    ),
    "its manifest is no object": lambda new, _: (new / NAME).write_bytes(b"[]\n"),
    "its history is gone": lambda new, _: (new.parents[1] / HISTORY).unlink(),
    "its history is cut short": lambda new, _: os.truncate(new.parents[1] / HISTORY, 10),
    "its manifest is a directory": lambda new, _: _make_dir(new / NAME),
}


@pytest.mark.parametrize("how", BREAK)
def test_a_broken_checkpoint_is_detected(how: str, job: JobDir, tmp_path: Path) -> None:
    """Damage to the directory as a whole."""
    shutil.copytree(job.path, tmp_path / "job")
    new, old = checkpoints_of(jobdir_at(tmp_path / "job"))[:2]

    BREAK[how](new.path, old.path)

    with pytest.raises(CorruptCheckpoint):
        verify(new)
    with pytest.raises(CorruptCheckpoint):
        load(new)


def test_the_one_before_is_used_and_the_job_ends_with_the_same_bits(tmp_path: Path) -> None:
    """The newest checkpoint is damaged, temporary directories lie about; training goes on and says so."""
    program, reporter = programs.build(PROGRAM), Recorder()
    jobdir = make_job(tmp_path / "job")
    newest, before = checkpoints_of(jobdir)[:2]
    (newest.path / STATE).write_bytes(b"")
    (newest.path.parent / ".new-0123456789ab").mkdir()

    attempt(program, jobdir, reporter=reporter)

    (rejected,) = reporter.of(CheckpointRejected)
    assert newest.path.name in rejected.name
    assert "0 bytes instead of" in rejected.reason
    assert newest.path.with_name(newest.path.name + ".corrupt").is_dir()
    assert record_of(jobdir.attempt_dirs()[1]).resumed == ResumedFrom(attempt=1, step=before.step)
    assert not list(newest.path.parent.glob(".new-*"))
    assert final_of(jobdir) == undisturbed(program, tmp_path / "whole")


def test_with_all_damaged_it_starts_again_and_ends_with_the_same_bits(tmp_path: Path) -> None:
    """Nothing valid is left, so the job begins at the beginning."""
    program = programs.build(PROGRAM)
    jobdir = make_job(tmp_path / "job")
    for checkpoint in checkpoints_of(jobdir):
        (checkpoint.path / TRAINER).write_text("{}")

    attempt(program, jobdir)

    assert record_of(jobdir.attempt_dirs()[1]).resumed is None
    assert final_of(jobdir) == undisturbed(program, tmp_path / "whole")


def test_reading_for_an_evaluation_moves_nothing(tmp_path: Path) -> None:
    """Another job's damaged checkpoint is passed over and left where it is."""
    jobdir = make_job(tmp_path / "job")
    newest, before = checkpoints_of(jobdir)[:2]
    (newest.path / STATE).unlink()

    loaded = load_newest(jobdir, Recorder(), aside=False)

    assert loaded is not None
    assert loaded.checkpoint == before
    assert newest.path.is_dir()
