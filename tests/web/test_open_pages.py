"""Pages that are open, over the wire: what they cost, slow ones, and a web process that ends and comes back."""

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import psutil
import pytest

from keepfit.shared.jobs.events import LogLine
from keepfit.shared.store import Store
from keepfit.web.serve import THREADS
from tests.harness.waiting import wait_until
from tests.web.acting import Actor
from tests.web.conftest import Web


def ids_of(store: Store, job_id: str, after: str) -> list[str]:
    """What the server has."""
    return [event.id for event in store.events.read(job_id, after_id=after, count=10_000)]


class Reader:
    """A browser's EventSource: reads a job's stream, and comes back where it was until it is told to stop."""

    def __init__(self, url: Callable[[], str], after: str) -> None:
        self.ids: list[str] = []
        self._url, self._after, self._done = url, after, threading.Event()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        while not self._done.is_set():
            try:
                with httpx.stream("GET", self._url(), headers={"Last-Event-ID": self._after}, timeout=5) as answer:
                    for line in answer.iter_lines():
                        if line.startswith("id: "):
                            self._after = line.removeprefix("id: ")
                            self.ids.append(self._after)
                        if self._done.is_set():
                            return
            except httpx.TransportError:
                self._done.wait(0.05)

    def close(self) -> None:
        """Read no more."""
        self._done.set()
        self._thread.join()


def test_nothing_is_lost_over_a_restart_of_the_web_process(
    start: Callable[..., Web], store: Store, actor: Actor
) -> None:
    """Pages come back where they were, whether it was stopped or killed; each event reaches each of them once."""
    web = [start()]
    job_id = httpx.post(f"{web[0].url}/api/v1/jobs", json={"name": "watched"}).json()["id"]
    run = actor.claim(job_id)
    begin = store.events.last_id(job_id)
    readers = [Reader(lambda: f"{web[0].url}/api/v1/jobs/{job_id}/events", begin) for _ in range(5)]
    step = iter(range(1, 10_000))
    for number in (signal.SIGTERM, signal.SIGKILL):
        for _ in range(20):
            run.progress(next(step))
        wait_until(lambda: all(reader.ids for reader in readers), "all read")
        run.progress(next(step))
        web[0].part.signal(number)
        for _ in range(20):
            run.progress(next(step))
        web[0].part.wait()
        web[0] = start()

    expected = ids_of(store, job_id, begin)
    wait_until(lambda: all(len(reader.ids) >= len(expected) for reader in readers), "all have heard all")
    for reader in readers:
        reader.close()
    assert [reader.ids for reader in readers] == [expected] * 5


def test_not_a_byte_is_lost_or_sent_twice_beside_other_traffic(
    web: Web, store: Store, held: list[socket.socket], actor: Actor
) -> None:
    """Two threads may have to do with a stream's socket at the same moment: one that tells, and the server's own."""
    job_id = httpx.post(f"{web.url}/api/v1/jobs", json={"name": "watched"}).json()["id"]
    run, begin = actor.claim(job_id), store.events.last_id(job_id)
    request = f"GET /api/v1/jobs/{job_id}/events?after={begin} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    held += [web.connect(request) for _ in range(150)]
    busy = threading.Event()
    others = [threading.Thread(target=lambda: [web.health() for _ in iter(busy.is_set, True)]) for _ in range(4)]
    for other in others:
        other.start()
    for step in range(1, 200):
        run.progress(step)
    busy.set()
    for other in others:
        other.join()

    expected = [f"id: {event_id}" for event_id in ids_of(store, job_id, begin)]
    for connection in held:
        lines = _lines(connection, until=expected[-1].removeprefix("id: "))
        assert [line for line in lines if line.startswith("id: ")] == expected


@pytest.fixture
def talked(store: Store, actor: Actor, web: Web) -> tuple[str, str]:
    """A job with more to tell than a connection holds, and the position before that."""
    job_id = httpx.post(f"{web.url}/api/v1/jobs", json={"name": "talkative"}).json()["id"]
    run = actor.claim(job_id)
    begin = store.events.last_id(job_id)
    for number in range(30):
        assert store.leases.report(run.claim, [LogLine(f"line {number} {place} " + 2000 * "x") for place in range(100)])
    return job_id, begin


def test_a_slow_reader_holds_nothing_up_and_gets_all(web: Web, store: Store, talked: tuple[str, str]) -> None:
    """The process holds a few messages for it, not all; when it reads again it gets each of them once."""
    job_id, begin = talked
    memory = psutil.Process(web.part.pid).memory_info().rss
    slow = [socket.socket() for _ in range(THREADS + 6)]
    for connection in slow:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", web.port))
        connection.sendall(
            f"GET /api/v1/jobs/{job_id}/events?after={begin} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
        )
    for connection in slow:
        assert b" 200 OK" in connection.recv(100)
    with httpx.stream("GET", f"{web.url}/api/v1/jobs/{job_id}/events", timeout=10) as quick:
        lines = quick.iter_lines()
        for _ in range(3):
            assert next(line for line in lines if line == "event: now")
    assert web.health()
    assert psutil.Process(web.part.pid).memory_info().rss - memory < 150_000_000  # of 70 times 6 MB

    expected = ids_of(store, job_id, begin)
    assert [line for line in _lines(slow[0], until=expected[-1]) if line.startswith("id: ")] == [
        f"id: {event_id}" for event_id in expected
    ]
    for connection in slow:
        connection.close()


def _lines(connection: socket.socket, until: str) -> Iterator[str]:
    with connection.makefile("rb") as file:
        for line in file:
            text = line.decode().strip()
            yield text
            if text == f"id: {until}":
                return


def test_five_hundred_pages_hold_no_thread_and_no_connection(
    web: Web, store: Store, held: list[socket.socket], actor: Actor
) -> None:
    """Of the list, of one job and of others: they share a reader, and a page that goes away is forgotten."""
    ids = [httpx.post(f"{web.url}/api/v1/jobs", json={"name": "open"}).json()["id"] for _ in range(5)]
    paths = ["/api/v1/events", *(f"/api/v1/jobs/{job_id}/events" for job_id in ids)]
    asked = [f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode() for path in paths]
    held += [web.connect(asked[number % len(asked)]) for number in range(500)]
    for connection in held:
        assert b" 200 OK" in connection.recv(4096)
    process = psutil.Process(web.part.pid)

    assert process.num_threads() < 80
    assert len(_connections(process, store)) < 30
    for connection in held:
        connection.close()
    wait_until(lambda: len(process.net_connections("tcp")) < 50, "they are forgotten")
    assert web.health()


def _connections(process: psutil.Process, store: Store) -> list[Any]:
    port = int(store.link.url.split(":")[2].split("/")[0])
    return [each for each in process.net_connections("tcp") if each.raddr and each.raddr.port == port]
