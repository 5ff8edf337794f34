"""One damaged document costs itself, in words: every reader of a job's directory over every kind of damage."""

import contextlib
import dataclasses
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keepfit.shared.durable import to_json, write_json
from keepfit.shared.errors import DamagedFile, JobConflict, KeepfitError, NewerVersion
from keepfit.shared.jobs.directory import JobDir, create_jobdir, list_jobdirs, open_jobdir
from keepfit.shared.jobs.documents import AttemptFile, ClaimFile, ResultFile
from keepfit.shared.jobs.states import JobState, Wish
from keepfit.shared.jobs.truth import state_on_disk, wish_obeyed
from keepfit.shared.reasons import read_text, said
from keepfit.shared.spec import READS, parse_spec
from keepfit.shared.store.jobs import fields_of
from tests.harness.documents import result_of, write_claim, write_verdict, write_wish

SPEC = parse_spec({"name": "first"})
DOCUMENTS = (
    "job.json",
    "wish.json",
    "verdict.json",
    *(f"attempts/000001/{n}.json" for n in ("claim", "attempt", "result")),
)


def _link_to_nothing(path: Path) -> None:
    path.symlink_to("nowhere")


def _link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def _writes(content: bytes) -> Callable[[Path], Any]:
    return lambda path: path.write_bytes(content)


DAMAGE: dict[str, Callable[[Path], Any]] = {
    "empty": _writes(b""),
    "torn": _writes(b'{"vers'),
    "object": _writes(b"{}"),
    "list": _writes(b"[]"),
    "null": _writes(b"null"),
    "number": _writes(b"1e999"),
    "nested": _writes(b"[" * 100_000),
    "no text": _writes(b"\x00\xff\xfe"),
    "wrong types": _writes(
        b'{"spec": [], "wish": 3, "number": "x", "state": {}, "outcome": [], "owner": 1, "wish_number": "7"}'
    ),
    "directory": lambda path: path.mkdir(),
    "pipe": os.mkfifo,
    "link to nothing": _link_to_nothing,
    "link to itself": _link_to_itself,
}


def put(path: Path, damage: str) -> None:
    """Replace ``path`` by what is damaged so."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    DAMAGE[damage](path)


def make(jobs_dir: Path, name: str = "first") -> JobDir:
    """A job that was cancelled after one attempt."""
    jobdir, _ = create_jobdir(jobs_dir, SPEC, name)
    write_claim(jobdir.new_attempt(1), "owner", 1)
    write_wish(jobdir, Wish.CANCEL, 2)
    return jobdir


def fresh(jobdir: JobDir) -> JobDir:
    """The same directory, read anew."""
    return open_jobdir(jobdir.path.parent, jobdir.id)


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_job_is_there_and_says_what_to_do(tmp_path: Path, damage: str) -> None:
    """It is listed by its id, is never run, and comes back as it was when its file does."""
    jobdir = make(tmp_path)
    content = (jobdir.path / "job.json").read_bytes()
    write_wish(jobdir, Wish.RUN, 3)
    put(jobdir.path / "job.json", damage)

    damaged = fresh(jobdir)
    state = state_on_disk(damaged)

    assert [found.id for found in list_jobdirs(tmp_path)] == [jobdir.id]
    with pytest.raises(DamagedFile, match="Restore it from a backup, or remove"):
        _ = damaged.spec
    assert (state.state, state.reason) == (JobState.PAUSED, damaged.damage)
    assert fields_of(damaged)["name"] == jobdir.id
    with pytest.raises(DamagedFile):
        create_jobdir(tmp_path, SPEC, "first")

    _remove(jobdir.path / "job.json")
    (jobdir.path / "job.json").write_bytes(content)
    assert fresh(jobdir).spec == SPEC
    assert state_on_disk(fresh(jobdir)).state is JobState.QUEUED


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_wish_that_cannot_be_read_stops(tmp_path: Path, damage: str) -> None:
    """A cancelled job must not run again because nobody can read that it was cancelled."""
    jobdir = make(tmp_path)
    put(jobdir.path / "wish.json", damage)

    state = state_on_disk(jobdir)

    assert state.state is JobState.PAUSED
    assert "wish.json is damaged" in str(state.reason)
    assert "resume" in str(state.reason)
    _remove(jobdir.path / "wish.json")
    write_wish(jobdir, Wish.RUN, 3)
    assert state_on_disk(jobdir).state is JobState.QUEUED


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", ["verdict.json", "attempts/000001/result.json", "attempts/000001/claim.json"])
def test_other_documents_are_as_if_absent(tmp_path: Path, name: str, damage: str) -> None:
    """A job whose end cannot be read comes to it again."""
    jobdir, _ = create_jobdir(tmp_path, SPEC)
    jobdir.new_attempt(1)
    put(jobdir.path / name, damage)

    assert state_on_disk(jobdir).state is JobState.QUEUED
    assert jobdir.status().result is None
    assert wish_obeyed(jobdir) == 0


def test_a_whole_verdict_and_result_count(tmp_path: Path) -> None:
    """The readers take what the writers write."""
    jobdir, _ = create_jobdir(tmp_path, SPEC)
    result = {"outcome": "finished", "reason": "", "metrics": {"loss": None, "accuracy": 0.5}, "step": 7, "new": [1]}
    write_json(jobdir.new_attempt(1).result, result)
    known = result | {"metrics": {"accuracy": 0.5}, "version": 2, "reason": {}, "weights_sha256": "", "extra": {}}
    assert result_of(jobdir.attempt_dirs()[0]).model_dump() == known  # also what a later version has added
    assert state_on_disk(jobdir).state is JobState.SUCCEEDED

    write_verdict(jobdir, JobState.FAILED, said("five times"), attempt=1, wish_number=0)
    assert str(state_on_disk(jobdir).reason) == "five times"


def test_only_directories_with_the_form_of_a_number_are_attempts(tmp_path: Path) -> None:
    """Stray files and odd names are passed over; a millionth attempt is the newest."""
    jobdir, _ = create_jobdir(tmp_path, SPEC)
    jobdir.new_attempt(999_999)
    for name in (
        "-1",
        "000000",
        "7",
        "0000007",
        "00000a",
        "\N{ARABIC-INDIC DIGIT SEVEN}" * 6,
        "9" * 30,
        ".000003",
        "notes.txt",
    ):
        (jobdir.attempts / name).mkdir()
    (jobdir.attempts / "000099").write_text("a stray file")
    (jobdir.attempts / "000098").symlink_to("nowhere")
    assert [attempt.number for attempt in jobdir.attempt_dirs()] == [999_999]

    jobdir.new_attempt(1_000_000)
    assert jobdir.status().attempt == 1_000_000


@pytest.mark.parametrize("damage", ["empty", "link to nothing", "pipe"])
def test_no_folder_of_attempts_is_no_attempt(tmp_path: Path, damage: str) -> None:
    """It was removed, or something else is in its place."""
    jobdir = make(tmp_path)
    shutil.rmtree(jobdir.attempts)
    assert jobdir.status().attempt == 0

    put(jobdir.attempts, damage)
    assert jobdir.status().attempt == 0


def test_a_newer_spec_is_left_alone_and_has_its_name(tmp_path: Path) -> None:
    """A higher version or an unknown kind is no error of the job; a keeper of this version still restores it."""
    for key, change in (
        ("version", {"version": READS + 1}),
        ("kind", {"kind": "script"}),
        ("form", {"kind": "evaluate"}),
    ):
        jobdir, _ = create_jobdir(tmp_path, SPEC, key)
        spec = {**jobdir.job.spec, **change, "source": "\0/\ud800"}
        newer_job = jobdir.job.model_copy(update={"spec": spec, "version": 2 if key == "form" else 1})
        newer_job.write(jobdir.job_file)
        newer = fresh(jobdir)

        assert not newer.needs.met
        with pytest.raises(NewerVersion, match="newer version"):
            _ = newer.spec
        assert not newer.damage
        assert state_on_disk(newer).state is JobState.QUEUED
        fields = fields_of(newer)
        assert (fields["name"], fields["kind"]) == ("first", spec["kind"])
        assert fields["source"] == ""  # no text that a server takes
        assert fields["needs"] == (READS if key == "kind" else READS + 1)


def test_the_key_of_a_newer_job_is_taken(tmp_path: Path) -> None:
    """Whether it is the same job this version cannot tell."""
    jobdir, _ = create_jobdir(tmp_path, SPEC, "key")
    newer = {"spec": {**jobdir.job.spec, "version": READS + 1}, "spec_sha256": "0" * 64}
    jobdir.job.model_copy(update=newer).write(jobdir.job_file)

    with pytest.raises(JobConflict, match="Use a new key"):
        create_jobdir(tmp_path, SPEC, "key")


def test_a_kept_spec_may_have_fields_that_this_version_does_not_know(tmp_path: Path) -> None:
    """They were accepted; a submit with them is still refused."""
    raw = SPEC.model_dump(mode="json")
    raw["colour"], raw["training"]["momentum"] = "red", 0.9

    assert parse_spec(raw, kept=True) == SPEC
    with pytest.raises(KeepfitError, match="momentum"):
        parse_spec(raw)


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
NAMES = ("spec", "version", "id", "created_ms", "spec_sha256", "wish", "number", "priority", "state", "attempt",
         "reason", "wish_number", "owner", "after", "outcome", "metrics", "step", "name", "kind")  # fmt: skip
CONTENT = (
    st.sampled_from(sorted(DAMAGE))
    | st.dictionaries(st.sampled_from(NAMES), ANY_JSON).map(to_json)
    | ANY_JSON.map(to_json)
    | st.text(max_size=20)
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(DOCUMENTS), CONTENT, min_size=1))
def test_no_reader_raises_anything_else(tmp_path: Path, damaged: dict[str, str]) -> None:
    """Only our own errors, whatever is in the documents."""
    shutil.rmtree(tmp_path / "jobs", ignore_errors=True)
    jobdir, other = make(tmp_path / "jobs"), make(tmp_path / "jobs", "other")
    for name, content in damaged.items():
        path = jobdir.path / name
        if content in DAMAGE:
            put(path, content)
        else:
            path.write_bytes(content.encode(errors="surrogatepass"))

    for found in list_jobdirs(tmp_path / "jobs"):
        state, status, fields = state_on_disk(found), found.status(), fields_of(found)
        assert all(type(value) in (int, str) for value in fields.values())
        assert str(state.reason).encode() or not state.reason
        assert read_text(state.reason.to_text()) == state.reason
        assert status.wish_number >= 0
        for question in ("spec", "digest", "needs"):
            with contextlib.suppress(KeepfitError):
                getattr(found, question)
        for attempt in found.attempt_dirs():
            ClaimFile.read_or_none(attempt.claim), AttemptFile.read_or_none(attempt.record)
            ResultFile.read_or_none(attempt.result)
    assert dataclasses.asdict(other.status())["wish"] is Wish.CANCEL


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink()
