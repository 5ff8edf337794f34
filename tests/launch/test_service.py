"""`keepfit up` as people run it: it starts, mends itself, stops, and leaves nothing behind."""

import json
import signal
import socket
from pathlib import Path

import httpx
import psutil
import pytest

from keepfit.shared.launch.leftovers import end_leftovers, note_parts
from tests.harness.processes import Household, Valkey, alive, answers, free_port
from tests.harness.services import Service
from tests.harness.waiting import wait_until


def test_the_service_starts_and_prints_its_address(service: Service) -> None:
    """When it says that it is ready, its server, web side and worker are."""
    health = service.health()

    assert f"Keepfit is ready: http://127.0.0.1:{service.port}" in service.process.text()
    assert health["status"] == "ok"
    assert health["workers"] == 1


def test_it_listens_on_this_machine_only(service: Service) -> None:
    """Neither the pages nor the embedded server can be reached from elsewhere by default."""
    processes = service.process.children()

    listening = {c.laddr.ip for p in processes for c in p.net_connections("tcp") if c.status == psutil.CONN_LISTEN}

    assert listening == {"127.0.0.1"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_all_of_it(household: Household, data_dir: Path, number: signal.Signals) -> None:
    """Ctrl-C, `kill` and a closed terminal end every process, with exit code 0."""
    service = Service(household, data_dir)
    parts = service.process.children()

    service.process.signal(number)
    code = service.process.wait(timeout_s=8)

    assert code == 0
    assert len(parts) >= 3
    assert not alive(parts)
    assert "Stopped" in service.process.text()


@pytest.mark.parametrize("word", ["valkey-server", "keepfit.web.serve", "worker1@"])
def test_a_killed_part_is_started_again(service: Service, word: str) -> None:
    """kill -9 of any part: another process takes its place, and the service is healthy again."""
    before = service.part(word)
    assert before is not None
    children = before.children(recursive=True)
    before.kill()

    after = wait_until(lambda: (found := service.part(word)) and found != before and found, f"{word} is back")
    wait_until(lambda: service.health().get("status") == "ok", "the service is healthy again", timeout_s=60)
    wait_until(lambda: not alive(children), "the processes that it had forked have ended", timeout_s=10)

    assert after
    assert "was killed by SIGKILL; it is started again" in service.process.text()


def test_a_killed_launcher_takes_all_with_it(household: Household, data_dir: Path) -> None:
    """kill -9 of the launcher itself leaves no process, and the next start is not hindered."""
    service = Service(household, data_dir)
    parts = service.process.children()
    service.process.signal(signal.SIGKILL)
    service.process.wait()

    wait_until(lambda: not alive(parts), "every part has ended", timeout_s=10)
    again = household.start_service(*service.options)

    assert again.running()


def test_the_next_start_ends_what_a_killed_one_has_left(household: Household, tmp_path: Path) -> None:
    """Where the kernel does not tie processes to their parent, the file of the parts does."""
    left, stranger = household.start(["sleep", "1000"]), household.start(["sleep", "1000"])
    noted = tmp_path / "parts.json"
    note_parts(noted, [left.pid])

    ended = end_leftovers(noted)

    assert ended == 1
    assert not psutil.pid_exists(left.pid)
    assert stranger.running()
    assert not noted.exists()


def test_a_process_with_a_used_again_id_is_left_alone(household: Household, tmp_path: Path) -> None:
    """An id that now belongs to another process, started later, is not ours."""
    stranger = household.start(["sleep", "1000"])
    noted = tmp_path / "parts.json"
    noted.write_text(json.dumps([[stranger.pid, psutil.Process(stranger.pid).create_time() - 3600]]))

    ended = end_leftovers(noted)

    assert ended == 0
    assert stranger.running()


def test_a_second_start_is_refused(service: Service, household: Household) -> None:
    """One data directory, one service; the message names the one that runs."""
    second = household.start_service("--data-dir", str(service.data_dir), "--port", str(free_port()), ready=False)

    assert second.wait() == 1
    assert f"http://127.0.0.1:{service.port} (process {service.process.pid})" in second.text()
    assert "Traceback" not in second.text()
    assert service.health()["status"] == "ok"


def test_an_external_server_is_used(household: Household, data_dir: Path, valkey: Valkey) -> None:
    """With KEEPFIT_REDIS_URL no server is started, and the given one is used."""
    service = Service(household, data_dir, "--redis-url", valkey.url)

    assert service.part("valkey-server") is None
    assert not answers(service.redis_port)
    assert service.health()["status"] == "ok"


def test_an_external_server_that_is_away_is_a_message(household: Household, data_dir: Path) -> None:
    """Nothing is started, and the message says what to do."""
    url = f"redis://127.0.0.1:{free_port()}/0"

    refused = household.start_service(
        "--data-dir", str(data_dir), "--port", str(free_port()), "--redis-url", url, ready=False
    )

    assert refused.wait() == 1
    assert f"No Redis or Valkey server answers at {url}" in refused.text()
    assert "Traceback" not in refused.text()


@pytest.mark.parametrize(("host", "url"), [("::1", "http://[::1]:"), ("::", "http://localhost:")])
def test_it_listens_on_ipv6(household: Household, data_dir: Path, host: str, url: str) -> None:
    """It is ready, says where in a form that browsers take, and warns where others reach it."""
    if not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")

    service = Service(household, data_dir, "--host", host, "--drills")

    assert f"Keepfit is ready: {url}{service.port}" in service.process.text()
    assert ("asks nobody for a password" in service.process.text()) is (host == "::")
    assert ("drills are off" in service.process.text()) is (host == "::")
    assert httpx.get(f"http://[::1]:{service.port}/health").status_code == httpx.codes.OK
