"""The checker would see it: workers that are broken on purpose, the fault that brings it out, the objection."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from shared.queue import QUEUE, TASK_NAME
from shared.states import JobState
from tests.chaos import checker
from tests.chaos.checker import Evidence, Line, read_audit
from tests.chaos.nemesis import Fault
from tests.chaos.people import SPECS, Promise
from tests.chaos.world import World, _signal
from tests.waiting import wait_until
from worker.owner import Owner

SPEC = "mlp"
SHORT, LONG = 12, 10_000
"""Epochs: until it has ended twice; until it has been taken away."""
pytestmark = pytest.mark.chaos


@contextmanager
def broken_world(directory: Path, app: str, epochs: int = SHORT) -> Iterator[tuple[World, str]]:
    """Two workers that run ``app``, and one submitted job."""
    with World(directory, workers=2, app=f"tests.chaos.broken.{app}") as world:
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
