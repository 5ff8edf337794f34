"""The faults of bench/recovery.py on plain Celery and on RQ with its defaults, each try bounded to 120 s.

measure("celery", repetitions, only)       # {fault: {...}}

A fault that is not recovered from within the bound is tried once more only.
"""

import contextlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from celery import Celery

from tests.harness.processes import ROOT, Household, Part, Valkey, marked
from tests.harness.waiting import StillWaiting, wait_until

BOUND_S = 120.0
RQ_PATH = ROOT / ".venv-peers"
"""Where `make bench` installs requirements/bench.lock."""


@dataclass(frozen=True)
class Step:
    """One line of steps.txt."""

    at: float
    pid: int
    step: int


@dataclass
class Shop:
    """One peer with its workers, and the folder of its only job."""

    peer: str
    household: Household
    url: str
    folder: Path
    workers: int

    def start_worker(self) -> Part:
        """One more worker, with one slot."""
        env = {"PEER_BROKER": self.url, "PYTHONPATH": f"{RQ_PATH}:{ROOT}", "TF_CPP_MIN_LOG_LEVEL": "3"}
        if self.peer == "celery":
            name = f"w{len(self.household.parts)}@%h"
            command = ["-m", "celery", "-A", "bench.peers.celery_app", "worker", "-c", "1", "-n", name, "-l", "INFO"]
            part = self.household.start([sys.executable, *command], env)
            self.household.wait_for(part, " ready.", "the worker is ready")
        else:
            part = self.household.start([sys.executable, "-m", "rq.cli", "worker", "--url", self.url], env)
            self.household.wait_for(part, "Listening on", "the worker is ready")
        return part

    def submit(self) -> None:
        """The one job."""
        if self.peer == "celery":
            with Celery(broker=self.url) as sender:
                sender.send_task("train", args=[str(self.folder)])
            return
        code = f"import redis, rq; q = rq.Queue(connection=redis.Redis.from_url({self.url!r})); "
        code += f"q.enqueue('bench.peers.plain.train', {str(self.folder)!r})"
        subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"PYTHONPATH": f"{RQ_PATH}:{ROOT}"})

    def steps(self) -> list[Step]:
        """What has been trained so far."""
        path = self.folder / "steps.txt"
        rows = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
        return [Step(float(r[0]), int(r[1]), int(r[2])) for r in rows if len(r) == 3]


@dataclass(frozen=True)
class Pair:
    """The worker that has the job, and the process that trains."""

    worker: psutil.Process
    child: psutil.Process


@dataclass(frozen=True)
class Strike:
    """A fault: done to the worker that trains and the process that trains."""

    name: str
    do: Callable[[Pair], None]
    workers: int = 2
    restart: bool = False


def _kill_child(pair: Pair) -> None:
    pair.child.kill()


def _kill_worker(pair: Pair) -> None:
    for process in (pair.worker, pair.child):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def _freeze(pair: Pair) -> None:
    pair.worker.suspend()
    pair.child.suspend()


def _terminate(pair: Pair) -> None:
    pair.worker.send_signal(signal.SIGTERM)


STRIKES = (
    Strike("training process killed", _kill_child, workers=1),
    Strike("worker killed, another idle", _kill_worker),
    Strike("worker killed, restarted", _kill_worker, workers=1, restart=True),
    Strike("worker frozen", _freeze),
    Strike("worker stopped (SIGTERM)", _terminate),
)


@contextlib.contextmanager
def shop(peer: str, workers: int) -> Iterator[Shop]:
    """A server and workers of ``peer``; everything is killed in the end."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        household = Household(folder / "household")
        with Valkey(folder / "server") as server:
            (folder / "job").mkdir()
            found = Shop(peer, household, server.url, folder / "job", workers)
            try:
                yield found
            finally:
                for part in household.parts:
                    for process in [*part.children(), psutil.Process(part.pid)] if part.running() else []:
                        with contextlib.suppress(psutil.NoSuchProcess):
                            process.kill()
                    part.process.wait(20)
                for stray in marked(household.mark):
                    stray.kill()


def once(peer: str, strike: Strike) -> tuple[float | None, int]:
    """Seconds to the next step by another process (None: not within the bound), and steps lost."""
    with shop(peer, strike.workers) as found:
        parts = [found.start_worker() for _ in range(strike.workers)]
        found.submit()
        wait_until(lambda: len(found.steps()) > 60, "it trains", 90)
        child = psutil.Process(found.steps()[-1].pid)
        above = {parent.pid for parent in child.parents()} | {child.pid}
        worker = next(psutil.Process(part.pid) for part in parts if part.pid in above)
        struck = time.time()
        strike.do(Pair(worker, child))
        if strike.restart:
            found.start_worker()
        later = lambda: next((s for s in found.steps() if s.at > struck and s.pid != child.pid), None)  # noqa: E731
        try:
            first = wait_until(later, "somebody trains on", BOUND_S)
        except StillWaiting:
            return None, 0
        assert first
        before = max(step.step for step in found.steps() if step.pid == child.pid)
        return first.at - struck, max(0, before - first.step + 1)


def measure(peer: str, repetitions: int, only: list[str]) -> dict[str, Any]:
    """All faults on one peer."""
    found: dict[str, Any] = {}
    for strike in STRIKES:
        if only and strike.name not in only:
            continue
        rows = [once(peer, strike)]
        while len(rows) < (repetitions if rows[0][0] is not None else 2):
            rows.append(once(peer, strike))
        seconds = [s for s, _ in rows if s is not None]
        found[strike.name] = {
            "tries": len(rows),
            "recovered": len(seconds),
            "bound_s": BOUND_S,
            "p50_s": round(statistics.median(seconds), 3) if seconds else None,
            "worst_s": round(max(seconds), 3) if seconds else None,
            "steps_lost_worst": max((lost for s, lost in rows if s is not None), default=None),
        }
        print(f"{peer + ': ' + strike.name:40}", found[strike.name], flush=True)
    return found
