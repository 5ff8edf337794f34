"""Fixtures of the chores' tests: a clock that stands still, short leases, one job, processes dead and frozen."""

import subprocess
from collections.abc import Iterator

import pytest

from keepfit.shared.host import Process
from keepfit.shared.jobs.directory import JobDir
from keepfit.shared.settings import Settings
from keepfit.shared.store import Store
from keepfit.worker.keeper.chores import RollCall
from tests.harness.clock import HandClock
from tests.harness.waiting import wait_until
from tests.keeper.acting import LEASE_S, claim, submit


@pytest.fixture
def clock() -> HandClock:
    """Stands still."""
    return HandClock()


@pytest.fixture
def short(settings: Settings) -> Settings:
    """Settings with short leases."""
    return settings.model_copy(update={"lease_s": LEASE_S, "stop_grace_s": 5.0, "renew_s": 1.0})


@pytest.fixture
def roll(store: Store) -> RollCall:
    """Asks who runs."""
    return RollCall(store)


@pytest.fixture
def jobdir(settings: Settings, store: Store) -> JobDir:
    """A queued job."""
    return submit(settings, store, "watched")


@pytest.fixture
def gone() -> Process:
    """A process that has ended."""
    with subprocess.Popen(["true"]) as process:
        return Process.of(process.pid)


@pytest.fixture
def frozen() -> Iterator[Process]:
    """A process that does not end by itself."""
    with subprocess.Popen(["sleep", "600"]) as process:
        yield Process.of(process.pid)
        process.kill()


@pytest.fixture
def lapsed(store: Store, jobdir: JobDir) -> JobDir:
    """A job whose owner, of another machine, is silent."""
    wait_until(lambda: store.upkeep.uptime_s() > 4 * LEASE_S, "the server is no young one any more")
    claim(store, jobdir, "elsewhere/1:1:1:1:1:1", lease_s=0.0)
    return jobdir
