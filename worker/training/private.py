"""A directory that one process has to itself beside those of others: a lock says that its process is alive.

    own = make(shared)          # held until this process ends
    sweep(shared)               # removes those whose process has died

A pid would not do: containers that share a data directory do not see each other's processes.
"""

import contextlib
import fcntl
import os
import shutil
import uuid
from pathlib import Path

PREFIX = "process-"


def make(shared: Path) -> Path:
    """A new directory in ``shared``, this process's own. Raises OSError."""
    own = shared / f"{PREFIX}{uuid.uuid4().hex}"
    own.mkdir()
    _lock(own)  # stays open, and so held, until the process ends
    if not own.exists():
        raise FileNotFoundError(f"swept away before it was held: {own}")
    return own


def sweep(shared: Path) -> None:
    """Remove what processes that have ended without a word have left."""
    for path in shared.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # its process is alive, or another one is sweeping too
            lock = _lock(path)
            try:
                shutil.rmtree(path)
            finally:
                os.close(lock)


def _lock(path: Path) -> int:
    """The open file that holds the lock on ``path``. Raises OSError if another process holds it."""
    fd = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise
    return fd
