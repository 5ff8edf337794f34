"""The history beside the checkpoints: appended once, referred to, whole after whatever happens to its file."""

import errno
import json
import math
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from keepfit.shared.checkpoints.disk import Disk
from keepfit.shared.checkpoints.manifest import NAME, FileRecord, Manifest, checkpoints_of, encode, verify
from keepfit.shared.errors import CorruptCheckpoint
from keepfit.shared.jobs.directory import AttemptDir, JobDir
from keepfit.worker.training.saving import load, valid, write
from keepfit.worker.training.trainer_state import History
from keepfit.worker.training.trainer_state import parse_history as parse
from tests.harness.documents import record_of
from tests.training import programs
from tests.training.running import Recorder, StopAfter, attempt, final_of, jobdir_at, undisturbed
from tests.training.test_writing import contents

PROGRAM = "dropout+adam+constant"


class CountingDisk(Disk):
    """A disk that counts the bytes that it is given."""

    written = 0

    def write(self, path: Path, blocks: Iterable[bytes | memoryview]) -> FileRecord:
        """Write and count."""
        record = super().write(path, blocks)
        self.written += record.bytes
        return record

    def append(self, path: Path, block: bytes) -> None:
        """Add and count."""
        super().append(path, block)
        self.written += len(block)


@pytest.fixture
def place(tmp_path: Path) -> AttemptDir:
    """The first attempt of a job."""
    return jobdir_at(tmp_path / "job").new_attempt(1)


def epochs(history: History, count: int) -> None:
    """So many more epochs; each line has the same length."""
    for _ in range(count):
        history.append({"loss": 0.25, "accuracy": 0.5})


def test_a_checkpoint_costs_no_more_after_a_hundred_thousand_epochs(place: AttemptDir) -> None:
    """In bytes written: the epoch's line, and a few digits more in the numbers."""
    history, disk, cost = History(), CountingDisk(), {}
    epochs(history, 9)
    for epoch in (9, 10, 100_000 - 1, 100_000):
        epochs(history, epoch - len(history))
        before = disk.written
        history.now().write(place.history, disk)
        saved = contents(0, history=history)
        saved.trainer["cursor"].update(epoch=epoch)
        write(place, saved, disk)
        cost[epoch] = disk.written - before

    assert cost[100_000] <= cost[10] + 20


def test_numbers_come_back_to_the_bit(place: AttemptDir) -> None:
    """The smallest, the largest, 0.1 + 0.2; what is no finite number comes back as none."""
    history = History()
    numbers = [5e-324, 1.7976931348623157e308, 0.1 + 0.2, float(np.float32(0.1)), -0.0]
    for number in numbers:
        history.append({"loss": number})
    history.append({"loss": math.inf})

    history.now().write(place.history, Disk())
    back = parse(place.history.read_bytes(), 6)

    assert [row["loss"].hex() for row in back.rows()[:5]] == [number.hex() for number in numbers]
    assert math.isnan(back.last["loss"])
    assert [json.loads(line) for line in place.history.read_text().splitlines()][-1] == {"loss": None}


def _remove(path: Path) -> None:
    path.unlink()


def _cut(path: Path) -> None:
    os.truncate(path, 7)


def _grow(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"{}\n")


@pytest.mark.parametrize("harm", [_remove, _cut, _grow])
def test_a_file_that_was_harmed_meanwhile_is_made_anew(harm: Callable[[Path], None], place: AttemptDir) -> None:
    """By hand, while the job runs: the next checkpoint has its history again."""
    history = History()
    write(place, contents(3, history=history), Disk())

    harm(place.history)
    write(place, contents(5, history=history), Disk())

    assert len(place.history.read_bytes().splitlines()) == 5
    for checkpoint in checkpoints_of(JobDir(place.path.parents[1], place.path)):
        verify(checkpoint)


def test_after_a_refused_write_the_file_is_made_anew(place: AttemptDir) -> None:
    """A failed fsync is never repeated, and half a line is never added to."""

    class Refusing(Disk):
        def append(self, path: Path, block: bytes) -> None:
            with path.open("ab") as file:
                file.write(block[: len(block) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    history = History()
    write(place, contents(3, history=history), Disk())
    before = place.history.stat().st_ino
    with pytest.raises(OSError, match="No space left"):
        write(place, contents(4, history=history), Refusing())
    write(place, contents(4, history=history), Disk())

    assert place.history.stat().st_ino != before
    assert len(parse(place.history.read_bytes(), 4)) == 4
    assert sorted(path.name for path in place.path.iterdir()) == ["checkpoints", "history.jsonl"]


@pytest.mark.parametrize("harm", [_remove, _cut, lambda path: path.write_bytes(path.read_bytes().replace(b"0", b"1"))])
def test_without_its_history_a_checkpoint_is_none(harm: Callable[[Path], None], place: AttemptDir) -> None:
    """It does not verify; the one of an earlier attempt, which has a history of its own, is used."""
    jobdir = JobDir(place.path.parents[1], place.path)
    write(place, contents(3), Disk())
    later = jobdir.new_attempt(2)
    write(later, contents(5), Disk())

    harm(later.history)

    with pytest.raises(CorruptCheckpoint, match=r"history\.jsonl"):
        verify(checkpoints_of(jobdir)[0])
    assert next(valid(jobdir, Recorder())).checkpoint.step == 3
    assert [path.name for path in later.checkpoints.iterdir()] == ["step-00000005.corrupt"]


def test_each_attempt_keeps_the_whole_history(tmp_path: Path) -> None:
    """Its file begins with what the checkpoint had verified; an epoch that was lost by a kill is not in it twice."""
    program, jobdir = programs.build(PROGRAM), jobdir_at(tmp_path / "job")
    attempt(program, jobdir, StopAfter(9))

    attempt(program, jobdir)

    first, second = (each.history.read_bytes() for each in jobdir.attempt_dirs())
    assert second.startswith(first)
    assert first.count(b"\n") == 1
    assert second.count(b"\n") == program.epochs
    assert final_of(jobdir) == undisturbed(program, tmp_path / "whole")


def as_version_0_1(jobdir: JobDir) -> None:
    """Write the checkpoints of ``jobdir`` as version 0.1 did: the history in the trainer state, format 1."""
    for checkpoint in checkpoints_of(jobdir):
        loaded = load(checkpoint)
        old = {**loaded.trainer, "format": 1, "history": loaded.history.rows()}
        manifest = checkpoint.path / NAME
        files = json.loads(manifest.read_bytes())["files"]
        (checkpoint.path / "trainer.json").unlink()
        text = json.dumps(old, indent=1, sort_keys=True).encode()
        record = Disk().write(checkpoint.path / "trainer.json", [text])
        state = FileRecord(**files["state.safetensors"])
        manifest.write_bytes(encode(Manifest(checkpoint.step, {"state.safetensors": state, "trainer.json": record})))
    for attempt_dir in jobdir.attempt_dirs():
        attempt_dir.history.unlink()


@pytest.mark.parametrize("name", [PROGRAM, "dropout+ema+plateau"])
def test_a_checkpoint_of_version_0_1_goes_on_to_the_same_bits(name: str, tmp_path: Path) -> None:
    """Its history is a list in the trainer state, in which an infinity may stand."""
    program, jobdir = programs.build(name), jobdir_at(tmp_path / "job")
    attempt(program, jobdir, StopAfter(9))
    as_version_0_1(jobdir)

    attempt(program, jobdir)

    assert record_of(jobdir.attempt_dirs()[1]).resumed is not None
    assert final_of(jobdir) == undisturbed(program, tmp_path / "whole")
