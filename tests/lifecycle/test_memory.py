"""The kernel kills for want of memory, for real: in a control group that has next to none."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from keepfit.shared.host import Owner
from keepfit.shared.jobs.directory import open_jobdir
from keepfit.shared.jobs.events import StateChanged
from keepfit.shared.jobs.states import JobState
from keepfit.worker.keeper.deaths import RECENT_S, Deaths
from tests.harness.documents import claim_of
from tests.harness.waiting import wait_until
from tests.lifecycle.conftest import Service

LIMITS = {Path("/sys/fs/cgroup/memory"): "memory.limit_in_bytes", Path("/sys/fs/cgroup"): "memory.max"}
"""Where the first and the second version of control groups have their limit."""
NEXT_TO_NONE = 64 * 1024
BY_THE_KERNEL = "the kernel killed the training process because memory had run out"
SIGKILLED = "Worker exited prematurely: signal 9 (SIGKILL) Job: 0."
"""In billiard's words."""


def make_group() -> Path | None:
    """A control group with a limit; None where the kernel gives us none."""
    for root, limit in LIMITS.items():
        group = root / f"keepfit-test-{os.getpid()}"
        with contextlib.suppress(OSError):
            group.mkdir()
            if (group / limit).exists():
                (group / limit).write_text(str(NEXT_TO_NONE))
                return group
        with contextlib.suppress(OSError):
            group.rmdir()
    return None


@pytest.fixture
def cramped() -> Iterator[Path]:
    """The file that takes the pids of those who shall get no more memory."""
    group = make_group()
    if group is None:
        pytest.skip("no control group with a limit on memory can be made here (it takes root)")
    yield group / "cgroup.procs"
    wait_until(lambda: not (group / "cgroup.procs").read_text(), "nobody is left in the control group")
    group.rmdir()


def kill_for_memory(cramped: Path) -> None:
    """The kernel kills some process, which is none of ours."""
    greedy = subprocess.Popen(["sh", "-c", f"echo $$ > {cramped}; exec sort /dev/zero"])
    assert greedy.wait(20) == -signal.SIGKILL


def reasons_of(service: Service, job_id: str) -> list[str]:
    """The reason of each state that the job has been in."""
    events = [stored.event for stored in service.store.events.read(job_id, count=20_000)]
    return [str(event.reason) for event in events if isinstance(event, StateChanged)]


def test_a_job_killed_for_memory_goes_on_and_says_so(service: Service, cramped: Path) -> None:
    """The page tells who killed the training process, and why; the next attempt finishes the job."""
    job_id = service.submit()
    child = Owner.parse(service.wait_for_step(job_id, 1_000).owner).child

    cramped.write_text(str(child.pid))
    wait_until(lambda: not child.alive(), "the kernel has killed it")
    ended = service.wait_for_end(job_id)

    assert (ended.state, ended.attempt) == (JobState.SUCCEEDED, 2)
    claim = claim_of(open_jobdir(service.data_dir / "jobs", job_id).attempt_dirs()[1])
    assert str(claim.previous_end) == BY_THE_KERNEL
    assert reasons_of(service, job_id) == ["", "", BY_THE_KERNEL, "", ""]


def test_each_kill_for_memory_explains_one_death(cramped: Path) -> None:
    """Two children have died of SIGKILL, of which the kernel killed one."""
    deaths = Deaths()
    kill_for_memory(cramped)

    for pid in (1, 2):
        deaths.record(pid, SIGKILLED)

    assert [str(deaths.take(pid)) for pid in (1, 2)] == [BY_THE_KERNEL, "the training process was killed (SIGKILL)"]


def test_an_old_kill_for_memory_explains_no_death(service: Service, cramped: Path) -> None:
    """The kernel killed something else a while ago; the training process was killed by a person."""
    kill_for_memory(cramped)
    old = time.monotonic() + RECENT_S + 1
    job_id = service.submit(epochs=1_000)
    record = wait_until(lambda: time.monotonic() > old and service.wait_for_step(job_id, 0), "that is long ago")
    assert record

    os.kill(Owner.parse(record.owner).child.pid, signal.SIGKILL)
    wait_until(lambda: service.record(job_id).attempt == 2, "the next attempt has begun")
    service.client.cancel(job_id)
    service.wait_for_end(job_id)

    assert reasons_of(service, job_id)[1:3] == ["", "the training process was killed (SIGKILL)"]
