"""P5 and P2 while checkpoints are written: a crash at any operation, a full disk, a disk that fails, retention."""

import errno
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from keepfit.shared import durable
from keepfit.shared.checkpoints.disk import Disk
from keepfit.shared.checkpoints.keep import prune, prune_finished, sweep
from keepfit.shared.checkpoints.manifest import PIN, FileRecord, checkpoints_of, verify
from keepfit.shared.errors import StorageFull
from keepfit.shared.jobs.directory import JobDir
from keepfit.shared.jobs.documents import ResultFile, document
from keepfit.shared.jobs.events import CheckpointFailed, CheckpointSaved, EpochEnded, Event, LogLine
from keepfit.shared.jobs.states import Outcome
from keepfit.worker.training import train
from keepfit.worker.training.interfaces import StopReason, StopSignal
from keepfit.worker.training.model_state import Tensor, raw_bytes
from keepfit.worker.training.saving import Contents, valid, write
from keepfit.worker.training.trainer_state import History
from keepfit.worker.training.trainer_state import parse_history as parse
from tests.training import programs
from tests.training.running import Recorder, StopAfter, attempt, final_of, jobdir_at, undisturbed

PROGRAM = "dropout+adam+constant"


class Crash(BaseException):
    """The process dies here; nothing after it happens, no clean-up either."""


class CrashingDisk(Disk):
    """A real disk under a process that dies right after its ``last``-th operation."""

    def __init__(self, last: int) -> None:
        self.left = last

    def _done(self) -> None:
        self.left -= 1
        if self.left <= 0:
            raise Crash

    def make_dir(self, path: Path) -> None:
        """Make it, then perhaps die."""
        self._alive()
        super().make_dir(path)
        self._done()

    def write(self, path: Path, blocks: Iterable[bytes | memoryview]) -> FileRecord:
        """Write it, then perhaps die."""
        self._alive()
        record = super().write(path, blocks)
        self._done()
        return record

    def append(self, path: Path, block: bytes) -> None:
        """Add to it, then perhaps die."""
        self._alive()
        super().append(path, block)
        self._done()

    def fsync(self, fd: int) -> None:
        """Make it durable, then perhaps die."""
        self._alive()
        super().fsync(fd)
        self._done()

    def fsync_dir(self, path: Path) -> None:
        """Make it durable, then perhaps die."""
        self._alive()
        super().fsync_dir(path)
        self._done()

    def rename(self, source: Path, target: Path) -> None:
        """Rename it, then perhaps die."""
        self._alive()
        super().rename(source, target)
        self._done()

    def remove(self, path: Path) -> None:
        """Remove it, then perhaps die; a dead process removes nothing."""
        self._alive()
        super().remove(path)
        self._done()

    def _alive(self) -> None:
        if self.left <= 0:
            raise OSError(errno.EIO, "a dead process writes nothing")


def contents(step: int, score: float | None = None, history: History | None = None) -> Contents:
    """A small checkpoint, one epoch a step."""
    values = np.arange(step + 1, dtype="float32")
    trainer = {
        "cursor": {"epoch": step, "batch": 0, "phase": "train"}, "step": step, "seed": 1, "plan": "graph",
        "program_sha256": "", "data_sha256": "", "order_sha256": None, "environment": {}, "exact": True, "differs": [],
        "callbacks": [],
    }  # fmt: skip
    so_far = History() if history is None else history
    while len(so_far) < step:
        so_far.append({"loss": 1 / (len(so_far) + 3)})
    return Contents(step, [Tensor("00000|model|kernel", values)], trainer, score, so_far.now())


def save(jobdir: JobDir, step: int, disk: Disk, score: float | None = None, history: History | None = None) -> None:
    """Write and prune, as the writer thread does."""
    saved = write(jobdir.attempt_dirs()[-1], contents(step, score, history), disk)
    prune(jobdir, saved.checkpoint, disk)


# make room for the history's line; the files, each with its fsync; the directory; its name; and an old one removed
OPERATIONS = {"goes on": 14, "begins": 16}


@pytest.mark.parametrize("case", OPERATIONS)
@pytest.mark.parametrize("operation", range(1, 19))
def test_a_crash_after_any_operation_leaves_a_valid_checkpoint(case: str, operation: int, tmp_path: Path) -> None:
    """Three are there; the history grows, or its file is begun; the fourth is written, an old one is removed."""
    jobdir = jobdir_at(tmp_path / "job")
    jobdir.new_attempt(1)
    history = History()
    for step in (10, 20, 30):
        save(jobdir, step, Disk(), history=history)
    if case == "begins":
        history = parse(jobdir.attempt_dirs()[0].history.read_bytes(), 30)
    disk = CrashingDisk(operation)

    try:
        save(jobdir, 40, disk, history=history)
        died = False
    except Crash:
        died = True

    assert died is (operation <= OPERATIONS[case]), "the protocol has another number of operations than this test"
    newest = next(valid(jobdir, Recorder(), aside=False))
    assert newest.checkpoint.step in {30, 40}
    assert newest.history.rows() == [{"loss": 1 / (epoch + 3)} for epoch in range(newest.checkpoint.step)]
    for checkpoint in checkpoints_of(jobdir):
        verify(checkpoint)


def test_retention_keeps_the_latest_two_the_best_and_the_pinned(tmp_path: Path) -> None:
    """Over all attempts of the job."""
    jobdir = jobdir_at(tmp_path / "job")
    jobdir.new_attempt(1)
    for step, score in ((10, 0.9), (20, 0.1), (30, 0.5)):
        save(jobdir, step, Disk(), score)
    jobdir.new_attempt(2)
    save(jobdir, 40, Disk(), 0.4)
    (checkpoints_of(jobdir)[0].path / PIN).touch()
    for step in (50, 60, 70):
        save(jobdir, step, Disk(), 0.6)

    kept = [(c.attempt, c.step) for c in checkpoints_of(jobdir)]

    assert kept == [(2, 70), (2, 60), (2, 40), (1, 20)]


@pytest.mark.parametrize(("best", "kept"), [(40, [40]), (20, [40, 20])])
def test_a_finished_job_keeps_one_checkpoint_and_the_best(best: int, kept: list[int], tmp_path: Path) -> None:
    """The best comes on top where it is another one, over all attempts; so do the pinned."""
    jobdir = jobdir_at(tmp_path / "job")
    for number, step in enumerate((10, 20, 30, 40), start=1):
        jobdir.new_attempt(number)
        save(jobdir, step, Disk(), 0.1 if step == best else 0.5)
        (checkpoints_of(jobdir)[0].path / PIN).touch() if step == 10 else None

    prune_finished(jobdir, 4, Disk())

    assert [c.step for c in checkpoints_of(jobdir)] == [*kept, 10]


def test_a_damaged_checkpoint_pushes_out_no_valid_one(tmp_path: Path) -> None:
    """Two newer ones without a manifest do not count."""
    jobdir = jobdir_at(tmp_path / "job")
    attempt_dir = jobdir.new_attempt(1)
    save(jobdir, 10, Disk())
    for step in (80, 90):
        (attempt_dir.checkpoints / f"step-{step:08d}").mkdir()

    save(jobdir, 20, Disk())

    assert {c.step for c in checkpoints_of(jobdir)} == {10, 20, 80, 90}


class FullDisk(Disk):
    """A disk on which the kernel refuses some of the writes."""

    def __init__(self, refuse: range) -> None:
        self._refuse, self._writes = refuse, 0

    def fsync(self, fd: int) -> None:
        """Refuse, as a full disk does."""
        self._writes += 1
        if self._writes in self._refuse:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().fsync(fd)


def test_training_goes_on_when_checkpoints_cannot_be_written(tmp_path: Path) -> None:
    """Failures are counted and shown, nothing half written stays, later ones succeed, the bits are the same."""
    program, reporter = programs.build(PROGRAM), Recorder()
    jobdir = jobdir_at(tmp_path / "job")

    result = attempt(program, jobdir, reporter=reporter, disk=FullDisk(range(4, 9)))

    failed = reporter.of(CheckpointFailed)
    assert result.outcome is Outcome.FINISHED
    assert [event.failures for event in failed] == list(range(1, len(failed) + 1))
    assert failed[0].reason == "No space left on device"
    assert result.extra["checkpoint_failures"] == len(failed)
    assert reporter.of(CheckpointSaved)[-1].step == result.step
    assert not list(jobdir.attempt_dirs()[0].checkpoints.glob(".*"))
    assert final_of(jobdir) == undisturbed(program, tmp_path / "whole")


class TinyDisk(Disk):
    """A disk with almost nothing left."""

    def free_bytes(self, path: Path) -> int:
        """A kilobyte."""
        return 1000


def test_a_job_without_room_for_a_checkpoint_does_not_start(tmp_path: Path) -> None:
    """It says what it needs."""
    with pytest.raises(StorageFull, match="Free some space"):
        attempt(programs.build(PROGRAM), jobdir_at(tmp_path / "job"), disk=TinyDisk())


def test_a_job_with_little_room_starts_and_says_so(tmp_path: Path) -> None:
    """Enough for a checkpoint or two, too little for all that it will keep."""
    reporter = Recorder()
    parameters = 2_000_000

    def large() -> Any:
        model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(parameters // 65)])
        model.compile("sgd", "sparse_categorical_crossentropy")
        return model

    class SmallDisk(Disk):
        def free_bytes(self, path: Path) -> int:
            return 3 * 4 * parameters

    program = programs.compose("mlp", build_model=large, epochs=1)

    result = attempt(program, jobdir_at(tmp_path / "job"), reporter=reporter, disk=SmallDisk())

    assert result.outcome is Outcome.FINISHED
    assert not reporter.of(CheckpointFailed)
    assert [line.level for line in reporter.of(LogLine) if line.text.startswith("little space: ")] == ["warning"]


def test_without_room_for_the_result_the_job_can_go_on_later(tmp_path: Path) -> None:
    """The result cannot be written: no result is claimed, and the next attempt ends with the same bits."""
    program = programs.build(PROGRAM)
    jobdir = jobdir_at(tmp_path / "job")

    class NoRoomForExports(Disk):
        def fsync(self, fd: int) -> None:
            exports = [path for path in jobdir.path.rglob("*") if path.suffix in {".keras", ".h5"}]
            if any(os.path.samestat(os.fstat(fd), path.stat()) for path in exports):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            super().fsync(fd)

    with pytest.raises(StorageFull, match="No space left"):
        attempt(program, jobdir, disk=NoRoomForExports())
    assert ResultFile.read(jobdir.attempt_dirs()[0].result) is None

    attempt(program, jobdir)

    assert final_of(jobdir) == undisturbed(program, tmp_path / "whole")


@pytest.mark.parametrize(
    "said",
    [
        OSError("Unable to flush file (errno = 28, error message = 'No space left on device')"),
        RuntimeError("Can't decrement id ref count (error message = 'No space left on device')"),
    ],
)
def test_a_full_disk_that_the_file_library_reports_in_its_own_words_is_one(
    said: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HDF5 raises errors without an errno: the job waits for space, it has not failed."""
    program, jobdir = programs.build(PROGRAM), jobdir_at(tmp_path / "job")

    def refused(*_: object) -> None:
        raise said

    with monkeypatch.context() as patched:
        patched.setattr(train, "export", refused)
        with pytest.raises(StorageFull, match="No space left"):
            attempt(program, jobdir)
    assert ResultFile.read(jobdir.attempt_dirs()[0].result) is None
    attempt(program, jobdir)

    assert final_of(jobdir) == undisturbed(program, tmp_path / "whole")


def test_without_room_even_for_the_result_file_the_job_can_go_on_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The very last write is refused: no result is claimed, and the next attempt ends with the same bits."""
    program, jobdir = programs.build(PROGRAM), jobdir_at(tmp_path / "job")
    real = durable.write_json

    def refusing(path: Path, value: object) -> None:
        if path.name == "result.json":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(path, value)

    with monkeypatch.context() as patched:
        patched.setattr(document, "write_json", refusing)
        with pytest.raises(StorageFull, match="No space left"):
            attempt(program, jobdir)
    attempt(program, jobdir)

    assert final_of(jobdir) == undisturbed(program, tmp_path / "whole")


def test_a_lost_lease_writes_nothing_more(tmp_path: Path) -> None:
    """No checkpoint, no result, no line in the log."""
    jobdir = jobdir_at(tmp_path / "job")

    class LostAfter(StopAfter):
        def set(self, reason: StopReason) -> None:
            super().set(StopReason.LOST)

    result = attempt(programs.build("dropout+adam+constant"), jobdir, LostAfter(3))

    assert result.outcome is Outcome.INTERRUPTED
    assert not jobdir.attempt_dirs()[0].result.exists()
    assert all(c.step <= 2 for c in checkpoints_of(jobdir))
    assert isinstance(LostAfter(1), StopSignal)


def test_state_files_open_with_the_safetensors_package(tmp_path: Path) -> None:
    """The layout is the public one."""
    safetensors = pytest.importorskip("safetensors.numpy")
    jobdir = jobdir_at(tmp_path / "job")
    jobdir.new_attempt(1)
    save(jobdir, 10, Disk())

    found = safetensors.load_file(checkpoints_of(jobdir)[0].path / "state.safetensors")

    assert raw_bytes(found["00000|model|kernel"]) == raw_bytes(contents(10).tensors[0].numpy())


def test_what_a_killed_attempt_left_half_done_is_removed_by_the_next(tmp_path: Path) -> None:
    """A checkpoint, an export, a record: their hidden names go, whatever is whole stays."""
    jobdir = jobdir_at(tmp_path / "job")
    killed, own = jobdir.new_attempt(1), jobdir.new_attempt(2)
    half_done = [killed.path / ".new-1.keras", killed.path / ".result.json.1.tmp", own.path / ".new-2.keras"]
    for path in half_done:
        path.touch()
    (killed.checkpoints / ".new-3").mkdir(parents=True)
    (killed.path / ".new-4" / "assets").mkdir(parents=True)
    (killed.checkpoints / "step-00000007").mkdir()

    sweep(jobdir, before_attempt=2, disk=Disk())

    assert [path.name for path in killed.path.rglob("*")] == ["checkpoints", "step-00000007"]
    assert half_done[-1].exists()


class RemovesAttempts(Recorder):
    """Somebody removes all attempts of a job when an epoch of it has ended."""

    def __init__(self, jobdir: JobDir) -> None:
        super().__init__()
        self._jobdir = jobdir

    def report(self, event: Event) -> None:
        """Take one event."""
        if isinstance(event, EpochEnded):
            shutil.rmtree(self._jobdir.attempts, ignore_errors=True)
        super().report(event)


def test_attempts_that_were_removed_are_no_full_disk(tmp_path: Path) -> None:
    """It is said as it is, and the next attempt ends with the same bits."""
    program, jobdir = programs.build(PROGRAM), jobdir_at(tmp_path / "job")

    with pytest.raises(StorageFull, match="was removed while it ran"):
        attempt(program, jobdir, reporter=RemovesAttempts(jobdir))

    assert attempt(program, jobdir).outcome is Outcome.FINISHED
    assert final_of(jobdir) == undisturbed(program, tmp_path / "other")
