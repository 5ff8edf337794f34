"""A worker whose consumer is dead or hangs: it says so, gives its jobs back, and ends to be replaced."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from keepfit.shared.jobs.directory import create_jobdir
from keepfit.shared.jobs.states import JobState
from keepfit.shared.settings import Settings
from keepfit.shared.store import Store
from tests.harness.processes import CELERY, Household, Part, environment_of
from tests.harness.specs import accepted
from tests.harness.waiting import wait_until

GRACE_S = 2.0
BROKEN = {
    "hangs": "broken.touch(); [time.sleep(0.2) for _ in iter(int, 1)]",
    "asks for no kicks": "Channel._brpop_start = lambda *_: broken.touch()",
    "raises": "broken.touch(); raise RuntimeError('as a bug of Celery would')",
}
"""What happens in the worker's main thread."""
SABOTAGE = """
import time
from pathlib import Path
from celery.signals import worker_ready
from keepfit.worker.broker import Channel

order, broken = Path({folder!r}, "break"), Path({folder!r}, "broken")

def breaks():
    {code}

@worker_ready.connect(weak=False)
def arm(sender, **_):
    def look():
        if order.exists() and not broken.exists():
            sender.hub.call_soon(breaks)
    sender.hub.call_repeatedly(0.1, look)
"""


@pytest.fixture
def start(settings: Settings, household: Household, tmp_path: Path) -> Callable[[str], Part]:
    """Starts a worker of two slots that breaks in the given way as soon as the file `break` is there."""

    def begin(way: str) -> Part:
        (tmp_path / "sabotage.py").write_text(SABOTAGE.format(folder=str(tmp_path), code=BROKEN[way]))
        mine = settings.model_copy(update={"slots": 2, "stop_grace_s": GRACE_S})
        env = environment_of(mine) | {"PYTHONPATH": str(tmp_path)}
        options = ["-I", "sabotage", "-n", "test@%h", "-l", "INFO", "-c", "2"]
        part = household.start([sys.executable, *CELERY, "worker", *options], env)
        household.wait_for(part, " ready.", "the worker is ready")
        return part

    return begin


def submit(settings: Settings, store: Store, seed: int) -> str:
    """A job of hours."""
    training = {"epochs": 100_000, "batch_size": 2, "seed": seed}
    jobdir, _ = create_jobdir(settings.jobs_dir, accepted({"name": "of hours", "training": training}))
    store.jobs.create(jobdir)
    return jobdir.id


@pytest.mark.parametrize("way", BROKEN)
def test_a_worker_that_takes_no_kicks_gives_its_jobs_back_and_ends(
    way: str, start: Callable[[str], Part], settings: Settings, store: Store, household: Household, tmp_path: Path
) -> None:
    """However its consumer broke: the running job is given back with a checkpoint, and the worker ends by itself."""
    worker = start(way)
    first = submit(settings, store, 1)
    wait_until(lambda: store.jobs.get(first).progress, "the first job trains")
    (tmp_path / "break").touch()
    wait_until((tmp_path / "broken").exists, "the consumer is broken")
    second = submit(settings, store, 2)

    if way != "raises":
        deaf = lambda: str(store.jobs.waiting(second).reason) == "no worker takes jobs now"  # noqa: E731
        wait_until(deaf, "the second job says why it waits", timeout_s=10, poll_s=0.02)
    code = worker.wait(20)

    assert code != 0
    given_back = store.jobs.get(first)
    assert (given_back.state, str(given_back.reason)) == (JobState.QUEUED, "its worker was stopped")
    assert given_back.checkpoint_step > 0
    assert store.workers.list() == []
    household.start_worker(settings.model_copy(update={"slots": 2}))
    wait_until(lambda: {store.jobs.get(job).state for job in (first, second)} == {JobState.RUNNING}, "both run")


def test_a_worker_that_was_frozen_is_not_deaf(settings: Settings, store: Store, household: Household) -> None:
    """SIGSTOP of everything for longer than a deaf consumer is borne: awake again it just goes on."""
    worker = household.start_worker(settings.model_copy(update={"slots": 2, "stop_grace_s": 1.0}))
    wait_until(lambda: store.workers.list() and store.workers.list()[0].takes, "it takes jobs")
    os.kill(worker.pid, signal.SIGSTOP)
    before = store.now_ms()
    wait_until(lambda: store.now_ms() - before > 3_000, "longer than a deaf consumer is borne")
    os.kill(worker.pid, signal.SIGCONT)

    job = submit(settings, store, 1)
    wait_until(lambda: store.jobs.get(job).state is JobState.RUNNING, "it takes the job")

    assert psutil.pid_exists(worker.pid)
    assert "has taken no kicks" not in worker.text()


def test_a_worker_whose_slots_are_all_busy_is_not_deaf(settings: Settings, store: Store, household: Household) -> None:
    """It asks for no kicks then, for hours."""
    worker = household.start_worker(settings.model_copy(update={"slots": 1, "stop_grace_s": 0.5}))
    job = submit(settings, store, 1)
    wait_until(lambda: store.jobs.get(job).progress.get("step", 0) > 0, "it trains")
    before = store.now_ms()
    wait_until(lambda: store.now_ms() - before > 3_000, "longer than a deaf consumer is borne")

    assert [w.takes for w in store.workers.list()] == [True]
    assert "has taken no kicks" not in worker.text()
