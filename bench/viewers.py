"""What people who watch cost: 500 open pages of one running job, and of 50.

    python bench/viewers.py [--viewers 500] [--seconds 10]

A real web side over a real server; a thread acts as the workers of so many running jobs, each of which reports twice a
second; another reads every stream. Tells the CPU, threads and memory of the web process, its connections to the
server, how late an event arrives, whether one was lost or came twice, and how soon other pages answer meanwhile.
Writes bench/results/viewers.json.
"""

import argparse
import http.client
import json
import os
import re
import selectors
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil

from bench.record import record
from keepfit.shared.settings import Settings
from keepfit.shared.store import Store, open_store
from tests.harness.processes import Household, Part, Valkey, answers, environment_of, free_port
from tests.harness.waiting import wait_until
from tests.web.acting import Actor, Run

REPORTS_A_SECOND = 2.0
STEP = re.compile(rb'event: progress\ndata: \{"at_ms":[0-9]+,"in_attempt":1,"step":([0-9]+),')


class Viewers:
    """So many open streams, shared out among the jobs and read by one thread, which notes when each report arrives."""

    def __init__(self, port: int, count: int, job_ids: list[str]) -> None:
        self.jobs = [job_ids[number % len(job_ids)] for number in range(count)]
        self.arrived: list[dict[int, list[float]]] = [{} for _ in range(count)]
        self.begun = 0
        self._rest = [b""] * count
        self._selector = selectors.DefaultSelector()
        self._held, self._done = [], False
        for number, job_id in enumerate(self.jobs):
            connection = socket.create_connection(("127.0.0.1", port), timeout=20)
            connection.sendall(f"GET /api/v1/jobs/{job_id}/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            self._selector.register(connection, selectors.EVENT_READ, number)
            self._held.append(connection)
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        while not self._done:
            for key, _ in self._selector.select(0.2):
                data = key.fileobj.recv(262_144)  # type: ignore[union-attr]
                if not data:
                    self._selector.unregister(key.fileobj)
                self._note(key.data, data, time.monotonic())

    def _note(self, number: int, data: bytes, now: float) -> None:
        self.begun += data.startswith(b"HTTP/1.1 200")
        whole, cut, rest = (self._rest[number] + data).rpartition(b"\n\n")
        self._rest[number] = rest
        for step in STEP.findall(whole + cut):
            self.arrived[number].setdefault(int(step), []).append(now)

    def close(self) -> None:
        """Stop reading and hang up."""
        self._done = True
        self._thread.join()
        for connection in self._held:
            connection.close()


class Reports:
    """Has each job report twice a second, the jobs one after the other."""

    def __init__(self, runs: list[Run]) -> None:
        self.told: list[dict[int, float]] = [{} for _ in runs]
        self._runs, self._done = runs, threading.Event()
        self._thread = threading.Thread(target=self._report)
        self._thread.start()

    def _report(self) -> None:
        gap, due, step = 1 / REPORTS_A_SECOND / len(self._runs), time.monotonic(), 0
        while not self._done.is_set():
            step += 1
            for number, run in enumerate(self._runs):
                self.told[number][step] = time.monotonic()
                run.progress(step)
                due += gap
                self._done.wait(max(0.0, due - time.monotonic()))

    def close(self) -> None:
        """Report no more."""
        self._done.set()
        self._thread.join()


def delays(reports: Reports, viewers: Viewers, since: float, until: float) -> dict[str, Any]:
    """How late the reports of a span arrived, and whether each came once."""
    found, lost, doubled = [], 0, 0
    jobs = len(reports.told)
    for number, arrived in enumerate(viewers.arrived):
        for step, at in reports.told[number % jobs].items():
            if since <= at < until:
                times = arrived.get(step, [])
                lost, doubled = lost + (not times), doubled + max(0, len(times) - 1)
                found += [1000 * (each - at) for each in times[:1]]
    found.sort()
    named = {f"p{share}": round(found[int(len(found) * share / 100)], 1) for share in (50, 95, 99)} if found else {}
    return {"lag_ms": named, "arrived": len(found), "lost": lost, "doubled": doubled}


def page_times(port: int, path: str, seconds: float) -> dict[str, float]:
    """Milliseconds of one page asked for again and again, while the viewers watch."""
    found, until = [], time.monotonic() + seconds
    while time.monotonic() < until:
        began = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", path)
        connection.getresponse().read()
        connection.close()
        found.append(1000 * (time.monotonic() - began))
    found.sort()
    return {"p50": round(found[len(found) // 2], 1), "p99": round(found[int(len(found) * 0.99)], 1)}


def watched(part: Part, port: int, store: Store, viewers: Viewers, runs: list[Run], seconds: float) -> dict[str, Any]:
    """What ``viewers`` cost while ``runs`` report."""
    wait_until(lambda: viewers.begun == len(viewers.jobs), "every stream is open", timeout_s=60)
    reports, process = Reports(runs), psutil.Process(part.pid)
    try:
        time.sleep(2)
        began, before = time.monotonic(), sum(process.cpu_times()[:2])
        time.sleep(seconds)
        ended, used = time.monotonic(), sum(process.cpu_times()[:2]) - before
        found = {"cpu_share": round(used / (ended - began), 3), "threads": process.num_threads()}
        found["rss_mb"] = round(process.memory_info().rss / 1e6)
        clients = store.link.ask(lambda r: r.client_list())
        found["connections"] = sum(1 for each in clients if each["name"] != "bench") - 1  # but for the workers' own
        found["pages_ms"] = {path: page_times(port, path, seconds / 2) for path in ("/health", "/")}
    finally:
        reports.close()
    time.sleep(2)  # for the last one to arrive
    return found | delays(reports, viewers, began, ended)


def measure(count: int, jobs: int, seconds: float) -> dict[str, Any]:
    """``count`` viewers of ``jobs`` running jobs."""
    with tempfile.TemporaryDirectory() as folder, Household(Path(folder) / "household") as household:
        port = free_port()
        with Valkey(Path(folder) / "valkey") as server:
            settings = Settings(data_dir=Path(folder) / "data", redis_url=server.url, port=port)
            part = household.start((sys.executable, "-m", "keepfit.web.serve"), environment_of(settings))
            wait_until(lambda: answers(port), "the web side answers", timeout_s=30)
            store = open_store(settings.broker_url)
            actor = Actor(settings, store)
            runs = [actor.claim(_submitted(port)) for _ in range(jobs)]
            viewers = Viewers(port, count, [run.claim.job_id for run in runs])
            try:
                return watched(part, port, store, viewers, runs, seconds)
            finally:
                viewers.close()
                store.close()
                part.stop()


def _submitted(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("POST", "/api/v1/jobs", json.dumps({"name": "watched"}), {"Content-Type": "application/json"})
    job_id = str(json.loads(connection.getresponse().read())["id"])
    connection.close()
    return job_id


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--viewers", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=10.0)
    asked = parser.parse_args()
    found: dict[str, Any] = {"cores": os.cpu_count(), "viewers": asked.viewers}
    for jobs in (1, 50):
        found[f"of {jobs} jobs"] = measure(asked.viewers, jobs, asked.seconds)
        found["load"] = round(os.getloadavg()[0], 1)
        print(json.dumps({f"of {jobs} jobs": found[f"of {jobs} jobs"], "load": found["load"]}), flush=True)
    record("viewers", found)


if __name__ == "__main__":
    main()
