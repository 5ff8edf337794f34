"""Starts the parts, starts them again when they end, stops them in order: the `supervisor` library.

    supervise(parts, run_dir, logs_dir, watch)     # returns when all have been stopped

What is added to the library: it looks ten times a second instead of once, a part that fails
right at its start is tried again after a fraction of a second, parts are tied to this process,
SIGHUP (a closed terminal) stops, and a second Ctrl-C stops at once.
"""

import contextlib
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from supervisor import loggers
from supervisor.datatypes import RestartUnconditionally
from supervisor.medusa.asyncore_25 import ExitNow
from supervisor.options import ProcessConfig, ProcessGroupConfig, ServerOptions
from supervisor.poller import Poller
from supervisor.process import Subprocess
from supervisor.states import ProcessStates, SupervisorStates
from supervisor.supervisord import Supervisor

from keepfit.shared.host import die_with_parent
from keepfit.shared.launch.parts import Part

LOOK_S = 0.1
LONGEST_PAUSE_S = 2.0
"""Between two tries of a part that fails at its start."""
LOG_BYTES, LOG_BACKUPS = 5 * 2**20, 3
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Watch(Protocol):
    """Is told what happens to the parts; called from the supervising loop, so it must be quick."""

    def look(self, control: "Control") -> None:
        """Called ten times a second."""

    def ended(self, name: str, reason: str) -> None:
        """A part has ended without having been asked to; it is started again."""

    def stopping(self, hard: bool) -> None:
        """Everything is being stopped; ``hard`` when it was asked for twice."""

    def not_logged(self, reason: str) -> None:
        """A log takes no more lines, as on a full disk."""


class Control(Protocol):
    """What a watch may ask of the supervision."""

    def pids(self) -> dict[str, int]:
        """The processes that run now, by the name of the part."""

    def stop(self) -> None:
        """Stop everything."""


class _QuickPoller(Poller):  # the platform's own: poll or kqueue
    def poll(self, timeout: float) -> Any:
        return super().poll(min(timeout, LOOK_S))


class _Options(ServerOptions):
    """The library's options, with parts tied to this process, and the stop signals counted."""

    def __init__(self) -> None:
        super().__init__()
        self.poller = _QuickPoller(self)
        self.stop_requests = 0
        self.parent = os.getpid()

    def setpgrp(self) -> None:
        """Called in the child just before exec: the place to tie it."""
        super().setpgrp()
        die_with_parent(self.parent)

    def get_signal(self) -> int | None:
        """The next signal that has arrived; a closed terminal is a wish to stop."""
        number: int | None = super().get_signal()
        if number in STOP_SIGNALS:
            self.stop_requests += 1
            return signal.SIGTERM
        return number


class _Process(Subprocess):
    """One part. Tells the watch when it ends, and is tried again soon."""

    watch: Watch

    def finish(self, pid: int, sts: int) -> None:
        """It has ended."""
        asked = self.killing
        super().finish(pid, sts)
        if not asked:
            self.watch.ended(self.config.name, _how(sts))

    def change_state(self, new_state: int, expected: bool = True) -> bool:
        """As the library, but with a pause of fractions of a second where that waits whole ones."""
        changed: bool = super().change_state(new_state, expected)
        if new_state == ProcessStates.BACKOFF:
            self.delay = self.laststart + min(0.25 * self.backoff, LONGEST_PAUSE_S)
        return changed


class _PartConfig(ProcessConfig):
    """The library's description of a part; makes our kind of process of it."""

    watch: Watch

    def make_process(self, group: Any = None) -> _Process:
        """The process of this part, not yet started."""
        process = _Process(self)
        process.group, process.watch = group, self.watch
        return process


class _Supervisor(Supervisor):
    """The library's loop, with a watch that is asked in each round."""

    def __init__(self, options: _Options, watch: Watch) -> None:
        super().__init__(options)
        self.watch = watch
        self._hard = False

    def pids(self) -> dict[str, int]:
        """The processes that run now, by the name of the part."""
        processes = [p for group in self.process_groups.values() for p in group.processes.values()]
        return {p.config.name: p.pid for p in processes if p.pid}

    def stop(self) -> None:
        """Stop everything."""
        self.options.mood = SupervisorStates.SHUTDOWN

    def tick(self, now: float | None = None) -> None:  # noqa: ARG002  the library's signature
        """One round of the loop; the library's own ticks have no listener here."""
        if self.options.mood == SupervisorStates.RUNNING:
            self.watch.look(self)

    def handle_signal(self) -> None:
        """React to a signal, and to a second wish to stop."""
        was_running = self.options.mood == SupervisorStates.RUNNING
        super().handle_signal()
        if was_running and self.options.mood != SupervisorStates.RUNNING:
            self.watch.stopping(hard=False)
        if self.options.stop_requests > 1 and not self._hard:
            self._hard = True
            self.watch.stopping(hard=True)
        if self._hard:
            for group in self.process_groups.values():
                for process in group.processes.values():
                    if process.state == ProcessStates.STOPPING:
                        process.delay = 0  # its time is up: the library kills it in this round


def supervise(parts: Sequence[Part], run_dir: Path, logs_dir: Path, watch: Watch) -> None:
    """Run ``parts`` until a signal, or the watch, asks to stop; then stop them in order."""
    # The library's own way is a traceback on the console for every line of every part.
    loggers.Handler.handleError = lambda _handler: watch.not_logged(str(sys.exc_info()[1]))
    options = _Options()
    options.realize(["--configuration", str(_write_configuration(run_dir, logs_dir))])
    options.first, options.test = True, False
    orders = sorted({part.stop_order for part in parts})
    options.process_group_configs = [
        ProcessGroupConfig(
            options,
            f"group-{order}",
            order,
            [_part_config(options, part, logs_dir, watch) for part in parts if part.stop_order == order],
        )
        for order in orders
    ]
    try:
        _Supervisor(options, watch).main()
    except ExitNow:  # the library's way to say that all have stopped
        return
    finally:
        with contextlib.suppress(OSError):  # what could not be written is given up
            options.close_logger()


def _write_configuration(run_dir: Path, logs_dir: Path) -> Path:
    """The library reads its own settings from a file only; the parts are given to it as objects."""

    def quoted(path: Path) -> str:
        return str(path).replace("%", "%%")

    lines = [
        "[supervisord]",
        f"logfile = {quoted(logs_dir / 'supervisor.log')}",
        f"logfile_maxbytes = {LOG_BYTES}",
        f"logfile_backups = {LOG_BACKUPS}",
        f"pidfile = {quoted(run_dir / 'supervisor.pid')}",
        f"childlogdir = {quoted(logs_dir)}",
        "nodaemon = true",
        "silent = true",
        "nocleanup = true",
        "minfds = 256",
        "minprocs = 50",
    ]
    path = run_dir / "supervisord.conf"
    path.write_text("\n".join(lines) + "\n")
    return path


def _part_config(options: _Options, part: Part, logs_dir: Path, watch: Watch) -> _PartConfig:
    needed = dict.fromkeys(ProcessConfig.req_param_names) | {
        "name": part.name,
        "command": shlex.join(part.command),
        "priority": part.stop_order,
        "autostart": True,
        "autorestart": RestartUnconditionally,
        "startsecs": 1,
        "startretries": 10**9,
        "stopsignal": signal.SIGTERM,
        "stopwaitsecs": part.stop_wait_s,
        "stopasgroup": False,
        "killasgroup": True,
        "exitcodes": [0],
        "redirect_stderr": True,
        "stdout_logfile": str(logs_dir / f"{part.name}.log"),
        "stdout_logfile_maxbytes": LOG_BYTES,
        "stdout_logfile_backups": LOG_BACKUPS,
        "stdout_capture_maxbytes": 0,
        "stderr_capture_maxbytes": 0,
        "environment": dict(part.environment),
    }
    config = _PartConfig(options, **needed)
    config.watch = watch
    return config


def _how(status: int) -> str:
    """A wait status in words."""
    if os.WIFSIGNALED(status):
        return f"was killed by {signal.Signals(os.WTERMSIG(status)).name}"
    return f"ended with exit code {os.waitstatus_to_exitcode(status)}"
