"""What must hold before anything is started: the data directory, the ports, the server in use.

    prepare_data_dir(settings.data_dir)
    check_ports(settings)

Each check raises ``CannotStart`` with a message that says what to do.
"""

import contextlib
import errno
import os
import secrets
import shutil
import socket
import stat
from pathlib import Path
from urllib.parse import urlsplit

from keepfit.shared.durable import write_bytes
from keepfit.shared.errors import KeepfitError, StoreUnavailable
from keepfit.shared.settings import Settings
from keepfit.shared.store import open_store

MIN_FREE_BYTES = 200 * 1024 * 1024
"""Below this a single checkpoint of a larger model may already fail."""


class CannotStart(KeepfitError):
    """The service cannot be started as things are; the message says what to change."""


def prepare_data_dir(path: Path) -> None:
    """Make the data directory with its folders, for this user only, and see that it takes writes and has room."""
    try:
        make_private(path)
        for folder in ("run", "logs", "redis", "jobs", "jobs/deleted", "datasets"):
            (path / folder).mkdir(exist_ok=True)
        probe = path / "run" / f"probe-{os.getpid()}"
        probe.write_bytes(b"x" * 4096)
        probe.unlink()
        free = shutil.disk_usage(path).free
    except OSError as exc:
        raise CannotStart(
            "The data directory {path} takes no writes ({why}).\n"
            "Fix its permissions or free some space, or name another one: --data-dir DIR (KEEPFIT_DATA_DIR).",
            path=path,
            why=exc.strerror,
        ) from exc
    if free < MIN_FREE_BYTES:
        raise CannotStart(
            "The disk of the data directory {path} has only {free} MB left; at least {least} MB are needed.\n"
            "Free some space, or name another directory: --data-dir DIR (KEEPFIT_DATA_DIR).",
            path=path,
            free=free // 2**20,
            least=MIN_FREE_BYTES // 2**20,
        )


def make_private(path: Path) -> None:
    """Make ``path``, or close a data directory of ours to other users. Raises OSError.

    Its top folder is enough: nobody gets past it. 0.1 left it open. A folder that holds other things
    too is not ours to close.
    """
    ours = not path.exists() or not any(path.iterdir()) or (path / "jobs").is_dir()
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if ours and path.stat().st_uid == os.geteuid() and stat.S_IMODE(path.stat().st_mode) & 0o077:
        path.chmod(0o700)


def keep_password(settings: Settings) -> None:
    """Make the embedded server's password at the first start; every other user of the machine is kept out by it."""
    path = settings.password_path
    try:
        if not (path.is_file() and path.read_text().strip()):
            write_bytes(path, secrets.token_hex(32).encode(), mode=0o600)
    except OSError as exc:
        raise CannotStart(
            "The password of the embedded server cannot be kept in {path} ({why}).", path=path, why=exc.strerror
        ) from exc


def check_ports(settings: Settings) -> None:
    """See that the ports are free."""
    _check_port(settings.host, settings.port, "--port", "KEEPFIT_PORT")
    if settings.redis_url is None:
        _check_port("127.0.0.1", settings.redis_port, "--redis-port", "KEEPFIT_REDIS_PORT")


def _check_port(host: str, port: int, option: str, variable: str) -> None:
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port in TIME_WAIT is free
            probe.bind(where)
            probe.listen(1)
    except socket.gaierror as exc:
        raise CannotStart(
            "{host} is not an address of this machine. Choose one: --host (KEEPFIT_HOST).", host=host
        ) from exc
    except OSError as exc:
        raise _unusable(exc, host, port, option, variable) from exc


def _unusable(exc: OSError, host: str, port: int, option: str, variable: str) -> CannotStart:
    free = port + 1 if port > 1023 else 8080
    values = {"port": port, "host": host, "option": option, "free": free, "variable": variable}
    if exc.errno == errno.EADDRINUSE:
        return CannotStart(
            "Port {port} on {host} is in use by another program.\n"
            'Choose another: {option} {free} (make run ARGS="{option} {free}", or {variable}={free}).',
            **values,
        )
    if exc.errno == errno.EACCES:
        return CannotStart(
            "Port {port} may not be used without special rights; choose one above 1023.\n"
            'Choose another: {option} {free} (make run ARGS="{option} {free}", or {variable}={free}).',
            **values,
        )
    return CannotStart(
        "{host} is not an address of this machine ({why}). Choose one: --host (KEEPFIT_HOST).",
        host=host,
        why=exc.strerror,
    )


def check_server(url: str) -> None:
    """See that the external server at ``url`` answers."""
    try:
        with contextlib.closing(open_store(url)) as store:
            store.ping()
    except StoreUnavailable as exc:
        raise CannotStart(
            "No Redis or Valkey server answers at {url} ({why}).\n"
            "Start it, correct KEEPFIT_REDIS_URL (--redis-url), or leave that out: an embedded one is started then.",
            url=without_password(url),
            why=exc,
        ) from exc
    except ValueError as exc:  # redis-py's answer to a URL that it cannot read
        raise CannotStart(
            "KEEPFIT_REDIS_URL (--redis-url) is not a URL like redis://host:6379/0: {url}", url=without_password(url)
        ) from exc


def without_password(url: str) -> str:
    """``url`` as it may be printed."""
    parts = urlsplit(url)
    where = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"***@{where}" if parts.password else parts.netloc).geturl()
