"""This machine: who runs an attempt on it, a process that ends with its parent, a directory of one process.

    Owner.myself()                   # host, pid namespace, worker process, training process, told apart from later ones
    die_with_parent(os.getppid())    # in the child, right after the fork; the tie survives exec
    own = make_private(folder)       # held until this process ends
    sweep_private(folder)            # removes those whose process has died

The start time of a process stands beside its pid, so that a pid used again is never taken for the old process. Whose a
directory is, no pid tells where containers share it: a lock does. Linux ties a process to its parent in the kernel;
macOS has nothing like it: there the launcher, when it starts the next time, ends what an earlier one has left behind.
"""

import contextlib
import ctypes
import fcntl
import os
import shutil
import signal
import socket
import sys
import uuid
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self

import psutil

_PROC = Path("/proc")
_BOOT_ID = _PROC / "sys/kernel/random/boot_id"
"""Linux only, both."""


@dataclass(frozen=True)
class Process:
    """One process: its pid and when it started."""

    pid: int
    start: int

    @classmethod
    def of(cls, pid: int) -> Self:
        """The process that has ``pid`` now."""
        return cls(pid, _start_of(pid))

    def alive(self) -> bool:
        """Whether it still runs (or is stopped); a zombie does not."""
        try:
            return psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE and _start_of(self.pid) == self.start
        except psutil.Error:
            return False


@dataclass(frozen=True)
class Owner:
    """The holder of a lease."""

    machine: str
    """Host and pid namespace: pids mean something only within it."""
    main: Process
    """The worker's main process."""
    child: Process
    """The process that trains."""
    nonce: str

    @classmethod
    def myself(cls) -> Self:
        """This process, a child of a worker."""
        return cls(machine(), Process.of(os.getppid()), Process.of(os.getpid()), uuid.uuid4().hex[:8])

    @classmethod
    def parse(cls, text: str) -> Self:
        """The owner written as ``text``. Raises ValueError."""
        name, main, main_start, pid, start, nonce = text.split(":")
        return cls(name, Process(int(main), int(main_start)), Process(int(pid), int(start)), nonce)

    def __str__(self) -> str:
        return f"{self.machine}:{self.main.pid}:{self.main.start}:{self.child.pid}:{self.child.start}:{self.nonce}"


@cache
def machine() -> str:
    """This host and pid namespace."""
    namespace = Path("/proc/self/ns/pid")
    inode = namespace.stat().st_ino if namespace.exists() else 0
    # Hosts can have one name, and the first namespace of each has the same inode; a boot is one host's only.
    boot = _BOOT_ID.read_text()[:8] if _BOOT_ID.exists() else "boot"
    return f"{socket.gethostname().replace(':', '-')}/{boot}-{inode}"


def _start_of(pid: int) -> int:
    # psutil adds the boot time, which moves with the clock; the ticks since boot do not.
    if _PROC.exists():
        try:
            return int((_PROC / f"{pid}/stat").read_text().rpartition(")")[2].split()[19])
        except (FileNotFoundError, ProcessLookupError) as exc:
            raise psutil.NoSuchProcess(pid) from exc
    started: float = psutil.Process(pid).create_time()
    return round(started * 1000)


PR_SET_PDEATHSIG = 1
"""From <linux/prctl.h>."""

# Loaded here, in the parent: a freshly forked child should do as little as possible.
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(parent: int, number: int = signal.SIGTERM) -> None:
    """Have the kernel send ``number`` to this process when its parent, whose id is ``parent``, ends.

    The signal is sent when the *thread* that forked ends: fork from the main thread.
    """
    if _LIBC is None:
        return
    if _LIBC.prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:  # the parent has ended between the fork and the line above
        os.kill(os.getpid(), number)


PRIVATE_PREFIX = "process-"


def make_private(shared: Path) -> Path:
    """A new directory in ``shared``, this process's own. Raises OSError."""
    own = shared / f"{PRIVATE_PREFIX}{uuid.uuid4().hex}"
    own.mkdir()
    _lock(own)  # stays open, and so held, until the process ends
    if not own.exists():
        raise FileNotFoundError(f"swept away before it was held: {own}")
    return own


def sweep_private(shared: Path) -> None:
    """Remove what processes that have ended without a word have left."""
    for path in shared.glob(f"{PRIVATE_PREFIX}*"):
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
