"""Which web server: pages beside half-open connections, hundreds of streams, and submits that wait for the disk.

    PYTHONPATH=. python bench/web_servers.py [--only keepfit,gevent] [--seconds 4]

Each candidate of bench/peers/web_servers.py serves the real web side over a real server and 200 jobs. Writes
bench/results/web_servers.json. Times are in milliseconds; everything shares the machine's cores.
"""

import argparse
import http.client
import json
import os
import selectors
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from bench.peers.web_servers import SERVERS
from bench.record import record
from keepfit.shared.store import keys, open_store
from tests.harness.processes import Valkey, answers, free_port
from tests.harness.waiting import wait_until

ROOT = Path(__file__).resolve().parent.parent
_POST = b"POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: %s\r\nContent-Length: 500\r\n\r\n"
LEFT_OPEN = (
    b"G",
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Half: ",
    _POST % (b"/api/v1/jobs", b"application/json") + b'{"na',
    _POST % (b"/jobs", b"application/x-www-form-urlencoded") + b"name=ha",
)
"""One byte, half a header, half a JSON body, half a form."""
JOBS = 200


def _ask(port: int, path: str, body: Any = None, timeout_s: float = 5.0) -> float | None:
    """Milliseconds for one answer on a new connection; None if there was none in time."""
    began = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        if body is None:
            connection.request("GET", path)
        else:
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        return (time.perf_counter() - began) * 1000 if answer.status < 300 else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _times(port: int, path: str, seconds: float) -> dict[str, Any]:
    found, lost, until = [], 0, time.monotonic() + seconds
    while time.monotonic() < until and lost < 2:
        took = _ask(port, path)
        if took is None:
            lost += 1
        else:
            found.append(took)
    found.sort()
    if not found:
        return {"answers": 0, "lost": lost}
    p99 = found[min(len(found) - 1, int(len(found) * 0.99))]
    return {"answers": len(found), "lost": lost, "p50": round(statistics.median(found), 1), "p99": round(p99, 1)}


@contextmanager
def _half_open(port: int, count: int) -> Iterator[None]:
    held = []
    for number in range(count):
        connection = socket.create_connection(("127.0.0.1", port), timeout=5)
        connection.sendall(LEFT_OPEN[number % len(LEFT_OPEN)])
        held.append(connection)
    time.sleep(0.5)  # for the server to take note of them
    try:
        yield
    finally:
        for connection in held:
            connection.close()


class _Readers:
    """So many open streams of the list, read by one thread, which notes when each change arrives."""

    def __init__(self, port: int, count: int) -> None:
        self.selector = selectors.DefaultSelector()
        self.arrived: dict[str, list[float]] = {}
        self.open, self.refused, self.done = 0, 0, False
        request = b"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        self.held = []
        for _ in range(count):
            connection = socket.create_connection(("127.0.0.1", port), timeout=10)
            connection.sendall(request)
            self.selector.register(connection, selectors.EVENT_READ)
            self.held.append(connection)
        self.thread = threading.Thread(target=self._read)
        self.thread.start()

    def _read(self) -> None:
        while not self.done:
            for key, _ in self.selector.select(0.2):
                try:
                    data = key.fileobj.recv(65536)  # type: ignore[union-attr]
                except OSError:
                    data = b""
                self._note(data, time.perf_counter())
                if not data:
                    self.selector.unregister(key.fileobj)

    def _note(self, data: bytes, now: float) -> None:
        self.open += data.startswith(b"HTTP/1.1 200")
        self.refused += data.startswith(b"HTTP/1.1 503")
        for part in data.split(b'"job_id":"')[1:]:
            self.arrived.setdefault(part.split(b'"')[0].decode(), []).append(now)

    def close(self) -> None:
        self.done = True
        self.thread.join()
        for connection in self.held:
            connection.close()


def _streams(port: int, count: int, url: str, process: psutil.Process, seconds: float) -> dict[str, Any]:
    store = open_store(url)
    readers = _Readers(port, count)
    deadline = time.monotonic() + 20
    while readers.open + readers.refused < count and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(1.5)
    before, began, delays, told = _cpu(process), time.monotonic(), [], 0
    while time.monotonic() < began + seconds:
        name = f"bench{told:07}"
        at = time.perf_counter()
        store.link.ask(partial(_tell, name=name))
        told += 1
        time.sleep(0.5)
        delays += [(arrived - at) * 1000 for arrived in readers.arrived.get(name, [])]
    cpu = (_cpu(process) - before) / (time.monotonic() - began)
    health, page = _times(port, "/health", seconds / 2), _times(port, "/", seconds / 2)
    found: dict[str, Any] = {
        "asked": count,
        "open": readers.open,
        "refused": readers.refused,
        "cpu_share": round(cpu, 2),
    }
    found |= {"rss_mib": _rss(process), "/health": health, "/": page, "told": told, "arrived": len(delays)}
    if delays:
        delays.sort()
        found |= {
            "delay_p50": round(statistics.median(delays), 1),
            "delay_p99": round(delays[int(len(delays) * 0.99)], 1),
        }
    readers.close()
    store.close()
    return found


def _tell(client: Any, name: str) -> None:
    client.xadd(keys.CHANGES, {"job": name, "type": "progress"}, maxlen=1000)


def _family(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def _cpu(process: psutil.Process) -> float:
    return float(sum(sum(p.cpu_times()[:2]) for p in _family(process)))


def _rss(process: psutil.Process) -> int:
    return int(sum(p.memory_info().rss for p in _family(process)) // 2**20)


def _beside_submits(port: int, seconds: float) -> dict[str, Any]:
    """Pages while eight others submit jobs: each submit waits for the disk several times."""
    stop, accepted = threading.Event(), []

    def submit() -> None:
        while not stop.is_set():
            accepted.append(_ask(port, "/api/v1/jobs", {"name": "beside"}))

    threads = [threading.Thread(target=submit) for _ in range(8)]
    for thread in threads:
        thread.start()
    found = _times(port, "/health", seconds)
    stop.set()
    for thread in threads:
        thread.join()
    return found | {"submits_a_second": round(len([a for a in accepted if a]) / seconds, 1)}


def measure(name: str, seconds: float, peers: Path) -> dict[str, Any]:
    """Everything about one candidate."""
    directory, port = Path(tempfile.mkdtemp()), free_port()
    with Valkey(directory / "valkey") as server:
        environment = os.environ | {"KEEPFIT_DATA_DIR": str(directory / "data"), "KEEPFIT_REDIS_URL": server.url}
        environment |= {"PYTHONPATH": f"{ROOT}:{peers}", "KEEPFIT_PORT": str(port)}
        command = [sys.executable, str(ROOT / "bench" / "peers" / "web_servers.py"), name, str(port)]
        began = time.monotonic()
        with (directory / "log").open("wb") as log:
            started = subprocess.Popen(
                command, env=environment, cwd=ROOT, stdout=log, stderr=log, start_new_session=True
            )
        process = psutil.Process(started.pid)
        try:
            wait_until(lambda: answers(port) and _ask(port, "/health"), f"{name} answers", 30, poll_s=0.02)
            found: dict[str, Any] = {"start_s": round(time.monotonic() - began, 2)}
            for _ in range(JOBS):
                _ask(port, "/api/v1/jobs", {"name": "listed"})
            found["rss_mib"] = _rss(process)
            found["rows"] = {}
            for count in (0, 150, 600):
                with _half_open(port, count):
                    rows = {path: _times(port, path, seconds) for path in ("/health", "/")}
                found["rows"][f"half-open {count}"] = rows
                wait_until(lambda: _ask(port, "/health"), "it answers again", 60)
            found["beside submits"] = _beside_submits(port, seconds)
            for count in (300, 500):
                found["rows"][f"streams {count}"] = _streams(port, count, server.url, process, seconds)
                time.sleep(3)  # each notices at its next word that its reader has gone
                wait_until(lambda: _ask(port, "/health"), "it answers again", 60)
            return found
        except Exception as exc:  # noqa: BLE001 - a candidate that breaks is a result
            return {"failed": repr(exc), "log": (directory / "log").read_text(errors="replace")[-600:]}
        finally:
            for each in reversed(_family(process)):
                each.kill()
            started.wait()
            shutil.rmtree(directory, ignore_errors=True)


def main() -> None:
    """Measure all, or some."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--peers", type=Path, default=ROOT / ".venv-peers")
    chosen = parser.parse_args()
    names: list[str] = [s.__name__ for s in SERVERS if not chosen.only or s.__name__ in chosen.only.split(",")]
    report: Callable[[Any], None] = lambda value: print(json.dumps(value), flush=True)  # noqa: E731
    results = {}
    for name in names:
        results[name] = measure(name, chosen.seconds, chosen.peers)
        report({name: results[name], "load": os.getloadavg()[0]})
    if not chosen.only:
        record("web_servers", results)


if __name__ == "__main__":
    main()
