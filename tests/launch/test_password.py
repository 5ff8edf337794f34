"""The embedded server answers to its own people only; they find its password by themselves."""

import os
import stat
import subprocess
import sys

import psutil
import pytest
import redis

from keepfit.shared.launch.parts import write_server_file
from keepfit.shared.launch.preflight import keep_password
from keepfit.shared.settings import Settings
from keepfit.shared.store import open_store
from tests.harness.processes import CELERY, ROOT, Household
from tests.harness.services import Service


def _password(service: Service) -> str:
    return service.settings.password_path.read_text().strip()


@pytest.mark.parametrize("command", [["FLUSHALL"], ["LPUSH", "keepfit", "x"], ["CONFIG", "GET", "*"], ["KEYS", "*"]])
def test_a_client_without_the_password_gets_nothing(service: Service, command: list[str]) -> None:
    """Any other user of the machine reaches the port."""
    with redis.Redis(port=service.redis_port) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.execute_command(*command)


def test_the_password_is_for_its_owner_only(service: Service) -> None:
    """Long, kept in files that nobody else can read."""
    for path in (service.settings.password_path, service.data_dir / "run" / "server.conf"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(_password(service)) == 64


def test_the_password_is_nowhere_to_be_seen(service: Service) -> None:
    """Neither in a command line, nor an environment, nor a log, nor on the console."""
    secret = _password(service)
    for process in [psutil.Process(service.process.pid), *service.process.children()]:
        assert not [word for word in process.cmdline() if secret in word]
        assert not [value for value in process.environ().values() if secret in value]

    assert secret not in service.process.text()
    for log in (service.data_dir / "logs").iterdir():
        assert secret not in log.read_text(errors="replace")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["-m", "keepfit", "doctor"], ""),
        (["-m", "keepfit.worker.health"], ""),
        ([*CELERY, "inspect", "active", "--timeout", "10"], "worker1@"),
    ],
)
def test_its_own_programs_find_it(service: Service, command: list[str], said: str) -> None:
    """With the data directory, and the port where it is another one, as `keepfit up` was given them."""
    told = {"KEEPFIT_DATA_DIR": str(service.data_dir), "KEEPFIT_REDIS_PORT": str(service.redis_port)}

    done = subprocess.run([sys.executable, *command], cwd=ROOT, env=os.environ | told, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert said in done.stdout
    assert "Traceback" not in done.stderr


def test_a_password_is_made_once(settings: Settings) -> None:
    """A second start uses the same one: whoever was connected stays so."""
    keep_password(settings)
    first = settings.password_path.read_text()
    keep_password(settings)

    assert settings.password_path.read_text() == first


@pytest.mark.parametrize("name", ["with space", 'quote"s', "back\\slash", "손글씨", "# hash"])
def test_the_server_reads_its_file_whatever_the_directory_is_called(
    household: Household, settings: Settings, name: str
) -> None:
    """The name of the data directory stands in the server's configuration."""
    service = Service(household, settings.data_dir / name)

    store = open_store(service.redis_url)
    assert store.now_ms() > 0
    store.close()
    assert list((service.data_dir / "redis").iterdir())


def test_a_configuration_is_written_whole(settings: Settings) -> None:
    """One option a line."""
    (settings.data_dir / "run").mkdir()
    keep_password(settings)
    write_server_file(settings)

    lines = (settings.data_dir / "run" / "server.conf").read_text().splitlines()
    assert {"port", "bind", "requirepass", "dir", "appendonly", "maxmemory-policy"} <= {
        line.split()[0] for line in lines
    }
