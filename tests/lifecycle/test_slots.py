"""A worker with more than one slot: how many attempts it runs at once, and with how many threads each computes."""

import json
from pathlib import Path

import pytest

from keepfit.shared.host import Owner
from keepfit.shared.jobs.directory import JobDir, create_jobdir
from keepfit.shared.jobs.states import JobState
from keepfit.shared.settings import Settings
from keepfit.shared.spec import parse_spec
from keepfit.shared.store import Store
from tests.harness.documents import record_of
from tests.harness.processes import Household
from tests.harness.waiting import wait_until

SLOTS, THREADS, JOBS = 2, 3, 5
"""More threads than cores: a number that TensorFlow would not choose by itself."""


@pytest.fixture
def jobs(settings: Settings, store: Store, household: Household) -> list[JobDir]:
    """More jobs than one worker has slots, all submitted before it starts."""
    found = []
    for number in range(JOBS):
        training = {"epochs": 8, "batch_size": 8, "seed": number}
        found.append(create_jobdir(settings.jobs_dir, parse_spec({"name": f"{number}", "training": training}))[0])
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
