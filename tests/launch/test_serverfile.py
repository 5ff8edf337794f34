"""A damaged file of the embedded server: set aside by itself, at the start and while running; the disk has all."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from keepfit.shared.launch.serverfile import KEPT, ServerFiles
from keepfit.web.client import Client
from tests.harness.processes import Household, free_port
from tests.harness.services import Service
from tests.harness.waiting import wait_until

PAUSED = {"name": "must come back", "training": {"epochs": 1}}


def _file(data_dir: Path) -> Path:
    return max((data_dir / "redis" / "appendonlydir").glob("*.incr.aof"))


def _overwrite_middle(data_dir: Path) -> None:
    with _file(data_dir).open("r+b") as file:
        size = file.seek(0, 2)
        file.seek(size // 3)
        file.write(os.urandom(min(4000, size // 3)))


def _empty_manifest(data_dir: Path) -> None:
    os.truncate(data_dir / "redis" / "appendonlydir" / "appendonly.aof.manifest", 0)


def _spoil_manifest(data_dir: Path) -> None:
    (data_dir / "redis" / "appendonlydir" / "appendonly.aof.manifest").write_text("this is no manifest\n")


def _spoil_base(data_dir: Path) -> None:
    base = max((data_dir / "redis" / "appendonlydir").glob("*.base.rdb"))
    base.write_bytes(b"REDIS0011" + os.urandom(200))


DAMAGES = [_overwrite_middle, _empty_manifest, _spoil_manifest, _spoil_base]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_running_service_gets_over_a_damaged_file(
    household: Household, data_dir: Path, damage: Callable[[Path], None]
) -> None:
    """The server is killed over a damaged file: it comes back without it, and with every job."""
    service = Service(household, data_dir)
    with Client(service.url, patience_s=60) as client:
        ids = {client.submit(PAUSED | {"name": f"job {n}"}).id for n in range(20)}
        server = service.part("valkey-server")
        assert server is not None
        server.send_signal(signal.SIGSTOP)
        damage(data_dir)
        server.kill()

        wait_until(lambda: service.health().get("redis") == "ok", "the server is back", timeout_s=30)
        wait_until(lambda: {job.id for job in client.jobs(200)} == ids, "all jobs are back", timeout_s=60)

    assert service.process.text().count("it was set aside as") == 1
    assert len(list((data_dir / "redis").glob("damaged-*"))) == 1


def test_a_start_gets_over_a_damaged_file(household: Household, data_dir: Path) -> None:
    """Nobody has to delete anything by hand."""
    folder = data_dir / "redis" / "appendonlydir"
    folder.mkdir(parents=True)
    (folder / "appendonly.aof.manifest").write_text("this is no manifest\n")

    service = Service(household, data_dir)

    assert service.health()["redis"] == "ok"
    assert "could not read its file; it was set aside" in service.process.text()


def test_a_server_that_was_killed_keeps_its_file(service: Service) -> None:
    """Again and again, before it could answer: that says nothing about the file."""
    for _ in range(3):
        before = wait_until(lambda: service.part("valkey-server"), "the server is there")
        assert before is not None
        before.kill()
        wait_until(lambda p=before: not psutil.pid_exists(p.pid), "it has ended")  # type: ignore[misc]
    wait_until(lambda: service.health().get("redis") == "ok", "the server is back")

    assert not list((service.data_dir / "redis").glob("damaged-*"))


def test_a_port_that_is_taken_costs_no_file(data_dir: Path) -> None:
    """The server's last words name another cause."""
    (data_dir / "redis" / "appendonlydir").mkdir(parents=True)
    (data_dir / "logs").mkdir()
    (data_dir / "logs" / "server.log").write_text("# Warning: Could not create server TCP listening socket: bind: x\n")
    files = ServerFiles(data_dir)

    said = [files.ended("ended with exit code 1") for _ in range(5)]

    assert not any(said)
    assert (data_dir / "redis" / "appendonlydir").is_dir()


def test_only_the_last_damaged_files_are_kept(data_dir: Path) -> None:
    """They must not fill the disk."""
    redis = data_dir / "redis"
    for number in range(5):
        (redis / f"damaged-2020010{number}-000000").mkdir(parents=True)
    (redis / "appendonlydir").mkdir()
    files = ServerFiles(data_dir)

    said = [files.ended("ended with exit code 1") for _ in range(3)]

    assert [bool(sentence) for sentence in said] == [False, True, False]
    assert len(list(redis.glob("damaged-*"))) == KEPT


def test_whatever_lies_in_the_files_place_is_set_aside(household: Household, data_dir: Path) -> None:
    """Also what is no folder at all."""
    (data_dir / "redis").mkdir()
    (data_dir / "redis" / "appendonlydir").write_text("in the way")
    options = ["--data-dir", str(data_dir), "--port", str(free_port()), "--redis-port", str(free_port())]

    service = household.start_service(*options)

    assert "set aside" in service.text()
