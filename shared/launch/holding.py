"""One service for a data directory, and one web side: whoever comes second is told so and starts nothing.

    with hold(settings.data_dir, address): ...      # `keepfit up`
    with hold_web(settings.data_dir): ...           # a web side, also one in a container

The kernel gives every lock back however its process ends. Locked are directories: a lock *file* that
somebody removes by hand would let a second one in. (The file run/lock says who holds it, and keeps
version 0.1 out, which knows that one only.)
"""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

from keepfit.shared.durable import read_json
from keepfit.shared.launch.leftovers import living_launcher
from keepfit.shared.launch.preflight import CannotStart

PATIENCE_S = 4.0
"""For a web side that is just stopping; it takes up to 3 s."""


@contextlib.contextmanager
def hold(data_dir: Path, address: str) -> Iterator[None]:
    """Keep the data directory for this process. Raises CannotStart: another service has it."""
    path = data_dir / "run" / "lock"
    with path.open("a+") as file, _directory(data_dir) as free:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise _taken(data_dir, read_json(path)) from exc
        launcher = living_launcher(data_dir / "run" / "parts.json")
        if launcher or not free:  # its lock file was removed by hand, and with it where it is
            raise _taken(data_dir, read_json(path) or {"pid": launcher or "unknown"})
        file.truncate(0)
        json.dump({"pid": os.getpid(), "address": address}, file)
        file.flush()
        yield
        file.truncate(0)


@contextlib.contextmanager
def hold_web(data_dir: Path) -> Iterator[None]:
    """Keep the web side of the data directory for this process. Raises CannotStart: another one has it.

    Wishes are numbered in the web process; of two, one would undo the other's. One that was told to
    stop just now, or was killed, is waited for.
    """
    jobs, deadline = data_dir / "jobs", time.monotonic() + PATIENCE_S
    with contextlib.suppress(OSError):  # on a full disk too, the pages show what is there
        jobs.mkdir(parents=True, exist_ok=True)
    while True:
        with _directory(jobs) as free:
            if free:
                yield
                return
        if time.monotonic() > deadline:
            raise CannotStart(
                "Another web side already serves the data directory {path}. One is all that it can have: "
                "stop the other one first, or give this one a directory of its own (KEEPFIT_DATA_DIR).",
                path=data_dir,
            )
        time.sleep(0.05)


@contextlib.contextmanager
def _directory(path: Path) -> Iterator[bool]:
    """Lock a directory itself; whether that was possible. Where none can be locked (some network disks) it is free."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        yield True
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free = True
        except BlockingIOError:
            free = False
        except OSError:
            free = True
        yield free
    finally:
        os.close(descriptor)


def _taken(data_dir: Path, holder: object) -> CannotStart:
    known = holder if isinstance(holder, dict) else {}  # it may not have written yet who it is
    return CannotStart(
        "Keepfit already runs on the data directory {path}: {address} (process {pid}).\n"
        "Use that one, stop it with Ctrl-C or `kill {pid}`, or start this one elsewhere: "
        "--data-dir DIR --port PORT --redis-port PORT.",
        path=data_dir,
        address=known.get("address", "its address is not known"),
        pid=known.get("pid", "unknown"),
    )
