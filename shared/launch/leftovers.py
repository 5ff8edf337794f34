"""Ends what an earlier launcher has left behind, when it was killed and could not stop its parts.

On Linux there is hardly ever anything to do: the kernel has told the parts already, and they only
need a moment. Which processes are ours is known from a file in the data directory; a process is
taken for one of them only if its start time agrees as well, since ids are used again.
"""

import json
from collections.abc import Iterable
from pathlib import Path

import psutil

from shared.durable import read_json

PATIENCE_S = 5.0
"""Time for a part to end by itself, before it is killed."""


def note_parts(path: Path, pids: Iterable[int]) -> None:
    """Write down which processes belong to this launcher."""
    path.write_text(json.dumps([[pid, psutil.Process(pid).create_time()] for pid in pids if psutil.pid_exists(pid)]))


def end_leftovers(path: Path) -> int:
    """End the processes written down in ``path`` that are still there, and return how many there were."""
    left = [process for pid, started in read_json(path) or [] if (process := _same(pid, started))]
    left += [child for process in left for child in process.children(recursive=True)]
    for process in left:
        _ask(process, psutil.Process.terminate)
    _, stubborn = psutil.wait_procs(left, timeout=PATIENCE_S)
    for process in stubborn:
        _ask(process, psutil.Process.kill)
    psutil.wait_procs(stubborn, timeout=PATIENCE_S)
    path.unlink(missing_ok=True)
    return len(left)


def _same(pid: int, started: float) -> psutil.Process | None:
    try:
        process = psutil.Process(pid)
        return process if abs(process.create_time() - started) < 1 else None
    except psutil.NoSuchProcess:
        return None


def _ask(process: psutil.Process, request: object) -> None:
    try:
        request(process)  # type: ignore[operator]
    except psutil.NoSuchProcess:
        return
