"""The web server itself: slow and half-open clients, hundreds of readers, broken requests, one for a directory."""

import http.client
import json
import resource
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import closing

import httpx
import psutil
import pytest

from keepfit.shared.settings import Settings
from keepfit.web.connections import IDLE_S, REQUEST_S, UNREAD_S, Channel
from tests.harness.waiting import wait_until
from tests.web.conftest import SPEC, Web

POST = b"POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: %s\r\nContent-Length: 500\r\n\r\n"
HALF = {
    "one byte": b"G",
    "half a header": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Half: ",
    "half a JSON body": POST % (b"/api/v1/jobs", b"application/json") + b'{"na',
    "half a form": POST % (b"/jobs", b"application/x-www-form-urlencoded") + b"name=ha",
    "nothing": b"",
}


@pytest.fixture
def many_files() -> Iterator[None]:
    """This process may open as many files as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 5000:
        pytest.skip("the system allows no thousands of connections")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 5000), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("sent", HALF.values(), ids=HALF.keys())
@pytest.mark.parametrize("count", [150, 600])
def test_half_open_clients_cost_no_page(web: Web, held: list[socket.socket], count: int, sent: bytes) -> None:
    """A stuck proxy, a scanner or somebody hostile: hundreds of requests that never end."""
    held += [web.connect(sent) for _ in range(count)]

    answers = [httpx.get(f"{web.url}{path}", timeout=3).status_code for path in ("/health", "/", "/api/v1/jobs") * 3]

    assert answers == [200] * 9


@pytest.mark.parametrize(("limits", "count"), [("-n 5000", 2200), ("-Sn 256", 2200), ("-n 1024", 1500)])
def test_more_half_open_clients_than_there_is_room_for(
    start: Callable[..., Web], held: list[socket.socket], many_files: None, limits: str, count: int
) -> None:
    """Those that have not asked anything yet make room for those that do, also where few files may be open."""
    web = start(limits=limits)
    held += [web.connect(b"G") for _ in range(count)]

    assert wait_until(web.health, "it answers", timeout_s=5)
    assert psutil.Process(web.part.pid).cpu_percent(1.0) < 50
    assert web.health()


class _Trickling(Channel):
    """A connection without its socket, heard of at the second 1000."""

    def __init__(self, waits_since: float = 0.0, answering: bool = False, untaken: int = 0) -> None:
        self.requests: list[object] = [object()] if answering else []
        self.last_activity, self.waits_since, self.total_outbufs_len = 1000.0, waits_since, untaken


@pytest.mark.parametrize(
    ("channel", "after_s"),
    [
        (_Trickling(), IDLE_S),
        (_Trickling(waits_since=990.0), REQUEST_S - 10),  # since its first byte, however recent its last one is
        (_Trickling(untaken=100), UNREAD_S),
        (_Trickling(answering=True, untaken=100), UNREAD_S),  # a stream whose reader does not read
    ],
)
def test_each_client_has_its_time(channel: Channel, after_s: float) -> None:
    """To ask, to send what it began, and to take its answer; bytes that trickle in do not prolong it."""
    assert not channel.overdue(1000.0 + after_s)
    assert channel.overdue(1000.1 + after_s)


def test_a_stream_may_last_for_ever() -> None:
    """As long as its reader takes what is sent."""
    assert not _Trickling(answering=True).overdue(1000.0 + 10**9)


def test_hundreds_of_streams_and_pages(web: Web, held: list[socket.socket], submitted: str) -> None:
    """500 open pages are told of a change, and there is room for more pages."""
    request = b"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    held += [web.connect(request) for _ in range(500)]
    for connection in held:
        assert b" 200 OK" in connection.recv(4096)

    answers = [httpx.post(f"{web.url}/api/v1/jobs", json=SPEC, timeout=10).status_code for _ in range(3)]

    assert answers == [201] * 3
    for connection in held:
        seen = b""
        while b"event: change" not in seen:
            more = connection.recv(4096)
            assert more, seen
            seen += more
    assert web.health()


def test_it_stops_in_time_with_hundreds_of_streams(web: Web, held: list[socket.socket]) -> None:
    """SIGTERM ends them all; exit code 0."""
    held += [web.connect(b"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n") for _ in range(500)]
    for connection in held:
        assert connection.recv(4096)

    web.part.process.terminate()

    assert web.part.wait(timeout_s=5) == 0
    assert "Traceback" not in web.part.text()


@pytest.mark.parametrize(("size", "kept"), [(65_537, True), (500_000, True), (2_000_000, False)])
def test_after_a_body_that_is_too_large_the_connection_is_used_or_closed(web: Web, size: int, kept: bool) -> None:
    """It is never said to stay open and then closed: the next request on it would be lost."""
    with closing(http.client.HTTPConnection("127.0.0.1", web.port, timeout=10)) as connection:
        connection.putrequest("POST", "/api/v1/jobs")
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(size))
        connection.endheaders(b"x" * size if kept else None)
        refused = connection.getresponse()
        refused.read()
        assert refused.status == 413
        assert (refused.getheader("Connection") == "close") is not kept

        if kept:
            connection.request("GET", "/health")
            assert connection.getresponse().status == 200


@pytest.mark.parametrize(
    "header",
    [
        "SCRIPT_NAME: /zzz",
        "Script-Name: //evil.example",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: evil.example",
        "X-Forwarded-For: 6.6.6.6",
        "X-Forwarded-Prefix: //evil.example",
        "Forwarded: host=evil.example;proto=https",
    ],
)
def test_headers_for_proxies_are_nobodys_to_send(web: Web, header: str) -> None:
    """They change no address, and no answer."""
    with web.connect(
        f"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{header}\r\n\r\n".encode()
    ) as connection:
        answer = b"".join(iter(lambda: connection.recv(65536), b""))

    assert answer.startswith(b"HTTP/1.1 200")
    assert b"evil" not in answer
    assert b"zzz" not in answer
    assert b"https:" not in answer


def test_the_proxy_that_is_named_is_believed(start: Callable[..., Web]) -> None:
    """Behind it pages are https, and so is the origin of their forms."""
    web = start(trusted_proxy="127.0.0.1", hosts="lab.example")
    headers = {"Host": "lab.example", "Origin": "https://lab.example", "X-Forwarded-Proto": "https"}

    answer = httpx.post(f"{web.url}/api/v1/jobs", json=SPEC, headers=headers)

    assert answer.status_code == 201
    assert answer.json()["url"].startswith("https://lab.example/jobs/")


def test_what_is_no_request_is_refused_in_words(web: Web) -> None:
    """With the headers of every other answer, and the connection closed."""
    for sent in (b"NOT HTTP\r\n\r\n", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"y" * 40_000 + b"\r\n\r\n"):
        with web.connect(sent) as connection:
            answer = connection.recv(65536)
            assert answer.split()[1] in (b"400", b"431")
            assert b"Connection: close" in answer
            assert b"nosniff" in answer
            assert b"waitress" not in answer.lower()


def test_a_second_web_side_of_one_directory_is_refused(start: Callable[..., Web]) -> None:
    """In words, and the first one goes on; a job must not be started twice because its web side was."""
    first, second = start(), start()

    assert second.part.wait() == 1
    assert "Another web side already serves the data directory" in second.part.text()
    assert "Traceback" not in second.part.text()
    assert first.health()


def test_the_next_web_side_takes_over_from_one_that_was_killed(start: Callable[..., Web]) -> None:
    """Nothing is left that would keep it out."""
    first = start()
    first.part.process.kill()

    assert start().health()


@pytest.mark.parametrize("host", ["::1", "::"])
def test_ipv6_is_listened_on(start: Callable[..., Web], host: str) -> None:
    """With the brackets where they belong; ``::`` takes IPv4 as well."""
    if not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    web = start(host)

    assert web.health()
    if host == "::":
        assert httpx.get(f"http://127.0.0.1:{web.port}/health").status_code == 200


def test_what_it_writes_is_private(start: Callable[..., Web], settings: Settings) -> None:
    """Jobs, their settings and logs are for this user only; a directory of 0.1 is closed at the start."""
    settings.jobs_dir.mkdir()
    settings.data_dir.chmod(0o755)

    web = start()
    job = httpx.post(f"{web.url}/api/v1/jobs", json=SPEC).json()

    paths = [settings.data_dir, settings.jobs_dir / job["id"], settings.jobs_dir / job["id"] / "job.json"]
    assert not [p for p in paths if stat.S_IMODE(p.stat().st_mode) & 0o077]
    assert json.loads(paths[-1].read_text())
