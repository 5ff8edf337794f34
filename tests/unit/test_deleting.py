"""A job's directory leaves for good: in one step, with a tombstone that stays, whatever is cut off in between."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from keepfit.shared.errors import JobConflict, JobDeleted, JobNotFound
from keepfit.shared.jobs import deleting
from keepfit.shared.jobs.deleting import bury, clear, is_deleted, read_tombstone, unfinished
from keepfit.shared.jobs.directory import create_jobdir, list_jobdirs, open_jobdir
from keepfit.shared.spec import TrainSpec, parse_spec

SPEC = parse_spec({"name": "first"})


@pytest.fixture
def jobs_dir(tmp_path: Path) -> Path:
    """An empty folder of jobs."""
    return tmp_path / "jobs"


@pytest.fixture
def job_id(jobs_dir: Path) -> str:
    """A job with a megabyte in it."""
    jobdir, _ = create_jobdir(jobs_dir, SPEC, "key")
    attempt = jobdir.new_attempt(1)
    (attempt.path / "model.keras").write_bytes(os.urandom(1_000_000))
    (attempt.path / "link").symlink_to(jobs_dir.parent)
    return jobdir.id


def test_a_deleted_job_is_none_and_its_space_is_free(jobs_dir: Path, job_id: str) -> None:
    """All that stays is a tombstone of some bytes; what a link in it led to is untouched."""
    bury(jobs_dir, job_id)
    freed = clear(jobs_dir, job_id)

    assert [path.name for path in jobs_dir.rglob("*")] == [deleting.FOLDER, f"{job_id}.json"]
    assert read_tombstone(jobs_dir, job_id).freed_bytes == freed > 1_000_000
    assert not list(unfinished(jobs_dir))


def test_from_its_first_step_on_it_is_deleted(jobs_dir: Path, job_id: str) -> None:
    """Nobody lists it or opens it, and the error says why; its space is still to be freed."""
    bury(jobs_dir, job_id)

    assert is_deleted(jobs_dir, job_id)
    assert list(unfinished(jobs_dir)) == [job_id]
    assert not list(list_jobdirs(jobs_dir))
    with pytest.raises(JobDeleted, match=f"The job {job_id} was deleted"):
        open_jobdir(jobs_dir, job_id)


@pytest.mark.parametrize("cleared", [False, True])
def test_the_key_of_a_deleted_job_makes_no_other(jobs_dir: Path, job_id: str, cleared: bool) -> None:
    """A submit that is repeated late, or by a program that knows no better, does not bring it back."""
    bury(jobs_dir, job_id)
    if cleared:
        clear(jobs_dir, job_id)

    with pytest.raises(JobConflict, match="submit it with a new key"):
        create_jobdir(jobs_dir, SPEC, "key")

    assert not list(list_jobdirs(jobs_dir))


def test_a_submit_that_loses_the_race_brings_nothing_back(
    jobs_dir: Path, job_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has looked for a tombstone before the job was made and deleted by others."""
    looked = iter([False])
    honest = is_deleted
    monkeypatch.setattr(deleting, "is_deleted", lambda *which: next(looked, None) is None and honest(*which))
    bury(jobs_dir, job_id)
    clear(jobs_dir, job_id)

    with pytest.raises(JobConflict):
        create_jobdir(jobs_dir, SPEC, "key")

    assert not list(list_jobdirs(jobs_dir))
    assert list(unfinished(jobs_dir)) == [job_id]


def test_what_was_cut_off_is_finished_by_the_next(jobs_dir: Path, job_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After each single removal the process dies; each time the job stays deleted, and in the end nothing is left."""
    bury(jobs_dir, job_id)
    rounds = 0
    while list(unfinished(jobs_dir)):
        rounds += 1
        with monkeypatch.context() as patch:
            _die_after_one_removal(patch)
            try:
                clear(jobs_dir, job_id)
            except KeyboardInterrupt:
                assert is_deleted(jobs_dir, job_id)

    assert rounds > 4
    assert [path.name for path in jobs_dir.rglob("*")] == [deleting.FOLDER, f"{job_id}.json"]


def _die_after_one_removal(patch: pytest.MonkeyPatch) -> None:
    def dying(honest: Callable[..., None]) -> Callable[..., None]:
        def remove(self: Path, **how: bool) -> None:
            honest(self, **how)
            raise KeyboardInterrupt

        return remove

    patch.setattr(Path, "unlink", dying(Path.unlink))
    patch.setattr(Path, "rmdir", dying(Path.rmdir))


def test_two_that_clear_at_once_do_not_disturb_each_other(jobs_dir: Path, job_id: str) -> None:
    """What one of them finds gone was removed by the other."""
    bury(jobs_dir, job_id)
    clear(jobs_dir, job_id)

    assert clear(jobs_dir, job_id) == 0


def test_a_directory_that_was_put_back_by_hand_is_a_job_and_can_be_deleted_again(jobs_dir: Path, job_id: str) -> None:
    """The disk is the truth; what was left of the first deletion is in nobody's way."""
    bury(jobs_dir, job_id)
    jobs_dir.joinpath(job_id).mkdir()
    jobs_dir.joinpath(deleting.FOLDER, job_id, "job.json").rename(jobs_dir / job_id / "job.json")
    assert isinstance(open_jobdir(jobs_dir, job_id).spec, TrainSpec)

    bury(jobs_dir, job_id)
    clear(jobs_dir, job_id)

    assert [path.name for path in jobs_dir.rglob("*")] == [deleting.FOLDER, f"{job_id}.json"]


def test_what_was_never_there_cannot_be_deleted(jobs_dir: Path) -> None:
    """It is said, and leaves no tombstone."""
    jobs_dir.mkdir()

    with pytest.raises(JobNotFound, match="There is no job aaaaaaaaaaaa"):
        bury(jobs_dir, "aaaaaaaaaaaa")

    assert not is_deleted(jobs_dir, "aaaaaaaaaaaa")
