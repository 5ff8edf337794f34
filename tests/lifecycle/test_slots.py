"""A worker with more than one slot: how many attempts it runs at once, and with how many threads each computes."""

import json
from pathlib import Path
from typing import Any

import pytest

from keepfit.shared.host import Owner
from keepfit.shared.jobs.directory import JobDir, create_jobdir
from keepfit.shared.jobs.states import ENDS, JobState
from keepfit.shared.settings import Settings
from keepfit.shared.store import Store
from tests.harness.documents import record_of
from tests.harness.processes import Household
from tests.harness.specs import accepted
from tests.harness.waiting import wait_until

SLOTS, THREADS, JOBS = 2, 3, 5
"""More threads than cores: a number that TensorFlow would not choose by itself."""
AT_ONCE_S = 2.0
"""Beside two trainings that use all cores."""


@pytest.fixture
def jobs(settings: Settings, store: Store, household: Household) -> list[JobDir]:
    """More jobs than one worker has slots, all submitted before it starts."""
    found = []
    for number in range(JOBS):
        training = {"epochs": 8, "batch_size": 8, "seed": number}
        found.append(create_jobdir(settings.jobs_dir, accepted({"name": f"{number}", "training": training}))[0])
        store.jobs.create(found[-1])
    household.start_worker(settings.model_copy(update={"slots": SLOTS, "threads": THREADS}))
    return found


def most_at_once(settings: Settings) -> int:
    """How many attempts were at work at one time, by the audit file."""
    lines = [json.loads(line) for line in (settings.data_dir / "audit.jsonl").read_text().splitlines()]
    at_work, most = set[str](), 0
    for line in (line for line in lines if "attempt" in line):
        (at_work.add if line["event"] == "begin" else at_work.discard)(line["job"])
        most = max(most, len(at_work))
    return most


def threads_called(name: str, pid: int) -> int:
    """How many threads of this name a process has."""
    return [path.read_text().strip() for path in Path(f"/proc/{pid}/task").glob("*/comm")].count(name)


def test_a_worker_fills_its_slots_and_no_more(settings: Settings, store: Store, jobs: list[JobDir]) -> None:
    """Five jobs, two slots: two at once, never three, and all of them end."""
    over = lambda: all(store.jobs.get(job.id).state is JobState.SUCCEEDED for job in jobs)  # noqa: E731

    wait_until(over, "all jobs have succeeded", timeout_s=90)

    assert most_at_once(settings) == SLOTS
    assert {store.jobs.get(job.id).attempt for job in jobs} == {1}


@pytest.mark.skipif(not Path("/proc").exists(), reason="elsewhere the threads of another process have no names")
def test_each_slot_computes_with_its_own_threads(store: Store, jobs: list[JobDir]) -> None:
    """By what TensorFlow was told, and by the threads of its pools that the system sees."""
    wait_until(lambda: len(store.leases.running()) == SLOTS, "both slots are busy")

    for running in store.leases.running():
        attempt = next(job for job in jobs if job.id == running.claim.job_id).attempt_dirs()[0]
        wait_until(lambda: store.jobs.get(running.claim.job_id).progress, "it computes")  # noqa: B023
        assert record_of(attempt).environment["threads"] == THREADS
        assert threads_called("tf_Compute", Owner.parse(running.claim.owner).child.pid) == THREADS


def test_an_evaluation_does_not_wait_for_trainings(settings: Settings, store: Store, household: Household) -> None:
    """Two slots, two trainings of hours and a third that waits: an evaluation begins at once, and they go on."""
    done = new_job(settings, store, {"name": "done", "training": {"epochs": 1, "batch_size": 512}})
    household.start_worker(settings.model_copy(update={"slots": SLOTS, "threads": 1}))
    wait_until(lambda: store.jobs.get(done.id).state is JobState.SUCCEEDED, "there is a model", timeout_s=60)
    long = {"epochs": 100_000, "batch_size": 8}
    trainings = [new_job(settings, store, {"name": f"{n}", "training": long | {"seed": n}}) for n in range(3)]
    wait_until(lambda: all(store.jobs.get(t.id).progress for t in trainings[:SLOTS]), "both slots train", timeout_s=60)

    evaluation = new_job(settings, store, {"kind": "evaluate", "name": "e", "source": done.id})
    ended = wait_until(lambda: (r := store.jobs.get(evaluation.id)).state in ENDS and r, "it has ended", timeout_s=60)

    assert ended
    assert ended.state is JobState.SUCCEEDED, ended.reason
    assert ended.attempt == 1
    assert begun_after_s(evaluation) < AT_ONCE_S
    after = [store.jobs.get(training.id) for training in trainings]
    assert [record.state for record in after] == [JobState.RUNNING, JobState.RUNNING, JobState.QUEUED]
    assert [record.attempt for record in after] == [1, 1, 0]


def new_job(settings: Settings, store: Store, spec: dict[str, Any]) -> JobDir:
    """A job that was just submitted."""
    jobdir, _ = create_jobdir(settings.jobs_dir, accepted(spec))
    store.jobs.create(jobdir)
    return jobdir


def begun_after_s(jobdir: JobDir) -> float:
    """From the submit to the first thing that the attempt has written."""
    return jobdir.attempt_dirs()[0].claim.stat().st_mtime - jobdir.job.created_ms / 1000
