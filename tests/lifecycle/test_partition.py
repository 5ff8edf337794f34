"""A worker that cannot reach the queue server, by a proxy in between; its job is taken over, once."""

from collections.abc import Callable, Iterator

import pytest

from shared.states import ENDS, JobState
from shared.store import JobRecord
from tests.chaos.checker import Evidence, check, read_audit
from tests.chaos.people import LONG, SPECS, Promise
from tests.chaos.proxy import Proxy
from tests.chaos.world import Member, World
from tests.waiting import wait_until
from worker.owner import Owner


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two workers, each behind a proxy of its own."""
    with World(tmp_path_factory.mktemp("partition") / "world", workers=2) as world:
        yield world


@pytest.fixture(scope="module")
def undisturbed(world: World) -> str:
    """The sha256 of the weights of a job that nobody disturbs."""
    return str(wait_for_end(world, submit(world)).result["weights_sha256"])


def submit(world: World) -> str:
    """A new job."""
    return world.client.submit({"name": LONG, **SPECS[LONG]}).id


def wait_for_end(world: World, job_id: str) -> JobRecord:
    """The job once it has ended."""
    wait_until(lambda: world.store.jobs.get(job_id).state in ENDS, "the job has ended", 120)
    return world.store.jobs.get(job_id)


def owner_of(world: World, job_id: str) -> Member:
    """The worker that has begun to train the job."""
    wait_until(lambda: world.store.jobs.get(job_id).progress.get("step", 0) > 500, "it trains", 60)
    main = Owner.parse(world.store.jobs.get(job_id).owner).main.pid
    return next(member for member in world.members if member.pid == main)


@pytest.mark.parametrize("cut", [Proxy.black_hole, Proxy.reset], ids=["black hole", "reset"])
def test_a_worker_cut_off_is_replaced_and_changes_nothing_when_it_is_back(
    world: World, undisturbed: str, cut: Callable[[Proxy], None]
) -> None:
    """Cut beyond the lease: another worker finishes the job; back again: the first one has lost, and stops."""
    job_id = submit(world)
    member = owner_of(world, job_id)

    cut(member.proxy)
    begun = lambda: world.store.jobs.get(job_id).attempt == 2  # noqa: E731
    wait_until(begun, "another worker has taken over")
    member.proxy.heal()
    ended = wait_for_end(world, job_id)
    lines = read_audit(world.directory / "audit.jsonl")

    assert ended.state is JobState.SUCCEEDED
    assert ended.result["weights_sha256"] == undisturbed
    promise = Promise(LONG, "run", job_id=job_id, ended=JobState.SUCCEEDED)
    violations = check(Evidence(world.data_dir / "jobs", world.store, [promise], {LONG: undisturbed}, lines))
    mine = [v for v in violations if job_id in v and "although nothing had happened" not in v]
    assert not mine
    wait_until(
        lambda: any(
            line.job == job_id and line.event == "lost" for line in read_audit(world.directory / "audit.jsonl")
        ),
        "the first attempt has learned that it has lost",
    )


def test_a_slow_line_costs_nothing(world: World, undisturbed: str) -> None:
    """Each block of bytes comes 50 ms late: the lease holds."""
    job_id = submit(world)
    member = owner_of(world, job_id)

    member.proxy.delay(0.05)
    ended = wait_for_end(world, job_id)
    member.proxy.heal()

    assert ended.attempt == 1
    assert ended.result["weights_sha256"] == undisturbed
