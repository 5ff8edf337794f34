"""Job directories: made whole or not at all, one for each idempotency key."""

import shutil
import threading
from pathlib import Path

import pytest

from keepfit.shared.errors import DamagedFile, InvalidSpec, JobConflict, JobNotFound, StorageFull
from keepfit.shared.jobs.directory import create_jobdir, job_id_of, list_jobdirs, open_jobdir
from keepfit.shared.spec import parse_spec

SPEC = parse_spec({"name": "first"})


def test_the_same_key_is_the_same_job(tmp_path: Path) -> None:
    """A repeated submit finds the directory of the first one."""
    first, new = create_jobdir(tmp_path / "jobs", SPEC, "key")
    second, again = create_jobdir(tmp_path / "jobs", SPEC, "key")

    assert (new, again) == (True, False)
    assert first.id == second.id == job_id_of("key")


def test_a_key_used_for_another_job_is_refused(tmp_path: Path) -> None:
    """The same key with another spec is a conflict, and the first job stays as it is."""
    create_jobdir(tmp_path / "jobs", SPEC, "key")

    with pytest.raises(JobConflict, match="Use a new key"):
        create_jobdir(tmp_path / "jobs", parse_spec({"name": "second"}), "key")

    assert open_jobdir(tmp_path / "jobs", job_id_of("key")).spec == SPEC


def test_a_key_whose_directory_was_removed_in_part_says_so(tmp_path: Path) -> None:
    """It is no job any more, and nobody can make it one while something is left of it."""
    jobdir, _ = create_jobdir(tmp_path / "jobs", SPEC, "key")
    jobdir.new_attempt(1)
    (jobdir.path / "job.json").unlink()
    with pytest.raises(DamagedFile, match="Remove what is left"):
        create_jobdir(tmp_path / "jobs", SPEC, "key")

    shutil.rmtree(jobdir.path)
    assert create_jobdir(tmp_path / "jobs", SPEC, "key") == (jobdir, True)


def test_many_submits_at_once_make_one_job(tmp_path: Path) -> None:
    """Of ten threads with one key, one makes the directory and ten get it; nothing else is left."""
    made: list[bool] = []
    threads = [
        threading.Thread(target=lambda: made.append(create_jobdir(tmp_path / "jobs", SPEC, "key")[1]))
        for _ in range(10)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(made) == [False] * 9 + [True]
    assert [p.name for p in (tmp_path / "jobs").iterdir()] == [job_id_of("key")]


def test_no_half_made_job_where_nothing_can_be_written(tmp_path: Path) -> None:
    """A data directory that is a file gives a message that says what to do."""
    (tmp_path / "jobs").write_text("not a directory")

    with pytest.raises(StorageFull, match="submit again"):
        create_jobdir(tmp_path / "jobs", SPEC, "key")

    assert list(list_jobdirs(tmp_path / "jobs")) == []


@pytest.mark.parametrize("job_id", ["", "..", "../../etc", "ABCDEFGHIJKL", "aaaaaaaaaaaa", "a" * 13, "a/b"])
def test_an_unknown_or_malformed_id_is_no_job(tmp_path: Path, job_id: str) -> None:
    """Ids from outside never reach another path."""
    with pytest.raises(JobNotFound):
        open_jobdir(tmp_path / "jobs", job_id)


def test_an_attempt_number_is_given_once(tmp_path: Path) -> None:
    """The directory is the fence: a second attempt with the same number fails."""
    jobdir, _ = create_jobdir(tmp_path / "jobs", SPEC)
    jobdir.new_attempt(1)

    with pytest.raises(FileExistsError):
        jobdir.new_attempt(1)


@pytest.mark.parametrize(
    ("raw", "word"),
    [
        ({}, "name"),
        ({"name": "x" * 81}, "name"),
        ({"name": "a", "data": {"name": ""}}, "data.name"),
        ({"name": "a", "model": {"name": 7}}, "model.name"),
        ({"name": "a", "data": {"id": "0" * 64}}, "data: needs a name"),
        ({"name": "a", "model": {"name": "m", "units": 7}}, "model.units"),
        ({"name": "a", "data": "mnist"}, "data"),
        ({"name": "a", "training": {"epochs": 0}}, "training.epochs"),
        ({"name": "a", "training": {"epochs": "many"}}, "training.epochs"),
        ({"name": "a", "training": {"learning_rate": float("nan")}}, "training.learning_rate"),
        ({"name": "a", "training": {"validation_share": 1.0}}, "training.validation_share"),
        ({"name": "a", "unknown": 1}, "unknown"),
        ({"kind": "evaluate", "name": "a", "source": "../../etc"}, "source"),
        ([], "spec"),
        ("text", "spec"),
    ],
)
def test_each_wrong_field_is_named(raw: object, word: str) -> None:
    """The message names the field that is wrong."""
    with pytest.raises(InvalidSpec, match=word):
        parse_spec(raw)
