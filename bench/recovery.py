"""Back to work after a fault: seconds from the fault to the first optimizer step of the next attempt, and steps lost.

    PYTHONPATH=. python bench/recovery.py [--repetitions 20] [--only "worker frozen;server restart"] [--of keepfit,rq]

Keepfit as `keepfit up` runs it, real faults, the queue server's clock. Beside it the same training under
plain Celery and under RQ (bench/peers). Writes bench/results/recovery.json. A step is seen when its
progress event arrives, up to 0.3 s after it was made: the numbers err on the slow side.
"""

import argparse
import contextlib
import json
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from bench.peers import recovery as peers
from bench.record import RESULTS, record
from keepfit.shared.errors import KeepfitError
from keepfit.shared.host import Owner
from keepfit.shared.jobs.events import AttemptStarted, Progress
from keepfit.shared.jobs.states import ENDS, JobState
from keepfit.shared.store import JobRecord, Store, StoredEvent, open_store
from keepfit.web.client import Client
from tests.harness.processes import Household
from tests.harness.services import Service
from tests.harness.waiting import wait_until

SPEC = {"name": "recovery", "training": {"epochs": 100_000, "batch_size": 32}}


@dataclass(frozen=True)
class House:
    """A running `keepfit up`."""

    service: Service
    store: Store
    client: Client
    workers: int

    def train(self) -> JobRecord:
        """A new job that has been at work for a while, the moment chosen at random."""
        job_id = self.client.submit(SPEC).id
        until = time.monotonic() + random.uniform(1.0, 3.0)
        at_work = lambda: (  # noqa: E731
            time.monotonic() > until and (r := self.store.jobs.get(job_id)).checkpoint_step > 0 and r
        )
        found = wait_until(at_work, "the job is at work", 120, poll_s=0.01)
        assert found
        return found

    def events(self, job_id: str) -> list[StoredEvent]:
        """All events of a job."""
        found: list[StoredEvent] = []
        while page := self.store.events.read(job_id, after_id=found[-1].id if found else "0", count=10_000):
            found += page
        return found

    def rest(self, job_id: str) -> None:
        """Give the job up, and wait until all workers are idle again."""
        self.client.cancel(job_id)
        wait_until(lambda: self.store.jobs.get(job_id).state in ENDS, "the job is over", 60)
        wait_until(lambda: len(self.store.workers.list()) == self.workers, "all workers are there", 60)


@dataclass(frozen=True)
class Fault:
    """What is done to a job at work, and with which workers."""

    name: str
    strike: Callable[[Owner], Callable[[], None] | None]
    """Returns how it is undone afterwards, if it must be."""
    workers: int
    target_s: float


def kill_child(owner: Owner) -> None:
    """The training process."""
    os.kill(owner.child.pid, signal.SIGKILL)


def kill_worker(owner: Owner) -> None:
    """The main process of the worker; the kernel takes its children along."""
    os.kill(owner.main.pid, signal.SIGKILL)


def freeze_worker(owner: Owner) -> Callable[[], None]:
    """The worker and its children."""
    main = psutil.Process(owner.main.pid)
    frozen = [main, *main.children(recursive=True)]
    for process in frozen:
        process.suspend()

    def thaw() -> None:
        for process in frozen:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()

    return thaw


def stop_worker(owner: Owner) -> None:
    """As a host that shuts down asks."""
    os.kill(owner.main.pid, signal.SIGTERM)


FAULTS = (
    Fault("training process killed", kill_child, 1, 2.0),
    Fault("worker killed, another idle", kill_worker, 2, 5.0),
    Fault("worker killed, restarted", kill_worker, 1, 5.0),
    Fault("worker frozen", freeze_worker, 2, 6.0),
    Fault("worker stopped (SIGTERM)", stop_worker, 2, 3.0),
)


@contextlib.contextmanager
def keepfit(workers: int) -> Iterator[House]:
    """`keepfit up` with so many workers of one slot."""
    with tempfile.TemporaryDirectory() as folder, Household(Path(folder, "household")) as household:
        service = Service(household, Path(folder, "data"), "--workers", str(workers), "--slots", "1")
        store = open_store(service.redis_url)
        with Client(service.url) as client:
            house = House(service, store, client, workers)
            house.rest(house.train().id)  # the first job of a model compiles it
            yield house
        store.close()


def once(house: House, fault: Fault) -> dict[str, float]:
    """One fault: seconds to the next step, in parts, and steps lost."""
    record = house.train()
    struck_ms = house.store.now_ms()
    owner, later, gone = Owner.parse(record.owner), record.attempt + 1, list[float]()
    undo = fault.strike(owner)

    def stepped() -> StoredEvent | None:
        if not gone and not owner.main.alive():
            gone.append(house.store.now_ms())
        found = house.events(record.id)
        return next((e for e in found if isinstance(e.event, Progress) and e.attempt == later), None)

    first = wait_until(stepped, "the next attempt trains", 120, poll_s=0.02)
    assert first
    woken_s = _until_it_stops(owner, undo) if undo else 0.0
    if fault.strike is stop_worker:
        wait_until(lambda: stepped() and gone, "the worker has ended", 60, poll_s=0.02)
    events = house.events(record.id)
    house.rest(record.id)
    started = next(e for e in events if isinstance(e.event, AttemptStarted) and e.event.attempt == later)
    claimed = next(e for e in events if e.attempt == later and getattr(e.event, "state", "") == JobState.RUNNING.value)
    done = [e.event.step for e in events if isinstance(e.event, Progress) and e.attempt < later]
    assert isinstance(started.event, AttemptStarted)
    return {
        "seconds": (first.at_ms - struck_ms) / 1000,
        "claimed_s": (claimed.at_ms - struck_ms) / 1000,
        "restored_s": (started.at_ms - struck_ms) / 1000,
        "steps_lost": max(0, max(done) - started.event.step),
        "ended_s": (gone[0] - struck_ms) / 1000 if gone else 0.0,
        "woken_s": woken_s,
    }


def _until_it_stops(owner: Owner, thaw: Callable[[], None]) -> float:
    """Wake a frozen attempt that was replaced: seconds until its process has ended by itself."""
    began = time.monotonic()
    thaw()
    wait_until(lambda: not owner.child.alive(), "the old attempt stops by itself", 60, poll_s=0.01)
    return time.monotonic() - began


def restart_server(house: House, repetitions: int) -> dict[str, Any]:
    """kill -9 of the queue server, under one job: seconds until its events arrive again; whether training stopped."""
    record, silences = house.train(), []
    for _ in range(repetitions):
        server = house.service.part("valkey-server")
        assert server is not None
        server.kill()
        struck = time.monotonic()
        wait_until(lambda: _speaks(house, record.id), "events arrive again", 60, poll_s=0.02)
        silences.append(time.monotonic() - struck)
    attempts = house.store.jobs.get(record.id).attempt
    house.rest(record.id)
    return summary(silences) | {"attempts": attempts, "training_stopped": attempts - 1, "repetitions": repetitions}


def _speaks(house: House, job_id: str) -> bool:
    """Whether the job's events arrive."""
    try:
        before = house.store.events.last_id(job_id)
        wait_until(lambda: house.store.events.last_id(job_id) != before, "an event", 1, poll_s=0.01)
    except (KeepfitError, AssertionError):
        return False
    return True


def summary(seconds: list[float]) -> dict[str, float]:
    """Median, 95th percentile (nearest rank) and worst."""
    ordered = sorted(seconds)
    p95 = ordered[max(0, -(-95 * len(ordered) // 100) - 1)]
    return {"p50_s": round(statistics.median(ordered), 3), "p95_s": round(p95, 3), "worst_s": round(ordered[-1], 3)}


def measure(repetitions: int, only: list[str]) -> dict[str, Any]:
    """All faults, on Keepfit."""
    found: dict[str, Any] = {}
    for workers in (1, 2):
        faults = [f for f in FAULTS if f.workers == workers and (not only or f.name in only)]
        server_too = workers == 1 and (not only or "server restart" in only)
        if not faults and not server_too:
            continue
        with keepfit(workers) as house:
            for fault in faults:
                rows = [once(house, fault) for _ in range(repetitions)]
                found[fault.name] = summary([row["seconds"] for row in rows]) | {
                    "target_p95_s": fault.target_s,
                    "repetitions": repetitions,
                    "claimed_p50_s": statistics.median(row["claimed_s"] for row in rows),
                    "restored_p50_s": statistics.median(row["restored_s"] for row in rows),
                    "steps_lost_p50": statistics.median(row["steps_lost"] for row in rows),
                    "steps_lost_worst": max(row["steps_lost"] for row in rows),
                }
                if fault.strike is stop_worker:
                    found[fault.name]["worker_ended_worst_s"] = max(row["ended_s"] for row in rows)
                if fault.strike is freeze_worker:
                    found[fault.name]["woken_ended_worst_s"] = max(row["woken_s"] for row in rows)
                print(f"{fault.name:32}", found[fault.name], flush=True)
            if server_too:
                found["server restart"] = restart_server(house, repetitions)
                print(f"{'server restart':32}", found["server restart"], flush=True)
    return found


def keep(section: str, rows: dict[str, Any]) -> None:
    """Write what was measured into the results, beside what was measured before."""
    path = RESULTS / "recovery.json"
    report = json.loads(path.read_text()) if path.exists() else {}
    report |= {"date": time.strftime("%Y-%m-%d"), "cores": os.cpu_count()}
    report[section] = report.get(section, {}) | rows
    record("recovery", report, measured={section: rows})


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("--peer-repetitions", type=int, default=5)
    parser.add_argument("--only", default="", help="names of faults, with ; between them")
    parser.add_argument("--of", default="keepfit,celery,rq")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # stopped from outside, it still ends what it has started
    only = [name for name in args.only.split(";") if name]
    for contender in args.of.split(","):
        if contender == "keepfit":
            keep(contender, measure(args.repetitions, only))
        else:
            keep(contender, peers.measure(contender, args.peer_repetitions, only))


if __name__ == "__main__":
    main()
