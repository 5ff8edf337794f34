"""Jobs of short kinds never wait for those that take long: which job a worker may claim when its slots are full."""

from pathlib import Path
from typing import Any

import pytest

from keepfit.shared.jobs.directory import create_jobdir
from keepfit.shared.jobs.states import Outcome, Wish
from keepfit.shared.reasons import said
from keepfit.shared.spec import parse_spec
from keepfit.shared.store import Budget, Claim, Store, keys

TRAIN: dict[str, Any] = {"kind": "train"}
EVALUATE: dict[str, Any] = {"kind": "evaluate", "source": "a" * 12}
BUDGET = Budget(5, 0.0)


@pytest.fixture
def jobs_dir(tmp_path: Path) -> Path:
    """The folder of job directories."""
    return tmp_path / "jobs"


def submit(store: Store, jobs_dir: Path, name: str, spec: dict[str, Any], priority: int | None = None) -> str:
    """A queued job."""
    jobdir, _ = create_jobdir(jobs_dir, parse_spec({"name": name, **spec}), name)
    store.jobs.create(jobdir, priority=priority)
    return jobdir.id


def claim(store: Store, child: int, slots: int | None = 2, worker: str = "lab/1:10:1", hint: str = "") -> str | None:
    """The job that a child of a worker gets."""
    found = store.leases.claim(f"{worker}:{child}:1:n{child}", hint=hint, lease_s=60, slots=slots)
    return found.job_id if found else None


def test_a_worker_whose_slots_are_full_gets_a_short_job_only(store: Store, jobs_dir: Path) -> None:
    """Whatever comes before it in the queue, and whatever the kick names."""
    trainings = [submit(store, jobs_dir, f"t{n}", TRAIN, priority=5) for n in range(3)]
    evaluation = submit(store, jobs_dir, "e", EVALUATE, priority=-5)

    assert [claim(store, n) for n in (1, 2)] == trainings[:2]
    assert claim(store, 3, hint=trainings[2]) == evaluation
    assert claim(store, 4) is None
    assert claim(store, 5, worker="lab/1:20:1") == trainings[2], "another worker of this host has slots of its own"


def test_a_short_job_takes_no_slot_from_a_long_one(store: Store, jobs_dir: Path) -> None:
    """While evaluations run, as many trainings as there are slots may begin."""
    evaluations = [submit(store, jobs_dir, f"e{n}", EVALUATE) for n in range(2)]
    trainings = [submit(store, jobs_dir, f"t{n}", TRAIN) for n in range(2)]

    assert [claim(store, n, slots=1) for n in range(4)] == [*evaluations, trainings[0], None]


def test_thousands_of_jobs_before_it_hide_no_short_one(store: Store, jobs_dir: Path) -> None:
    """It has a queue of its own, which is not searched for."""
    evaluation = submit(store, jobs_dir, "e", EVALUATE)
    running = submit(store, jobs_dir, "t", TRAIN)
    assert claim(store, 1, slots=1, hint=running) == running
    others = {f"other{n:07d}": -9e18 + n for n in range(5_000)}
    store.link.ask(lambda r: r.zadd(keys.READY, others))
    store.link.ask(lambda r: [r.hset(keys.job(name), mapping={"needs": 1, "kind": "train"}) for name in [*others][:50]])

    assert store.upkeep.ready(only_short=True)
    assert claim(store, 2, slots=1) == evaluation
    assert not store.upkeep.ready(only_short=True)


@pytest.mark.parametrize("how", ["paused and resumed", "given another priority", "interrupted", "record lost"])
def test_whatever_happens_to_it_a_short_job_stays_in_its_lane(store: Store, jobs_dir: Path, how: str) -> None:
    """It comes back into the queue of its kind, and leaves it when it is claimed."""
    job = submit(store, jobs_dir, "e", EVALUATE)
    match how:
        case "paused and resumed":
            store.jobs.request(job, Wish.PAUSE, number=1)
            assert not store.upkeep.ready(only_short=True)
            store.jobs.request(job, Wish.RUN, number=2)
        case "given another priority":
            store.jobs.request(job, Wish.RUN, number=1, priority=7)
        case "interrupted":
            held = store.leases.claim("lab", lease_s=60, slots=0)
            assert held is not None
            store.leases.finish(held, Outcome.INTERRUPTED, reason=said("killed"), budget=BUDGET)
        case "record lost":
            store.link.ask(lambda r: r.delete(keys.SHORT))
            assert store.upkeep.mend([job]) == {job: "unqueued"}
            assert store.upkeep.mend([job]) == {}
    ready, short = store.link.ask(lambda r: (r.zscore(keys.READY, job), r.zscore(keys.SHORT, job)))

    assert ready == short is not None
    assert isinstance(store.leases.claim("lab", lease_s=60, slots=0), Claim)
    assert store.link.ask(lambda r: r.zcard(keys.SHORT)) == 0


def test_a_job_that_another_version_has_claimed_is_not_claimed_from_the_lane(store: Store, jobs_dir: Path) -> None:
    """The scripts of a version without lanes take it from the queue only."""
    job = submit(store, jobs_dir, "e", EVALUATE)
    left = store.link.ask(lambda r: r.zscore(keys.SHORT, job))
    assert claim(store, 1) == job
    store.link.ask(lambda r: r.zadd(keys.SHORT, {job: left}))

    assert claim(store, 2, slots=0) is None
    assert store.link.ask(lambda r: r.zcard(keys.SHORT)) == 0


def test_why_a_short_job_waits_is_said_by_its_own_queue(store: Store, jobs_dir: Path) -> None:
    """Trainings before it, or on all slots, are no reason to wait; another short job is."""
    for n in range(2):
        submit(store, jobs_dir, f"t{n}", TRAIN, priority=9)
    first, second = (submit(store, jobs_dir, f"e{n}", EVALUATE) for n in range(2))
    store.workers.beat("w", host="lab", pid=10, slots=2, busy=2)

    assert str(store.jobs.waiting(first).reason) == "a worker is about to take it"
    assert str(store.jobs.waiting(second).reason) == "1 job before it"
    store.workers.beat("w", host="lab", pid=10, slots=2, busy=3)
    assert str(store.jobs.waiting(first).reason) == "workers are busy"
