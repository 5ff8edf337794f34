"""kill -9 of anything: the job goes on by itself and ends with the bits of an undisturbed one."""

import os
import signal
from collections.abc import Callable

import psutil
import pytest

from keepfit.shared.host import Owner
from keepfit.shared.jobs.events import AttemptStarted
from keepfit.shared.jobs.states import JobState
from keepfit.shared.store import JobRecord
from tests.harness.waiting import wait_until
from tests.lifecycle.conftest import STEPS, Service

Victim = Callable[[Service, JobRecord], int]


def child_of(service: Service, record: JobRecord) -> int:
    """The process that trains."""
    return Owner.parse(record.owner).child.pid


def main_of(service: Service, record: JobRecord) -> int:
    """The worker's main process."""
    return Owner.parse(record.owner).main.pid


def server_of(service: Service, record: JobRecord) -> int:
    """The embedded server."""
    return int(service.part("valkey-server").pid)


def web_of(service: Service, record: JobRecord) -> int:
    """The web server's main process."""
    return int(service.part("keepfit.web.serve").pid)


@pytest.mark.parametrize(("victim", "attempts"), [(child_of, 2), (main_of, 2), (server_of, 1), (web_of, 1)])
def test_a_killed_part_changes_nothing_in_the_end(
    service: Service, undisturbed: str, victim: Victim, attempts: int
) -> None:
    """Kill one part mid-epoch: the same sha256, every step done once; training stops only with its worker."""
    job_id = service.submit()
    record = service.wait_for_step(job_id, 2_000)

    os.kill(victim(service, record), signal.SIGKILL)
    ended = service.wait_for_end(job_id)

    assert (ended.state, str(ended.reason)) == (JobState.SUCCEEDED, "")
    assert ended.result["weights_sha256"] == undisturbed
    assert ended.result["step"] == STEPS
    assert ended.attempt == attempts


def test_ten_kills_in_one_job(service: Service, undisturbed: str) -> None:
    """The training process is killed ten times; each attempt goes on from a later checkpoint."""
    job_id = service.submit()
    passed = 0
    for _ in range(10):
        record = service.wait_for_step(job_id, passed + 300)
        passed = int(record.progress["step"])
        os.kill(child_of(service, record), signal.SIGKILL)
    ended = service.wait_for_end(job_id)

    starts = [
        s.event.step for s in service.store.events.read(job_id, count=20_000) if isinstance(s.event, AttemptStarted)
    ]
    assert ended.result["weights_sha256"] == undisturbed
    assert ended.attempt == 11
    assert starts == sorted(starts)
    assert starts[-1] > 0


def test_a_killed_training_process_is_told_in_plain_words(service: Service) -> None:
    """The page says what happened."""
    job_id = service.submit()
    os.kill(child_of(service, service.wait_for_step(job_id, 500)), signal.SIGKILL)
    service.wait_for_end(job_id)

    reasons = [str(s.event.reason) for s in service.store.events.read(job_id, count=20_000) if s.event.type == "state"]  # type: ignore[attr-defined]
    assert "the training process was killed (SIGKILL)" in reasons


def test_the_drill_kills_the_worker_and_the_job_recovers(service: Service, undisturbed: str) -> None:
    """The button does a real kill -9 of the worker's main process."""
    job_id = service.submit()
    record = service.wait_for_step(job_id, 1_000)
    worker = psutil.Process(main_of(service, record))

    service.client.drill(job_id)
    worker.wait(10)
    ended = service.wait_for_end(job_id)

    assert ended.result["weights_sha256"] == undisturbed
    assert ended.attempt == 2


def test_a_frozen_worker_is_replaced_and_changes_nothing_when_it_wakes(service: Service, undisturbed: str) -> None:
    """SIGSTOP beyond the lease: another worker finishes the job; SIGCONT: the old attempt ends as lost."""
    job_id = service.submit()
    owner = Owner.parse(service.wait_for_step(job_id, 1_000).owner)
    for pid in (owner.main.pid, owner.child.pid):
        os.kill(pid, signal.SIGSTOP)

    ended = service.wait_for_end(job_id)
    before = service.store.events.last_id(job_id)
    for pid in (owner.main.pid, owner.child.pid):
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: not owner.child.alive(), "the woken attempt has ended", timeout_s=5)

    assert ended.result["weights_sha256"] == undisturbed
    assert ended.attempt == 2
    assert service.record(job_id) == ended
    assert service.store.events.last_id(job_id) == before


def test_a_frozen_training_process_is_replaced(service: Service, undisturbed: str) -> None:
    """SIGSTOP of the child only, beyond the lease: a later attempt finishes; the woken one changes nothing."""
    job_id = service.submit()
    child = Owner.parse(service.wait_for_step(job_id, 1_000).owner).child

    os.kill(child.pid, signal.SIGSTOP)
    ended = service.wait_for_end(job_id)
    before = service.store.events.last_id(job_id)
    if child.alive():  # else its keeper, seeing it frozen without a lease, has killed it
        os.kill(child.pid, signal.SIGCONT)
    wait_until(lambda: not child.alive(), "the woken attempt has ended", timeout_s=5)

    assert ended.attempt == 2
    assert ended.result["weights_sha256"] == undisturbed
    assert service.record(job_id) == ended
    assert service.store.events.last_id(job_id) == before


def test_a_frozen_main_process_stops_no_training(service: Service, undisturbed: str) -> None:
    """Where only the worker's main process is stopped, the training goes on and ends well."""
    job_id = service.submit()
    owner = Owner.parse(service.wait_for_step(job_id, 1_000).owner)

    os.kill(owner.main.pid, signal.SIGSTOP)
    ended = service.wait_for_end(job_id)
    os.kill(owner.main.pid, signal.SIGCONT)

    assert ended.result["weights_sha256"] == undisturbed
    assert ended.attempt == 1
