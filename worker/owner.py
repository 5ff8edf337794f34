"""Who runs an attempt: host, pid namespace, worker process and training process, told apart from later ones.

The start time of a process stands beside its pid, so that a pid used again is never taken for the
old process. Written into the lease, read by the keepers of the same host.
"""

import os
import socket
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
