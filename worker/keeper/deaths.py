"""How training processes died. Fed by Celery in the main process, asked by the keeper.

Knows the kernel's count of out-of-memory kills, since a SIGKILL alone does not say who sent it. The count is
of all processes: only a kill of the last seconds explains a death, and each explains one.
"""

import re
import threading
import time
from pathlib import Path
from typing import Any

from billiard.exceptions import WorkerLostError
from celery.worker.request import Request

from keepfit.shared.reasons import Code, Reason

_VMSTAT = Path("/proc/vmstat")
_SIGNAL = re.compile(r"signal \d+ \((SIG\w+)\)")
_STATUS = re.compile(r"exitcode (\d+)")
RECENT_S = 5.0
"""A process with much memory takes seconds to end."""


class Deaths:
    """The last words about each dead child of this worker, by pid."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._said: dict[int, Reason] = {}
        self._oom_kills = _oom_kills()
        self._unexplained: list[float] = []

    def look(self) -> None:
        """Note when the kernel killed something; asked several times a second, so that old kills are known as old."""
        with self._lock:
            self._count()

    def record(self, pid: int, message: str) -> None:
        """Keep what billiard said about the end of ``pid``."""
        signal, status = _SIGNAL.search(message), _STATUS.search(message)
        if signal and signal[1] == "SIGKILL" and self._kernel_killed():
            reason = Reason.of(Code.KERNEL_KILLED)
        elif signal:
            reason = Reason.of(Code.PROCESS_SIGNALLED, signal=signal[1])
        elif status:
            reason = Reason.of(Code.PROCESS_ENDED, status=int(status[1]))
        else:
            reason = Reason.of(Code.PROCESS_VANISHED)
        with self._lock:
            self._said[pid] = reason

    def take(self, pid: int) -> Reason | None:
        """How ``pid`` died, if that is known yet; asks only once."""
        with self._lock:
            return self._said.pop(pid, None)

    def _kernel_killed(self) -> bool:
        with self._lock:
            self._count()
            if not self._unexplained:
                return False
            del self._unexplained[0]
            return True

    def _count(self) -> None:
        before, self._oom_kills, now = self._oom_kills, _oom_kills(), time.monotonic()
        recent = [at for at in self._unexplained if now - at < RECENT_S]
        self._unexplained = recent + [now] * (self._oom_kills - before)


class AttemptRequest(Request):
    """Celery's handle on a running task, in the main process; notes how its process died."""

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        """Called when the task raised, or its process was lost."""
        exception = getattr(exc_info.exception, "exc", exc_info.exception)
        if isinstance(exception, WorkerLostError) and self.worker_pid:
            DEATHS.record(self.worker_pid, str(exception))
        return super().on_failure(exc_info, send_failed_event, return_ok)


def _oom_kills() -> int:
    if not _VMSTAT.exists():
        return 0
    for line in _VMSTAT.read_text().splitlines():
        name, _, value = line.partition(" ")
        if name == "oom_kill":
            return int(value)
    return 0


DEATHS = Deaths()
"""Of this worker. A module value because Celery makes the requests, not we."""
