"""A checkpoint's form on disk: each way of being damaged has its words, and those that need not stay are known."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from keepfit.shared.checkpoints import manifest as manifests
from keepfit.shared.checkpoints.disk import Disk
from keepfit.shared.checkpoints.keep import prune, prune_finished, surplus, sweep
from keepfit.shared.checkpoints.manifest import (
    NAME,
    PIN,
    STATE,
    TRAINER,
    Checkpoint,
    FileRecord,
    Manifest,
    checkpoints_of,
    decode,
    encode,
    newest_valid,
    read_history,
    read_manifest,
    read_verified,
    verify,
)
from keepfit.shared.errors import CorruptCheckpoint
from keepfit.shared.jobs.directory import AttemptDir, JobDir
from tests.harness.checkpoints import make_checkpoint, record_of

HISTORY = b'{"loss": 0.5}\n'


@pytest.fixture
def jobdir(tmp_path: Path) -> JobDir:
    """An empty job."""
    (tmp_path / "job").mkdir()
    return JobDir(tmp_path / "job", tmp_path / "datasets")


@pytest.fixture
def attempt(jobdir: JobDir) -> AttemptDir:
    """Its first attempt, without any checkpoint."""
    return jobdir.new_attempt(1)


@pytest.fixture
def whole(attempt: AttemptDir) -> Checkpoint:
    """A whole checkpoint, to which a line of the history belongs."""
    return make_checkpoint(attempt, 10, score=0.25, history=HISTORY)


def test_a_whole_checkpoint_verifies(whole: Checkpoint) -> None:
    """Its manifest, its files and its share of the history are what was written."""
    manifest = verify(whole)

    assert (manifest.step, manifest.score, manifest.format) == (10, 0.25, 2)
    assert manifest.bytes == sum((whole.path / name).stat().st_size for name in (STATE, TRAINER))
    assert read_verified(whole, manifest, STATE) == f"{STATE} of 10".encode()
    assert read_history(whole, manifest) == HISTORY


def test_one_of_the_first_form_has_no_history_of_its_own(attempt: AttemptDir) -> None:
    """Version 0.1 kept it in the trainer state."""
    manifest = verify(make_checkpoint(attempt, 10))

    assert manifest.format == 1
    assert decode(encode(manifest)) == manifest


def test_no_history_yet_is_no_damage(attempt: AttemptDir) -> None:
    """Before the end of the first epoch nothing belongs to a checkpoint."""
    checkpoint = make_checkpoint(attempt, 10, history=b"")
    attempt.history.unlink()

    assert read_history(checkpoint, verify(checkpoint)) == b""


def _longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


def _flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)


DAMAGE: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "a file is gone": (STATE, Path.unlink, "its state.safetensors cannot be read"),
    "a file is longer": (STATE, _longer, "bytes instead of"),
    "a bit of a file": (TRAINER, _flipped, "was changed after it was written"),
    "the manifest is gone": (NAME, Path.unlink, "its manifest cannot be read"),
    "the manifest is no JSON": (NAME, lambda path: path.write_bytes(b"{"), "its manifest cannot be read"),
    "a byte of the manifest": (NAME, _longer, "its manifest"),
    "the manifest is huge": (NAME, lambda path: path.write_bytes(b" " * 70_000), "more than any real one"),
    "the history is gone": ("../../history.jsonl", Path.unlink, "its history.jsonl cannot be read"),
    "the history is shorter": ("../../history.jsonl", lambda p: p.write_bytes(b"{"), "bytes instead of"),
    "a bit of the history": ("../../history.jsonl", _flipped, "was changed after it was written"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_what_is_damaged_says_so(whole: Checkpoint, jobdir: JobDir, case: str) -> None:
    """Each kind of damage has its reason in words, and the checkpoint is none to go on from."""
    name, damage, words = DAMAGE[case]

    damage(whole.path / name)

    with pytest.raises(CorruptCheckpoint, match=words):
        verify(whole)
    assert newest_valid(jobdir) is None


def test_a_file_that_grows_or_shrinks_while_it_is_read_is_damage(whole: Checkpoint) -> None:
    """What is used is what was checked: the content itself is compared, not only its size on disk."""
    manifest = read_manifest(whole)
    path = whole.path / STATE
    content = path.read_bytes()

    path.write_bytes(content[:-1] + b"?")
    with pytest.raises(CorruptCheckpoint, match="sha256 differs"):
        read_verified(whole, manifest, STATE)
    path.write_bytes(content[:-1])
    with pytest.raises(CorruptCheckpoint, match="bytes instead of"):
        read_verified(whole, manifest, STATE)


def test_the_manifest_of_another_step_is_damage(whole: Checkpoint) -> None:
    """A directory that was renamed is not what its name says."""
    renamed = whole.path.rename(whole.path.with_name(manifests.directory_name(20)))

    with pytest.raises(CorruptCheckpoint, match="the one of step 10"):
        read_manifest(Checkpoint(renamed, 20, 1))


FILES = {STATE: record_of(b"s"), TRAINER: record_of(b"t")}
FORGED = {
    "of a later form": (encode(Manifest(1, FILES)).replace(b'"format": 1', b'"format": 9'), "has the format 9"),
    "a negative size": (encode(Manifest(1, FILES | {STATE: FileRecord(-1, "")})), "cannot be read"),
    "a file too few": (encode(Manifest(1, {STATE: FILES[STATE]})), "was changed"),
    "a file too many": (encode(Manifest(1, FILES | {"more": record_of(b"")})), "was changed"),
    "other white space": (encode(Manifest(1, FILES)).replace(b"\n", b"\r\n"), "was changed"),
    "not an object": (b"[]", "cannot be read"),
}


@pytest.mark.parametrize("case", FORGED)
def test_a_manifest_has_one_form(case: str) -> None:
    """It must be, byte for byte, what would be written for the values that it holds."""
    raw, words = FORGED[case]

    with pytest.raises(CorruptCheckpoint, match=words):
        decode(raw)


def test_a_history_that_nobody_could_have_is_not_read(whole: Checkpoint) -> None:
    """A forged size must not cost the memory that it names."""
    forged = Manifest(10, FILES, None, FileRecord(1 << 40, ""))

    with pytest.raises(CorruptCheckpoint, match="more than any real one"):
        read_history(whole, forged)


def test_the_newest_valid_one_is_looked_for_over_all_attempts(jobdir: JobDir, attempt: AttemptDir) -> None:
    """A damaged one is passed over; an attempt that is later than asked for is not looked at."""
    make_checkpoint(attempt, 10)
    later = jobdir.new_attempt(2)
    _flipped(make_checkpoint(later, 20).path / STATE)

    found = newest_valid(jobdir)

    assert found is not None
    assert (found.step, found.attempt) == (10, 1)
    assert [c.step for c in checkpoints_of(jobdir)] == [20, 10]
    assert [c.step for c in checkpoints_of(jobdir, up_to_attempt=1)] == [10]


def test_a_file_without_links_only_is_opened(attempt: AttemptDir) -> None:
    """A folder of checkpoints that is a file holds none."""
    attempt.checkpoints.write_text("")

    assert manifests.checkpoints_in(attempt) == []


def test_the_latest_two_the_best_and_the_pinned_stay(jobdir: JobDir, attempt: AttemptDir) -> None:
    """A damaged one neither counts nor goes: the next start sets it aside."""
    scores = {10: 0.1, 20: 0.5, 30: 0.4, 40: None, 50: 0.3, 60: 0.2}
    made = {step: make_checkpoint(attempt, step, score=score) for step, score in scores.items()}
    (made[20].path / PIN).touch()
    (made[30].path / NAME).write_bytes(b"{")

    gone = surplus(checkpoints_of(jobdir), None)

    assert [c.step for c in gone] == [40]
    assert [c.step for c in prune(jobdir, made[60], Disk())] == [40]
    assert [c.step for c in checkpoints_of(jobdir)] == [60, 50, 30, 20, 10]
    assert not list(attempt.checkpoints.glob(".old-*"))


def test_what_was_just_saved_stays_though_it_is_older(jobdir: JobDir, attempt: AttemptDir) -> None:
    """An attempt that went back to an earlier checkpoint keeps what it has written."""
    first = make_checkpoint(attempt, 10)
    for step in (20, 30):
        make_checkpoint(attempt, step)

    assert surplus(checkpoints_of(jobdir), first) == []


def test_a_finished_job_keeps_its_last_and_its_best(jobdir: JobDir, attempt: AttemptDir) -> None:
    """The model is exported; one to go on from is enough."""
    for step, score in ((10, 0.1), (20, 0.3), (30, 0.2)):
        make_checkpoint(attempt, step, score=score)

    prune_finished(jobdir, 1, Disk())

    assert [c.step for c in checkpoints_of(jobdir)] == [30, 10]


def test_leftovers_of_earlier_attempts_are_swept(jobdir: JobDir, attempt: AttemptDir) -> None:
    """What a killed writer left half done, of earlier attempts only: a later one may be writing just now."""
    later = jobdir.new_attempt(2)
    for one in (attempt, later):
        (one.path / ".new-result").touch()
        (one.checkpoints / ".new-step").mkdir(parents=True)

    sweep(jobdir, 2, Disk())

    assert not attempt.unfinished()
    assert len(later.unfinished()) == 2


def test_the_disk_adds_to_a_file_and_removes_what_there_is(tmp_path: Path) -> None:
    """Each operation does what it says; a link is removed and not followed, what is gone needs no removal."""
    disk, file, folder = Disk(), tmp_path / "file", tmp_path / "folder"
    assert disk.write(file, [b"ab", memoryview(b"cd")]) == record_of(b"abcd")
    disk.append(file, b"ef")
    disk.make_dir(folder)
    disk.rename(file, folder / "moved")
    disk.fsync_dir(folder)
    (tmp_path / "link").symlink_to(folder)

    disk.remove(tmp_path / "link")
    assert (folder / "moved").read_bytes() == b"abcdef"
    disk.remove(folder)
    disk.remove(folder)

    assert list(tmp_path.iterdir()) == []
    assert disk.free_bytes(tmp_path) > 0


def test_a_new_file_never_replaces_another(tmp_path: Path) -> None:
    """Nothing on disk is overwritten in place."""
    (tmp_path / "file").write_bytes(b"old")

    with pytest.raises(FileExistsError) as refused:
        Disk().write(tmp_path / "file", [b"new"])

    assert refused.value.errno == errno.EEXIST
    assert (tmp_path / "file").read_bytes() == b"old"
