"""A real keeper on a real server, with attempts whose processes are gone or silent."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from keepfit.shared.durable import write_json
from keepfit.shared.host import Owner, Process, machine
from keepfit.shared.jobs.directory import JobDir, create_jobdir
from keepfit.shared.jobs.states import JobState, Outcome, Wish
from keepfit.shared.jobs.truth import state_on_disk
from keepfit.shared.reasons import said
from keepfit.shared.settings import Settings
from keepfit.shared.store import Budget, Store
from keepfit.worker.keeper.keeper import Keeper
from keepfit.worker.keeper.rebuild import Rebuilder
from tests.harness.documents import write_wish
from tests.harness.specs import accepted
from tests.harness.waiting import wait_until


@pytest.fixture
def keeper(settings: Settings, store: Store) -> Iterator[Keeper]:
    """Not started yet; it sends no kicks, so that nobody runs what it puts back."""
    store.upkeep.mark_booted()
    keeper = Keeper(settings, "keeper", publish=lambda: None, consumes=False)
    yield keeper
    keeper.stop()


@pytest.fixture
def jobdir(settings: Settings, store: Store) -> JobDir:
    """A job that was just submitted."""
    jobdir, _ = create_jobdir(settings.jobs_dir, accepted({"name": "watched"}))
    store.jobs.create(jobdir)
    return jobdir


@pytest.fixture
def sweeping_keeper(settings: Settings, store: Store) -> Iterator[Keeper]:
    """One that sweeps away what is older than a moment."""
    store.upkeep.mark_booted()
    keeper = Keeper(settings.model_copy(update={"sweep_s": 0.3}), "keeper", publish=lambda: None, consumes=False)
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
    claim = store.leases.claim(owner(), hint=jobdir.id, lease_s=0.2)  # type: ignore[operator]
    assert claim
    write_json(jobdir.new_attempt(claim.attempt).result, {"outcome": "finished", "reason": "", "step": 7})
    write_wish(jobdir, wish, 1)
    store.jobs.request(jobdir.id, wish, number=1)

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
    claim = store.leases.claim(owner(), hint=jobdir.id, lease_s=0.2)  # type: ignore[operator]
    assert claim
    attempt = jobdir.new_attempt(claim.attempt)
    write_wish(jobdir, Wish.CANCEL, 1)
    store.jobs.request(jobdir.id, Wish.CANCEL, number=1)

    keeper.start()
    wait_until(lambda: store.jobs.get(jobdir.id).state is JobState.CANCELLED, "the attempt is settled")
    wait_until(jobdir.verdict.exists, "the keeper has put it on disk")
    write_json(attempt.result, {"outcome": "finished", "reason": "", "step": 7})

    assert state_on_disk(jobdir).state is JobState.CANCELLED


@pytest.mark.parametrize("worker_lives", [True, False])
def test_a_silence_counts_against_the_job_only_while_its_worker_beats(
    settings: Settings, store: Store, jobdir: JobDir, worker_lives: bool
) -> None:
    """A frozen training process uses up the budget; a power cut, which silences the worker as well, does not."""
    store.upkeep.mark_booted()
    keeper = Keeper(settings.model_copy(update={"restart_budget": 1}), "keeper", publish=lambda: None, consumes=False)
    assert store.leases.claim(silent_owner(), hint=jobdir.id, lease_s=settings.lease_s)
    keeper.start()

    def settled() -> bool:
        if worker_lives:
            store.workers.beat("elsewhere", host="elsewhere", pid=os.getpid(), slots=1, busy=1)
        return store.jobs.get(jobdir.id).state is not JobState.RUNNING

    wait_until(settled, "the attempt is settled")
    keeper.stop()

    counted = store.counters.read()
    assert store.jobs.get(jobdir.id).state is (JobState.FAILED if worker_lives else JobState.QUEUED)
    assert (counted["interrupted:silence"], counted["interrupted:worker"]) == (worker_lives, not worker_lives)


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
def test_what_killed_writers_have_left_is_swept_away(settings: Settings, store: Store, jobdir: JobDir) -> None:
    """A cancelled job has no next attempt that would do it."""
    store.jobs.request(jobdir.id, Wish.CANCEL, number=1)
    of_a_killed_process = settings.cache_dir / "xla-1" / "process-1"
    of_a_killed_process.mkdir(parents=True)
    left = [*leave_behind(jobdir), of_a_killed_process]

    wait_until(lambda: not any(path.exists() for path in left), "all of it is gone")

    assert (jobdir.path / "job.json").exists()


@pytest.mark.usefixtures("sweeping_keeper")
def test_what_a_running_attempt_is_writing_is_not_swept_away(store: Store, jobdir: JobDir) -> None:
    """However long it takes: a big checkpoint on a slow disk."""
    assert store.leases.claim(silent_owner(), hint=jobdir.id, lease_s=60)
    staged, *under_way = leave_behind(jobdir)

    wait_until(lambda: not staged.exists(), "the keeper has swept once")
    other = jobdir.path.parent / ".new-other"
    other.mkdir()
    wait_until(lambda: not other.exists(), "the keeper has swept again")

    assert all(path.exists() for path in under_way)


def test_what_does_not_obey_within_its_grace_is_killed_and_ends_as_wished(
    settings: Settings, store: Store, jobdir: JobDir
) -> None:
    """A training process that renews its lease but never comes to the end of a chunk."""
    store.upkeep.mark_booted()
    keeper = Keeper(settings.model_copy(update={"stop_grace_s": 0.5}), "keeper", publish=lambda: None, consumes=False)
    with subprocess.Popen(["sleep", "600"]) as deaf:
        owner = Owner(machine(), Process.of(os.getpid()), Process.of(deaf.pid), "deaf")
        claim = store.leases.claim(str(owner), hint=jobdir.id, lease_s=60)
        assert claim
        keeper.start()
        store.jobs.request(jobdir.id, Wish.CANCEL, number=1)

        wait_until(lambda: store.jobs.get(jobdir.id).state is not JobState.RUNNING, "the attempt is settled")

        assert deaf.wait() == -signal.SIGKILL
        assert store.jobs.get(jobdir.id).state is JobState.CANCELLED
        keeper.stop()


def test_a_stop_that_only_the_server_knows_is_noted_on_disk(settings: Settings, store: Store, jobdir: JobDir) -> None:
    """A job paused by a full disk stays paused when the server is wiped later."""
    store.upkeep.mark_booted()
    claim = store.leases.claim(silent_owner(), hint=jobdir.id, lease_s=60)
    assert claim
    jobdir.new_attempt(claim.attempt)
    store.leases.finish(
        claim, Outcome.STOPPED, reason=said("the disk is full"), budget=Budget(5, 1.0), pause_with_reason=True
    )
    rebuilder = Rebuilder(settings, store, "keeper")
    rebuilder.scan()

    store.link.ask(lambda r: r.flushall())

    def back() -> int:
        rebuilder.scan()
        return store.jobs.count()

    wait_until(back, "the job is back")

    record = store.jobs.get(jobdir.id)
    assert (record.state, str(record.reason)) == (JobState.PAUSED, "the disk is full")


@pytest.mark.parametrize("file", ["job.json", "wish.json", "verdict.json"])
def test_a_damaged_directory_keeps_no_other_job_from_its_rebuild(settings: Settings, store: Store, file: str) -> None:
    """Whatever its files hold; the jobs beside it are back."""
    jobdirs = [create_jobdir(settings.jobs_dir, accepted({"name": str(n)}))[0] for n in range(5)]
    for damaged in jobdirs[1:4]:
        (damaged.path / file).write_text("[1, 2]")

    Rebuilder(settings, store, "keeper").scan()

    known = {record.id for record in store.jobs.list(100)}
    assert {jobdirs[0].id, jobdirs[4].id} <= known
