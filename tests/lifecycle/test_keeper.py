"""A real keeper on a real server, with attempts whose processes are gone or silent."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.diskstate import state_on_disk
from shared.durable import write_json
from shared.jobdir import JobDir, create_jobdir
from shared.settings import Settings
from shared.spec import parse_spec
from shared.states import JobState, Wish
from shared.store import Store
from tests.waiting import wait_until
from worker.keeper import Keeper
from worker.owner import Owner, Process, machine


@pytest.fixture
def keeper(settings: Settings, store: Store) -> Iterator[Keeper]:
    """Not started yet; it sends no kicks, so that nobody runs what it puts back."""
    store.upkeep.mark_booted()
    keeper = Keeper(settings, "keeper", publish=lambda: None)
    yield keeper
    keeper.stop()


@pytest.fixture
def jobdir(settings: Settings, store: Store) -> JobDir:
    """A job that was just submitted."""
    jobdir, _ = create_jobdir(settings.jobs_dir, parse_spec({"name": "watched"}))
    store.jobs.create(jobdir)
    return jobdir


@pytest.fixture
def sweeping_keeper(settings: Settings, store: Store) -> Iterator[Keeper]:
    """One that sweeps away what is older than a moment."""
    store.upkeep.mark_booted()
    keeper = Keeper(settings.model_copy(update={"sweep_s": 0.3}), "keeper", publish=lambda: None)
    keeper.start()
    yield keeper
    keeper.stop()


def dead_owner() -> str:
    """An owner whose processes have ended."""
    ended = subprocess.Popen(["true"])
    process = Process.of(ended.pid)
    ended.wait()
    return str(Owner(machine(), process, process, "dead"))


def silent_owner() -> str:
    """An owner on another machine, of which nothing is heard."""
    process = Process.of(os.getpid())
    return str(Owner("elsewhere/1", process, process, "silent"))


@pytest.mark.parametrize("owner", [dead_owner, silent_owner])
@pytest.mark.parametrize("wish", [Wish.RUN, Wish.CANCEL])
def test_an_end_on_disk_is_reported_for_an_attempt_that_could_not(
    store: Store, keeper: Keeper, jobdir: JobDir, wish: Wish, owner: object
) -> None:
    """Killed or cut off between its result and the server: the job has succeeded, on both sides."""
    claim = store.leases.claim(owner(), jobdir.id, lease_s=0.2)  # type: ignore[operator]
    assert claim
    write_json(jobdir.new_attempt(claim.attempt).result, {"outcome": "finished", "reason": "", "step": 7})
    jobdir.write_wish(wish, 1)
    store.jobs.request(jobdir.id, wish, 1)

    keeper.start()
    wait_until(lambda: store.jobs.get(jobdir.id).state is not JobState.RUNNING, "the attempt is settled")

    record = store.jobs.get(jobdir.id)
    assert (record.state, record.result["step"]) == (JobState.SUCCEEDED, 7)
    assert state_on_disk(jobdir).state is JobState.SUCCEEDED


@pytest.mark.parametrize("owner", [dead_owner, silent_owner])
def test_a_result_written_after_the_job_was_settled_changes_nothing(
    store: Store, keeper: Keeper, jobdir: JobDir, owner: object
) -> None:
    """A cancelled job stays cancelled on disk too, even if the attempt that was cut off finishes."""
    claim = store.leases.claim(owner(), jobdir.id, lease_s=0.2)  # type: ignore[operator]
    assert claim
    attempt = jobdir.new_attempt(claim.attempt)
    jobdir.write_wish(Wish.CANCEL, 1)
    store.jobs.request(jobdir.id, Wish.CANCEL, 1)

    keeper.start()
    wait_until(lambda: store.jobs.get(jobdir.id).state is JobState.CANCELLED, "the attempt is settled")
    wait_until(jobdir.verdict.exists, "the keeper has put it on disk")
    write_json(attempt.result, {"outcome": "finished", "reason": "", "step": 7})

    assert state_on_disk(jobdir).state is JobState.CANCELLED


def leave_behind(jobdir: JobDir) -> list[Path]:
    """What writers leave that are killed at work: of a submit, a wish, a checkpoint, a removal, a record."""
    attempt = jobdir.new_attempt(1)
    folders = [jobdir.path.parent / ".new-1", attempt.checkpoints / ".new-2", attempt.checkpoints / ".old-3"]
    files = [jobdir.path / ".wish.json.4.tmp", attempt.path / ".result.json.5.tmp"]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "state.bin").write_text("half")
    for file in files:
        file.write_text("half")
    return folders + files


@pytest.mark.usefixtures("sweeping_keeper")
def test_what_killed_writers_have_left_is_swept_away(store: Store, jobdir: JobDir) -> None:
    """A cancelled job has no next attempt that would do it."""
    store.jobs.request(jobdir.id, Wish.CANCEL, 1)
    left = leave_behind(jobdir)

    wait_until(lambda: not any(path.exists() for path in left), "all of it is gone")

    assert (jobdir.path / "job.json").exists()


@pytest.mark.usefixtures("sweeping_keeper")
def test_what_a_running_attempt_is_writing_is_not_swept_away(store: Store, jobdir: JobDir) -> None:
    """However long it takes: a big checkpoint on a slow disk."""
    assert store.leases.claim(silent_owner(), jobdir.id, lease_s=60)
    staged, *under_way = leave_behind(jobdir)

    wait_until(lambda: not staged.exists(), "the keeper has swept once")
    other = jobdir.path.parent / ".new-other"
    other.mkdir()
    wait_until(lambda: not other.exists(), "the keeper has swept again")

    assert all(path.exists() for path in under_way)
