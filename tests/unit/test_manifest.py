"""What is taken for a checkpoint on disk, and what is passed over: strange names, links, files that are none."""

import os
from pathlib import Path

import pytest

from keepfit.shared.checkpoints.manifest import (
    NAME,
    STATE,
    TRAINER,
    checkpoints_in,
    directory_name,
    newest_step,
    read_verified,
    verify,
)
from keepfit.shared.errors import CorruptCheckpoint
from keepfit.shared.jobs.directory import AttemptDir, JobDir
from tests.harness.checkpoints import make_checkpoint


@pytest.fixture
def attempt(tmp_path: Path) -> AttemptDir:
    """An attempt with two whole checkpoints."""
    (tmp_path / "job").mkdir()
    made = JobDir(tmp_path / "job", tmp_path / "datasets").new_attempt(1)
    make_checkpoint(made, 10)
    make_checkpoint(made, 123_456_789)
    return made


STRANGE = (
    "step-00000020.corrupt", "step-20", "step-000000020", "step-", "step-²²²²²²²²", "step--0000020",
    "step-" + "9" * 200, "Step-00000020", ".new-00000020",
)  # fmt: skip


@pytest.mark.parametrize("name", STRANGE)
def test_a_directory_of_another_name_is_no_checkpoint(name: str, attempt: AttemptDir) -> None:
    """Set aside, of too few or too many digits, of digits of another script: it is passed over."""
    (attempt.checkpoints / name).mkdir()
    (attempt.checkpoints / name / NAME).touch()

    assert [c.step for c in checkpoints_in(attempt)] == [123_456_789, 10]
    assert newest_step(attempt) == 123_456_789


def test_what_is_no_directory_is_no_checkpoint(attempt: AttemptDir) -> None:
    """A file, a pipe, a link out of the job's directory."""
    outside = attempt.path.parent / "000007"
    outside.mkdir()
    make_checkpoint(AttemptDir(outside), 40)
    (attempt.checkpoints / directory_name(20)).touch()
    os.mkfifo(attempt.checkpoints / directory_name(30))
    (attempt.checkpoints / directory_name(40)).symlink_to(outside / "checkpoints" / directory_name(40))

    assert [c.step for c in checkpoints_in(attempt)] == [123_456_789, 10]


def test_a_folder_of_checkpoints_that_is_a_link_holds_none(attempt: AttemptDir) -> None:
    """Nor does an attempt that is one."""
    other = attempt.path.with_name("000002")
    other.mkdir()
    (other / "checkpoints").symlink_to(attempt.checkpoints)
    attempt.path.with_name("000003").symlink_to(attempt.path)

    assert [checkpoints_in(AttemptDir(attempt.path.with_name(name))) for name in ("000002", "000003")] == [[], []]


def test_the_newest_step_is_one_with_a_manifest(attempt: AttemptDir) -> None:
    """An attempt without any has none."""
    (attempt.checkpoints / directory_name(123_456_790)).mkdir()

    assert newest_step(attempt) == 123_456_789
    assert newest_step(AttemptDir(attempt.path.with_name("000009"))) is None


@pytest.mark.parametrize("name", [NAME, STATE, TRAINER])
@pytest.mark.parametrize("kind", ["link", "pipe", "directory"])
def test_a_file_that_is_no_plain_one_is_damage(kind: str, name: str, attempt: AttemptDir) -> None:
    """A link to the very content is not followed, a pipe is not waited for."""
    found = checkpoints_in(attempt)[0]
    path = found.path / name
    manifest = verify(found)
    path.rename(path.with_name("elsewhere"))
    if kind == "link":
        path.symlink_to("elsewhere")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()

    with pytest.raises(CorruptCheckpoint, match="cannot be read"):
        verify(found)
    if name != NAME:
        with pytest.raises(CorruptCheckpoint, match="cannot be read"):
            read_verified(found, manifest, name)
