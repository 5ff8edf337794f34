"""The checker would see it: workers that are broken on purpose, the fault that brings it out, the objection."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from keepfit.shared.host import Owner
from keepfit.shared.jobs.deleting import bury
from keepfit.shared.jobs.states import JobState
from keepfit.shared.queue import QUEUE, TASK_NAME
from keepfit.shared.store import keys
from tests.chaos import checker
from tests.chaos.checker import Evidence, Line, read_audit
from tests.chaos.nemesis import Fault
from tests.chaos.people import SPECS, Promise
from tests.chaos.world import World, _signal
from tests.harness.waiting import wait_until

SPEC = "mlp"
SHORT, LONG = 12, 10_000
"""Epochs: until it has ended twice; until it has been taken away."""
pytestmark = pytest.mark.chaos


@contextmanager
def broken_world(directory: Path, app: str, epochs: int = SHORT, workers: int = 2) -> Iterator[tuple[World, str]]:
    """Workers that run ``app``, and one submitted job."""
    with World(directory, workers=workers, app=f"tests.chaos.broken.{app}") as world:
        training = SPECS[SPEC]["training"] | {"epochs": epochs}
        yield world, world.client.submit({"name": SPEC, "training": training}).id


def lines_of(world: World, wanted: Callable[[list[Line]], Any], description: str) -> list[Line]:
    """The audit file once ``wanted`` holds for it."""
    path = world.directory / "audit.jsonl"
    wait_until(lambda: wanted(read_audit(path)), description, timeout_s=60)
    return read_audit(path)


def evidence(world: World, job_id: str, lines: list[Line], *faults: Fault) -> Evidence:
    """What the checker is shown."""
    promise = Promise(SPEC, job_id=job_id, ended=JobState.SUCCEEDED)
    return Evidence(world.data_dir / "jobs", world.store, [promise], {}, lines, faults)


def begun(count: int) -> Callable[[list[Line]], bool]:
    """Whether ``count`` attempts have begun."""
    return lambda lines: sum(line.event == "begin" for line in lines) >= count


def ended(count: int) -> Callable[[list[Line]], bool]:
    """Whether ``count`` ends have been accepted."""
    return lambda lines: sum(line.final for line in lines) >= count


def test_without_a_fence_a_woken_attempt_has_effect(tmp_path: Path) -> None:
    """A worker is frozen beyond its lease and wakes: the checker sees its end beside the second attempt's."""
    with broken_world(tmp_path, "no_fence") as (world, job_id):
        lines_of(world, begun(1), "the first attempt begins")
        owner = Owner.parse(world.store.jobs.get(job_id).owner)
        frozen = [owner.main.pid, owner.child.pid]

        for pid in frozen:
            _signal(pid, signal.SIGSTOP)
        lines_of(world, begun(2), "the second attempt begins")
        for pid in frozen:
            _signal(pid, signal.SIGCONT)
        lines = lines_of(world, ended(2), "both have ended the job")

        found = evidence(world, job_id, lines)
        assert [*checker.ends_are_final(found), *checker.one_attempt_at_a_time(found)]


def test_a_late_ack_trains_twice_after_a_connection_blip(tmp_path: Path) -> None:
    """CLIENT KILL redelivers what still runs: the checker sees two attempts at once."""
    with broken_world(tmp_path, "late_ack") as (world, job_id):
        with Celery(broker=world.server.url) as sender:
            sender.send_task(TASK_NAME, args=[job_id], queue=QUEUE)
        lines_of(world, begun(1), "the first attempt begins")

        world.redis.execute_command("CLIENT", "KILL", "TYPE", "normal")
        lines = lines_of(world, ended(2), "both have ended the job")

        found = evidence(world, job_id, lines)
        assert [*checker.ends_are_final(found), *checker.one_attempt_at_a_time(found)]


def test_reaping_without_a_look_at_the_lease_robs_living_attempts(tmp_path: Path) -> None:
    """Nothing happens at all, and a lease lapses: the checker asks for the reason."""
    with broken_world(tmp_path, "reap_all", LONG) as (world, job_id):
        lines = lines_of(world, lambda found: any(line.event.startswith("lapsed") for line in found), "a lease lapses")

        assert list(checker.leases_lapse_for_a_reason(evidence(world, job_id, lines)))


def submit_another(world: World) -> str:
    """A second job, that waits for the only slot."""
    training = SPECS[SPEC]["training"] | {"epochs": SHORT, "seed": 12}
    job_id = world.client.submit({"name": SPEC, "training": training}).id
    wait_until(lambda: world.store.jobs.get(job_id).state is JobState.QUEUED, "the second job waits")
    wait_until(world.store.upkeep.booted, "all jobs were compared for the first time")
    return job_id


def test_a_scan_that_skips_the_queue_loses_a_job(tmp_path: Path) -> None:
    """The queue's key is lost: the checker sees a queued job that is in no queue."""
    with broken_world(tmp_path, "skips_ready", LONG, workers=1) as (world, first):
        lines_of(world, begun(1), "the first job runs")
        second = submit_another(world)
        world.redis.delete(keys.READY)
        before = world.store.now_ms()
        wait_until(lambda: world.store.now_ms() - before > 5_000, "it was compared some times")

        found = evidence(world, second, [])
        world.client.cancel(first)
        assert [said for said in checker.both_sides_say_the_same(found) if second in said]


def test_a_claim_that_takes_a_shell_is_seen(tmp_path: Path) -> None:
    """The record of a queued job is lost, and it is claimed all the same: the checker sees a record that is none."""
    with broken_world(tmp_path, "takes_shells", LONG, workers=1) as (world, first):
        lines_of(world, begun(1), "the first job runs")
        second = submit_another(world)
        world.redis.delete(keys.job(second))
        world.client.cancel(first)
        lines_of(world, begun(2), "the shell is claimed")

        assert [said for said in checker.both_sides_say_the_same(evidence(world, second, [])) if second in said]


def test_a_reader_that_stops_at_a_bad_row_is_seen(tmp_path: Path) -> None:
    """A row between the others is damaged: the checker misses the end of the curves."""
    with World(tmp_path, workers=1, web_module="tests.chaos.broken.stops_at_bad_row") as world:
        job_id = world.client.submit({"name": SPEC, **SPECS[SPEC]}).id
        wait_until(lambda: world.store.jobs.get(job_id).progress, "it trains", timeout_s=60)
        (file,) = (world.data_dir / "jobs" / job_id).glob("attempts/*/metrics.jsonl")
        with file.open("a") as rows:
            rows.write("{no row\n")
        lines = lines_of(world, ended(1), "it ends")

        promise = Promise(SPEC, job_id=job_id, ended=JobState.SUCCEEDED)
        found = Evidence(world.data_dir / "jobs", world.store, [promise], {}, lines, history=world.client.history)
        assert list(checker.curves_come_to_the_end(found))


def test_a_submit_that_brings_a_deleted_job_back_is_seen(tmp_path: Path) -> None:
    """A program repeats its submit after the job was deleted: the checker sees a directory again."""
    with World(tmp_path, workers=1, web_module="tests.chaos.broken.forgets_tombstones") as world:
        promise = Promise(SPEC, job_id=world.client.submit({"name": SPEC, **SPECS[SPEC]}, key="again").id)
        world.client.delete(promise.job_id, cancel=True)
        promise.deleting = promise.deleted = True
        world.client.submit({"name": SPEC, **SPECS[SPEC]}, key="again")

        found = Evidence(world.data_dir / "jobs", world.store, [promise], {}, [])
        assert [said for said in checker.deleted_stays_deleted(found) if "has a directory again" in said]


def test_a_scan_that_ignores_tombstones_is_seen(tmp_path: Path) -> None:
    """The web process has died after the move: the checker sees that nobody frees the space."""
    with broken_world(tmp_path, "leaves_graves", LONG, workers=1) as (world, job_id):
        lines_of(world, begun(1), "it runs")
        bury(world.data_dir / "jobs", job_id)
        wait_until(lambda: not world.store.jobs.count(), "the server has heard of it", timeout_s=90)

        promise = Promise(SPEC, job_id=job_id, deleting=True, deleted=True)
        found = Evidence(world.data_dir / "jobs", world.store, [promise], {}, [])
        assert [said for said in checker.deleted_stays_deleted(found) if "is not freed" in said]
