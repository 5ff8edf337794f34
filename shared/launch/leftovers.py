"""Ends what an earlier launcher has left behind, when it was killed and could not stop its parts.

On Linux there is hardly ever anything to do: the kernel has told the parts already, and they only
need a moment. Which processes are ours is known from a file in the data directory; a process is
taken for one of them only if its start time agrees as well, since ids are used again. The launcher
itself stands in the file too: while it lives, its parts are no leftovers, whoever holds the lock.

A process may end between any two questions about it: each answer here allows for that.
"""

import contextlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import psutil

from keepfit.shared.durable import read_json, to_json

Answer = TypeVar("Answer")

PATIENCE_S = 5.0
"""Time for a part to end by itself, before it is killed."""
SAME_S = 1.0
"""Two readings of one start time may differ by this, since the clock is set."""


def note_parts(path: Path, pids: Iterable[int]) -> None:
    """Write down that the processes ``pids`` belong to this launcher. Raises OSError."""
    known = [[pid, started] for pid in pids if (started := _started(pid)) is not None]
    path.write_text(to_json({"launcher": [os.getpid(), _started(os.getpid())], "parts": known}))


def living_launcher(path: Path) -> int | None:
    """The id of the launcher that wrote ``path``, if it is another process than this one and still lives."""
    noted = read_json(path)
    found = _same(noted.get("launcher")) if isinstance(noted, dict) else None
    return found.pid if found and found.pid != os.getpid() else None


def end_leftovers(path: Path) -> int:
    """End the processes written down in ``path`` that are still there, and return how many there were."""
    noted = read_json(path)
    parts = noted.get("parts") if isinstance(noted, dict) else noted  # 0.1 wrote the parts alone
    left = [process for part in parts if (process := _same(part))] if isinstance(parts, list) else []
    left += [child for process in left for child in _ask(process, lambda p: p.children(recursive=True)) or []]
    for process in left:
        _ask(process, lambda p: p.terminate())
    _, stubborn = psutil.wait_procs(left, timeout=PATIENCE_S)
    for process in stubborn:
        _ask(process, lambda p: p.kill())
    psutil.wait_procs(stubborn, timeout=PATIENCE_S)
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
    return len(left)


def _started(pid: int) -> float | None:
    try:
        started: float = psutil.Process(pid).create_time()
        return started
    except psutil.Error:
        return None


def _same(noted: object) -> psutil.Process | None:
    """The process that was noted as [id, start time], if it is that one and has not ended."""
    if not (isinstance(noted, list) and len(noted) == 2 and all(isinstance(n, int | float) for n in noted)):
        return None
    try:
        process = psutil.Process(int(noted[0]))
        same = abs(process.create_time() - noted[1]) < SAME_S and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, ValueError, OverflowError):
        return None
    return process if same else None


def _ask(process: psutil.Process, request: Callable[[psutil.Process], Answer]) -> Answer | None:
    """What ``process`` answers; None once it has ended, or was never ours to ask."""
    try:
        return request(process)
    except psutil.Error:
        return None
