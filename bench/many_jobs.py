"""Keepfit with N jobs in its data directory: how soon it is ready, and whether anything that people wait for gets slow.

    python bench/many_jobs.py [--jobs 100000] [--watch-s 180]

Fills a data directory (bench/jobs/filling.py says how), starts the real `keepfit up` on it with an empty server,
and measures: ready, rebuilt, pages and API, the longest silence of the worker's beat, a killed child, submit to
start, idle CPU, FLUSHALL to rebuilt with pages asked for meanwhile, memory. Writes bench/results/many_jobs.json.
"""

import argparse
import datetime as dt
import json
import os
import signal
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil

from bench.jobs.filling import FILLED_BY, fill, train_one
from bench.jobs.watching import BeatWatch, PageWatch
from bench.record import record
from keepfit.shared.host import Owner
from keepfit.shared.jobs.states import JobState
from keepfit.shared.store import Store, open_store
from tests.harness.processes import Household
from tests.harness.services import Service
from tests.harness.waiting import wait_until

REQUESTS = 200
LONG = {"name": "long", "training": {"epochs": 10_000}}
TARGETS = {
    "ready_s": 10.0, "longest_silence_s": 3.0, "killed_child_worst_s": 3.0, "submit_to_start_worst_s": 2.0,
    "idle_worker_share": 0.02, "rebuilt_after_wipe_s": 60.0, "list_p99_ms": 100.0,
}  # fmt: skip


def quantiles(values: list[float]) -> dict[str, float]:
    """Median and 99th percentile."""
    ordered = sorted(values)
    return {"p50": statistics.median(ordered), "p99": ordered[max(0, round(0.99 * len(ordered)) - 1)]}


class Bench:
    """The running service and what is asked of it."""

    def __init__(self, service: Service, store: Store, jobs: int) -> None:
        self.service, self.store, self.jobs = service, store, jobs
        self.http = httpx.Client(base_url=service.url, timeout=60)
        web, worker = service.part("keepfit.web.serve"), service.part("celery")
        assert web is not None, "there is no web part"
        assert worker is not None, "there is no worker part"
        self.web, self.worker = [web, *web.children(recursive=True)], worker

    def listed(self) -> Any:
        """What the API's list says."""
        return self.http.get("/api/v1/jobs", params={"limit": 1}).json()

    def rebuilt(self) -> bool:
        """Whether the server has every job again."""
        return self.store.jobs.count() >= self.jobs and self.store.upkeep.booted()

    def submit(self, name: str) -> str:
        """The id of a new, long job."""
        answer = self.http.post("/api/v1/jobs", json=LONG | {"name": name})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def runs(self, job_id: str) -> bool:
        """Whether a worker has taken the job."""
        return self.store.jobs.get(job_id).state is JobState.RUNNING

    def trains(self, job_id: str, attempt: int) -> bool:
        """Whether this attempt of the job, or a later one, has made a step."""
        record = self.store.jobs.get(job_id)
        return record.progress_attempt >= attempt and record.progress.get("step", 0) > 0

    def has_checkpoint_after(self, job_id: str, step: int) -> bool:
        """Whether the job has a newer checkpoint than that of ``step``."""
        return self.store.jobs.get(job_id).checkpoint_step > step

    def end(self, job_id: str) -> None:
        """Cancel a job and wait until it has ended."""
        self.http.post(f"/api/v1/jobs/{job_id}/cancel", json={})
        wait_until(lambda: self.store.jobs.get(job_id).state is JobState.CANCELLED, "the job is cancelled")


def pages(bench: Bench) -> dict[str, dict[str, float]]:
    """Milliseconds of each kind of request: one after the other over one connection."""
    total = int(bench.listed()["total"])
    last = max(1, -(-total // 25))
    job_id = bench.http.get("/api/v1/jobs", params={"state": "succeeded", "limit": 1}).json()["jobs"][0]["id"]
    asked = {
        "list, first page": "/",
        "list, middle page": f"/?page={max(1, last // 2)}",
        "list, last page": f"/?page={last}",
        "list, failed trainings": "/?state=failed&kind=train",
        "list, succeeded, deep": f"/?state=succeeded&page={max(1, int(0.8 * last))}",
        "API, 100 jobs, first": "/api/v1/jobs?limit=100",
        "API, 100 jobs, middle": f"/api/v1/jobs?limit=100&offset={total // 2}",
        "API, count of one state": "/api/v1/jobs?state=failed&limit=1",
        "job page": f"/jobs/{job_id}",
        "API, one job": f"/api/v1/jobs/{job_id}",
        "/health": "/health",
    }
    found = {}
    for name, path in asked.items():
        times = []
        for _ in range(REQUESTS):
            began = time.perf_counter()
            answer = bench.http.get(path)
            times.append((time.perf_counter() - began) * 1000)
            assert answer.status_code == 200, f"{path}: {answer.status_code}"
        found[name] = quantiles(times)
        print(f"{name}: p50 {found[name]['p50']:.1f} ms, p99 {found[name]['p99']:.1f} ms", flush=True)
    return found


def starts(bench: Bench, repetitions: int) -> list[float]:
    """Seconds from the request that submits a job until a worker has it."""
    found = []
    for number in range(repetitions):
        began = time.perf_counter()
        job_id = bench.submit(f"starts {number}")
        wait_until(partial(bench.runs, job_id), "it has started", poll_s=0.005)
        found.append(time.perf_counter() - began)
        bench.end(job_id)
    return found


def kills(bench: Bench, repetitions: int) -> list[float]:
    """Seconds from SIGKILL of a training process until the next attempt has reported."""
    job_id = bench.submit("is killed")
    found = []
    for attempt in range(1, repetitions + 1):
        wait_until(partial(bench.trains, job_id, attempt), "it trains", timeout_s=120)
        before = bench.store.jobs.get(job_id)
        wait_until(partial(bench.has_checkpoint_after, job_id, before.checkpoint_step), "it has a checkpoint")
        os.kill(Owner.parse(before.owner).child.pid, signal.SIGKILL)
        began = time.perf_counter()
        wait_until(partial(bench.trains, job_id, attempt + 1), "it trains again", timeout_s=120, poll_s=0.01)
        found.append(time.perf_counter() - began)
    bench.end(job_id)
    return found


def idle(bench: Bench, seconds: float) -> dict[str, float]:
    """The share of a core that the idle service takes."""
    parts = {"idle_web_share": bench.web, "idle_worker_share": [bench.worker, *bench.worker.children(recursive=True)]}
    before = {name: cpu_s(processes) for name, processes in parts.items()}
    began = time.perf_counter()
    time.sleep(seconds)
    passed = time.perf_counter() - began
    return {name: (cpu_s(processes) - before[name]) / passed for name, processes in parts.items()}


def cpu_s(processes: list[psutil.Process]) -> float:
    """Seconds of CPU that these have taken so far."""
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def wipe(bench: Bench) -> dict[str, Any]:
    """FLUSHALL, and what people see until all is back."""
    with PageWatch(bench.service.url) as seen:
        began = time.perf_counter()
        bench.store.link.ask(lambda r: r.flushall())
        wait_until(bench.rebuilt, "the server has every job again", timeout_s=900, poll_s=0.2)
        rebuilt = time.perf_counter() - began
        wait_until(lambda: bench.listed()["live"], "the list is live", timeout_s=900, poll_s=0.2)
    return {
        "rebuilt_after_wipe_s": rebuilt,
        "live_after_wipe_s": time.perf_counter() - began,
        "pages_meanwhile_ms": quantiles(seen.times) | {"worst": max(seen.times), "asked": len(seen.times)},
        "pages_meanwhile_failed": seen.failed,
        "lists_meanwhile_shortest": seen.shortest,
    }


def memory(bench: Bench) -> dict[str, float]:
    """Megabytes."""
    server = bench.store.link.ask(lambda r: r.info("memory"))
    return {
        "web_mb": sum(process.memory_info().rss for process in bench.web) / 1e6,
        "worker_main_mb": bench.worker.memory_info().rss / 1e6,
        "server_used_mb": int(server["used_memory"]) / 1e6,
        "server_rss_mb": int(server["used_memory_rss"]) / 1e6,
    }


@contextmanager
def service_on(folder: Path, jobs: int, found: dict[str, Any]) -> Iterator[Bench]:
    """The real service on a data directory that was filled before."""
    with Household(folder / "household") as household:
        began = time.perf_counter()
        service = Service(household, folder / "data", "--slots", "2")
        found["ready_s"] = time.perf_counter() - began
        print(f"ready after {found['ready_s']:.1f} s", flush=True)
        store = open_store(service.settings.broker_url)
        bench = Bench(service, store, jobs)
        yield bench
        bench.http.close()
        store.close()


def measured(name: str, measure: Callable[[], Any]) -> Any:
    """What ``measure`` answers, shown at once."""
    answer = measure()
    print(f"{name}: {json.dumps(answer, default=str)}", flush=True)
    return answer


def run(folder: Path, jobs: int, watch_s: float) -> dict[str, Any]:
    """All of it, on ``jobs`` jobs."""
    found: dict[str, Any] = {"jobs": jobs, "cores": os.cpu_count(), "date": dt.date.today().isoformat()}  # noqa: DTZ011
    found["filled"] = FILLED_BY
    began = time.perf_counter()
    fill(folder / "data", train_one(folder / "trained"), jobs)
    found["filled_s"] = measured("filled, s", lambda: time.perf_counter() - began)
    with service_on(folder, jobs, found) as bench, BeatWatch(bench.store) as beat:
        began = time.perf_counter()
        wait_until(bench.rebuilt, "the server knows every job", timeout_s=1800, poll_s=0.5)
        found["rebuilt_after_start_s"] = measured("rebuilt, s", lambda: time.perf_counter() - began + found["ready_s"])
        wait_until(lambda: bench.listed()["total"] >= jobs and bench.listed()["live"], "the list is whole", 1800)
        found["whole_list_after_start_s"] = time.perf_counter() - began + found["ready_s"]
        found["silence_at_start_s"] = measured("longest silence at start", beat.longest)
        found["pages_ms"] = pages(bench)
        since = time.perf_counter()
        begun, again = measured("starts", lambda: starts(bench, 8)), measured("kills", lambda: kills(bench, 5))
        time.sleep(max(0.0, watch_s - 60 - (time.perf_counter() - since)))
        found["submit_to_start_s"], found["submit_to_start_worst_s"] = statistics.median(begun), max(begun)
        found["killed_child_s"], found["killed_child_worst_s"] = statistics.median(again), max(again)
        found |= measured("idle", lambda: idle(bench, 60))
        found["watched_s"] = time.perf_counter() - since
        found |= measured("memory", lambda: memory(bench)) | measured("wipe", lambda: wipe(bench))
        found["silence_later_s"] = measured("longest silence later", beat.longest)
    found["longest_silence_s"] = max(found["silence_at_start_s"], found["silence_later_s"])
    found["list_p99_ms"] = max(row["p99"] for name, row in found["pages_ms"].items() if name.startswith("list"))
    found["load"] = os.getloadavg()[0]
    found["missed"] = [name for name, most in TARGETS.items() if found[name] > most]
    return found


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--watch-s", type=float, default=180.0, help="how long the beat is watched at least")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="many-jobs-") as folder:
        found = run(Path(folder), asked.jobs, asked.watch_s)
        print(json.dumps(found, indent=1), flush=True)
        record("many_jobs", found)
        # Removing 100,000 directories takes minutes on a busy disk.


if __name__ == "__main__":
    main()
