"""The world that the nemesis torments: one queue server, workers and a web process, each started again when it dies.

    with World(directory, workers=3) as world: ...

Each worker, and the web process, speaks to the server through a proxy of its own. The last worker
has another host name, so that for the others its processes cannot be looked at and only its leases
count. Where we may mount, the data directory is a tmpfs whose size can be cut to what it holds.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
import redis

from keepfit.shared.launch.serverfile import ServerFiles
from keepfit.shared.settings import Settings
from keepfit.shared.store import Store, open_store
from keepfit.web.client import Client
from tests.chaos.proxy import Proxy
from tests.harness.processes import ROOT, Household, Part, Valkey, environment_of, free_port, marked
from tests.harness.waiting import wait_until

DISK_MB = 3_000
TERM_PATIENCE_S = 6.0
"""A supervisor kills what does not end by itself after SIGTERM."""
SWEEP_S = 20.0
OTHER_HOST = "elsewhere"


@dataclass
class Member:
    """One program of the world, started again whenever it has ended."""

    name: str
    command: list[str]
    env: dict[str, str]
    proxy: Proxy
    tree: Path = ROOT
    """The code that it runs."""
    part: Part | None = None
    mains: set[int] = field(default_factory=set)
    """The pids of all its main processes, of those that have died too."""
    not_before: float = 0.0
    terminated_at: float = 0.0

    @property
    def pid(self) -> int:
        """Of its main process; 0 while there is none."""
        return self.part.pid if self.part is not None and self.part.running() else 0

    def pids(self) -> list[int]:
        """Its main process and all below it; the main one first."""
        if not self.pid:
            return []
        with contextlib.suppress(psutil.NoSuchProcess):
            return [self.pid, *(child.pid for child in psutil.Process(self.pid).children(recursive=True))]
        return []


@dataclass
class World:
    """All of it. Leaving it stops everything and fails if a process or a temporary file is left."""

    directory: Path
    workers: int = 3
    app: str = "keepfit.worker.app"
    """What the workers run; the sabotaged ones name another module."""
    web_module: str = "keepfit.web.serve"
    """The same for the web process."""
    more: dict[str, Any] = field(default_factory=dict)
    """Settings besides those below."""
    trees: dict[str, Path] = field(default_factory=dict)
    """Of members that run other code than this: where it is."""

    def __post_init__(self) -> None:
        """Nothing is started yet."""
        self.data_dir = self.directory / "data"
        self.household = Household(self.directory / "household")
        self.server = Valkey(self.directory / "server" / "redis")
        self.server_files = ServerFiles(self.directory / "server")
        self.mounted = False
        self.empty_next = False
        self.server_not_before = 0.0
        self._ended = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="watcher", daemon=True)
        self.trouble: list[str] = []

    def __enter__(self) -> Self:
        """Start the server, the web process and the workers, and wait until they serve."""
        self.data_dir.mkdir(parents=True)
        self.mounted = _mount(self.data_dir)
        # A full disk must not swallow the lines by which we judge: the audit file lies elsewhere.
        (self.data_dir / "audit.jsonl").symlink_to(self.directory / "audit.jsonl")
        self.server.start()
        self.store: Store = open_store(self.server.url)
        self.redis: Any = redis.Redis.from_url(self.server.url, decode_responses=True, socket_timeout=2)
        self.web = self._web()
        self.members = [self._worker(number) for number in range(1, self.workers + 1)]
        for member in (self.web, *self.members):
            self._start(member)
        for member in self.members:
            assert member.part is not None
            self.household.wait_for(member.part, " ready.", "a worker is ready")
        self.client = Client(self.url, patience_s=0)
        wait_until(self._healthy, "the web process answers", timeout_s=60)
        self._watcher.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        """Stop everything."""
        self._ended.set()
        self._watcher.join(60)
        for member in (self.web, *self.members):
            member.proxy.heal()
            for pid in member.pids():
                _signal(pid, signal.SIGCONT)
        try:
            self.household.__exit__(kind, exc, tb)
        finally:
            self.client.close()
            self.store.close()
            self.redis.close()
            self.server.stop()
            for member in (self.web, *self.members):
                member.proxy.close()
            if self.mounted:
                shutil.copytree(self.data_dir, self.directory / "kept", symlinks=True) if kind else None
                subprocess.run(["umount", "-l", str(self.data_dir)], check=True)

    @property
    def url(self) -> str:
        """Of the web process."""
        return f"http://127.0.0.1:{self.web_port}"

    def settings_for(self, proxy: Proxy) -> Settings:
        """What a member behind ``proxy`` is told."""
        values: dict[str, Any] = {
            "data_dir": self.data_dir,
            "redis_url": f"redis://127.0.0.1:{proxy.port}/0",
            "slots": 1,
            "threads": 1,
            "restart_budget": 100,  # a nemesis kills more often than any honest machine
            "backoff_s": 0.1,
            "sweep_s": SWEEP_S,
        }
        return Settings(**(values | self.more))

    def fill_disk(self) -> bool:
        """Leave no free byte on the data directory's disk. False where it is not ours to fill."""
        return self.mounted and _resize(self.data_dir, _used_kb(self.data_dir))

    def empty_disk(self) -> None:
        """Give the free space back."""
        if self.mounted:
            _resize(self.data_dir, DISK_MB * 1024)

    def running_children(self) -> list[int]:
        """The processes that train now, by the store's word; else any child of a worker's pool."""
        from keepfit.shared.errors import StoreUnavailable
        from keepfit.shared.host import Owner

        try:
            owners = [Owner.parse(r.claim.owner) for r in self.store.leases.running()]
        except StoreUnavailable:
            owners = []
        pids = [owner.child.pid for owner in owners if psutil.pid_exists(owner.child.pid)]
        return sorted(pids) or [pid for member in self.members for pid in member.pids()[1:]]

    def replace_all(self, tree: Path) -> None:
        """Stop the web process and all workers, as a person does, and start those of ``tree``."""
        members = (self.web, *self.members)
        for member in members:
            member.not_before, member.terminated_at = float("inf"), time.monotonic()
            _signal(member.pid, signal.SIGTERM)
        wait_until(lambda: not any(member.pid for member in members), "all have stopped", timeout_s=5 * TERM_PATIENCE_S)
        for member in members:
            member.tree, member.not_before = tree, 0.0

    def all_pids(self) -> Iterator[int]:
        """Every process of every member."""
        for member in (self.web, *self.members):
            yield from member.pids()

    def strays(self) -> list[psutil.Process]:
        """Living processes of this world that no member counts among its own."""
        mine = marked(self.household.mark)  # first: what is started in between is no stray
        return [process for process in mine if process.pid not in set(self.all_pids())]

    def _web(self) -> Member:
        self.web_port = free_port()
        proxy = Proxy(self.server.port).start()
        env = environment_of(self.settings_for(proxy)) | {"KEEPFIT_PORT": str(self.web_port)}
        return Member("web", [sys.executable, "-m", self.web_module], env, proxy, self.trees.get("web", ROOT))

    def _worker(self, number: int) -> Member:
        proxy = Proxy(self.server.port).start()
        settings = self.settings_for(proxy)
        command = [sys.executable, "-m", "celery", "-A", self.app, "worker", "-n", f"w{number}@%h", "-l", "INFO"]
        command += ["--without-mingle", "--without-gossip", "--without-heartbeat", "-c", str(settings.processes)]
        if number == self.workers > 1 and os.geteuid() == 0 and shutil.which("unshare"):
            renamed = f'hostname {OTHER_HOST} && exec "$0" "$@"'
            command = ["unshare", "--uts", "sh", "-c", renamed, *command]
        name = f"worker{number}"
        return Member(name, command, environment_of(settings), proxy, self.trees.get(name, ROOT))

    def _start(self, member: Member) -> None:
        command = member.command
        if not (member.tree / "keepfit").exists():  # 0.1
            command = [word.removeprefix("keepfit.") for word in command]
        if member is self.web and not (member.tree / "web/serve.py").exists():
            listen = f"--listen=127.0.0.1:{self.web_port}"
            command = [sys.executable, "-m", "waitress", "--threads=64", listen, "--call", "web:create_app"]
        member.part = self.household.start(command, member.env | {"PYTHONPATH": str(member.tree)}, member.tree)
        member.mains.add(member.part.pid)
        member.terminated_at = 0.0

    def _healthy(self) -> bool:
        with contextlib.suppress(Exception):
            return bool(self.client.health())
        return False

    def _watch(self) -> None:
        """Ten times a second: start again what has ended, kill what does not end after SIGTERM."""
        while not self._ended.wait(0.1):
            try:
                now = time.monotonic()
                if not self._server_runs() and now >= self.server_not_before:
                    self._restart_server()
                for member in (self.web, *self.members):
                    self._look_after(member, now)
            except Exception as exc:  # noqa: BLE001 - a watcher that dies unseen would make every check a lie
                self.trouble.append(f"the watcher stumbled: {exc!r}")

    def _look_after(self, member: Member, now: float) -> None:
        if not member.pid:
            if now >= member.not_before:
                self._start(member)
        elif member.terminated_at and now - member.terminated_at > TERM_PATIENCE_S:
            for pid in member.pids():
                _signal(pid, signal.SIGKILL)

    def _server_runs(self) -> bool:
        return self.server.runs()

    def _restart_server(self) -> None:
        self.server.stop(signal.SIGKILL)
        if self.empty_next:
            shutil.rmtree(self.server.directory / "appendonlydir", ignore_errors=True)
            self.empty_next = False
        self.server.start()
        wait_until(lambda: self._server_answers() or not self._server_runs(), "the server has loaded", timeout_s=20)
        if self._server_runs():
            self.server_files.answered()
        else:  # as the real launcher does it
            self.server_files.ended("ended with exit code 1")

    def _server_answers(self) -> bool:
        try:
            return bool(self.redis.ping())
        except redis.TimeoutError:  # it was frozen meanwhile: it has loaded
            return True
        except redis.RedisError:
            return False

    def damage_server_file(self, in_the_middle: bool) -> None:
        """Spoil what a server that does not run has kept: some bytes of its writes, or the list of its files."""
        folder = self.server.directory / "appendonlydir"
        for manifest in folder.glob("*.manifest"):
            if not in_the_middle:
                manifest.write_bytes(b"")
        for file in folder.glob("*.incr.aof"):
            if in_the_middle and (size := file.stat().st_size):
                with file.open("r+b") as content:
                    content.seek(size // 2)
                    content.write(b"\x00" * min(4000, size // 2))


def _mount(path: Path) -> bool:
    if os.geteuid() != 0:
        return False
    options = ["-t", "tmpfs", "-o", f"size={DISK_MB}m", "none"]
    return subprocess.run(["mount", *options, str(path)], capture_output=True).returncode == 0


def _resize(path: Path, kilobytes: int) -> bool:
    options = f"remount,size={kilobytes}k"
    return subprocess.run(["mount", "-o", options, str(path)], capture_output=True).returncode == 0


def _used_kb(path: Path) -> int:
    found = os.statvfs(path)
    return (found.f_blocks - found.f_bfree) * found.f_frsize // 1024 + 4


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
