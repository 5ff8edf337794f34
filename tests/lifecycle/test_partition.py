"""A worker that cannot reach the queue server, by a proxy in between; its job is taken over, once."""

from collections.abc import Callable, Iterator

import pytest

from keepfit.shared.host import Owner
from keepfit.shared.jobs.states import ENDS, JobState
from keepfit.shared.store import JobRecord
from tests.chaos.checker import Evidence, check, read_audit
from tests.chaos.people import LONG, SPECS, Promise
from tests.chaos.proxy import Proxy
from tests.chaos.world import Member, World
from tests.harness.waiting import wait_until

BEYOND_A_LEASE_S = 4.5
pytestmark = pytest.mark.chaos


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


def lease_left_ms(world: World, job_id: str) -> int:
    """How long the owner's lease still lasts, on the server's clock."""
    return world.store.jobs.get(job_id).lease_ms - world.store.now_ms()


def late(proxy: Proxy) -> None:
    """Everything arrives, but longer after it was sent than a lease lasts."""
    proxy.delay(BEYOND_A_LEASE_S)


def has_ended_well(world: World, job_id: str, undisturbed: str) -> None:
    """The job ends once, with the weights of an undisturbed one, and every rule was kept."""
    ended = wait_for_end(world, job_id)
    lines = read_audit(world.directory / "audit.jsonl")
    promise = Promise(LONG, "run", job_id=job_id, ended=JobState.SUCCEEDED)
    violations = check(Evidence(world.data_dir / "jobs", world.store, [promise], {LONG: undisturbed}, lines))

    assert ended.state is JobState.SUCCEEDED
    assert ended.result["weights_sha256"] == undisturbed
    assert not [v for v in violations if job_id in v and "although nothing had happened" not in v]


@pytest.mark.parametrize("cut", [Proxy.black_hole, Proxy.reset, late], ids=["black hole", "reset", "late"])
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

    has_ended_well(world, job_id, undisturbed)
    wait_until(
        lambda: any(
            line.job == job_id and line.event == "lost" for line in read_audit(world.directory / "audit.jsonl")
        ),
        "the first attempt has learned that it has lost",
    )


def test_a_late_owner_keeps_a_job_that_nobody_could_take_over(world: World, undisturbed: str) -> None:
    """Its line is later than its lease, and all the others are cut: it has lost nothing when the line is well."""
    job_id = submit(world)
    owner = owner_of(world, job_id)

    for member in world.members:
        (late if member is owner else Proxy.reset)(member.proxy)
    wait_until(lambda: lease_left_ms(world, job_id) < 0, "its lease has lapsed")
    owner.proxy.heal()
    wait_until(lambda: lease_left_ms(world, job_id) > 0, "it has renewed its lease")
    for member in world.members:
        member.proxy.heal()

    has_ended_well(world, job_id, undisturbed)
    assert world.store.jobs.get(job_id).attempt == 1


def test_a_slow_line_costs_nothing(world: World, undisturbed: str) -> None:
    """Each block of bytes comes 50 ms late: the lease holds."""
    job_id = submit(world)
    member = owner_of(world, job_id)

    member.proxy.delay(0.05)
    ended = wait_for_end(world, job_id)
    member.proxy.heal()

    assert ended.attempt == 1
    assert ended.result["weights_sha256"] == undisturbed
