"""The nemesis: picks faults at random from a seed, makes them, and undoes those that can be undone.

    nemesis = Nemesis(world, people, seed)
    nemesis.rage(seconds, faults)
    nemesis.calm()

The sequence of faults, their targets and lengths are a function of the seed; which process stands
behind a target depends on what runs at that moment. Every fault is in ``log``, with its time.
"""

import contextlib
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import redis

from tests.chaos.damage import Damage
from tests.chaos.people import People
from tests.chaos.world import Member, World
from tests.harness.waiting import StillWaiting, wait_until

GAP_S = (0.3, 3.5)
FREEZE_S = (0.5, 10.0)
CUT_S = (0.5, 8.0)
FULL_S = (1.0, 4.0)
PAUSE_S = (0.2, 3.0)
DOWN_S = (0.0, 2.0)


@dataclass(frozen=True)
class Fault:
    """One thing that the nemesis has done."""

    at: float
    """Wall clock, seconds."""
    kind: str
    target: str
    lasts_s: float = 0.0
    pids: tuple[int, ...] = ()
    """Of the processes that were killed or frozen."""

    def __str__(self) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(self.at)) + f".{int(self.at % 1 * 1000):03d}"
        return f"{clock}  {self.kind:<20} {self.target}" + (f"  for {self.lasts_s:.1f} s" if self.lasts_s else "")


@dataclass
class Nemesis:
    """Torments one world."""

    world: World
    people: People
    seed: int
    log: list[Fault] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Ready to begin."""
        self.random = random.Random(self.seed)
        self._undo: list[tuple[float, Callable[[], None]]] = []
        damage = Damage(self.world, self.people, self.random, self._note, self._later)
        self._kinds: dict[str, tuple[int, Callable[[], None]]] = {
            "kill child": (8, self.kill_child),
            "kill main": (6, self.kill_main),
            "kill all workers": (2, self.kill_all_workers),
            "kill server": (4, self.kill_server),
            "server file damaged": (2, self.damage_server_file),
            "kill web": (3, self.kill_web),
            "stop child": (5, self.stop_child),
            "stop main": (4, self.stop_main),
            "stop worker": (6, self.stop_worker),
            "stop server": (2, self.stop_server),
            "stop web": (2, self.stop_web),
            "SIGTERM": (4, self.terminate),
            "FLUSHALL": (3, self.flush),
            "restart empty": (2, self.restart_empty),
            "CLIENT KILL": (3, self.client_kill),
            "CLIENT PAUSE": (3, self.client_pause),
            "black hole": (5, self.black_hole),
            "reset": (3, self.reset),
            "delay": (3, self.delay),
            "web killed in submit": (3, self.kill_web_in_submit),
            "web killed in delete": (3, self.kill_web_in_delete),
            "disk full": (3, self.fill_disk),
            "key lost": (6, damage.lose_key),
            "key damaged": (3, damage.spoil_key),
            "record damaged": (3, damage.spoil_field),
            "foreign messages": (4, damage.send_foreign),
            "document damaged": (4, damage.spoil_document),
            "row damaged": (2, damage.spoil_row),
            "checkpoints removed": (2, damage.remove_checkpoints),
            "job removed": (2, damage.remove_job),
            "half-open clients": (2, damage.half_open),
        }

    def rage(self, seconds: float, enough: int) -> None:
        """Make faults for ``seconds``; return earlier once there were ``enough``."""
        until = time.monotonic() + seconds
        names, weights = list(self._kinds), [weight for weight, _ in self._kinds.values()]
        while time.monotonic() < until and len(self.log) < enough:
            self._wait(self.random.uniform(*GAP_S))
            kind = self.random.choices(names, weights)[0]
            self._kinds[kind][1]()

    def calm(self) -> None:
        """Undo whatever is still broken."""
        for _, undo in sorted(self._undo, key=lambda item: item[0]):
            undo()
        self._undo.clear()
        for member in (self.world.web, *self.world.members):
            member.proxy.heal()
        self.world.empty_disk()

    def tally(self) -> dict[str, int]:
        """How many faults of each kind there were."""
        return dict(Counter(fault.kind for fault in self.log).most_common())

    def kill_child(self) -> None:
        """kill -9 of a process that trains."""
        pids = self.world.running_children()
        number = self.random.random()
        if pids:
            self._kill("kill child", [pids[int(number * len(pids))]], "a training process")

    def kill_main(self) -> None:
        """kill -9 of a worker's main process, for which its supervisor takes a moment to start another."""
        member = self._member()
        member.not_before = time.monotonic() + self.random.uniform(*DOWN_S)
        self._kill("kill main", member.pids()[:1], member.name)

    def kill_all_workers(self) -> None:
        """kill -9 of all of them at once."""
        self._kill("kill all workers", [pid for m in self.world.members for pid in m.pids()], "all")

    def kill_server(self) -> None:
        """kill -9 of the queue server; it comes back with its file."""
        self.world.server_not_before = time.monotonic() + self.random.uniform(*DOWN_S)
        self._kill("kill server", self._server(), "server")

    def restart_empty(self) -> None:
        """The server comes back without its file."""
        self.world.server_not_before = time.monotonic() + self.random.uniform(*DOWN_S)
        self.world.empty_next = True
        self._kill("restart empty", self._server(), "server")

    def damage_server_file(self) -> None:
        """The server comes back and cannot read its file."""
        in_the_middle = self.random.random() < 0.7
        self.world.server_not_before = time.monotonic() + 1.0
        self._kill("server file damaged", self._server(), "server")
        with contextlib.suppress(StillWaiting, OSError):
            wait_until(lambda: not self.world._server_runs(), "the server has ended", timeout_s=0.8, poll_s=0.01)
            self.world.damage_server_file(in_the_middle)

    def kill_web(self) -> None:
        """kill -9 of the web process."""
        self._kill("kill web", self.world.web.pids(), "web")

    def stop_child(self) -> None:
        """SIGSTOP of a process that trains."""
        pids = self.world.running_children()
        number = self.random.random()
        if pids:
            self._freeze("stop child", [pids[int(number * len(pids))]], "a training process")

    def stop_main(self) -> None:
        """SIGSTOP of a worker's main process only."""
        member = self._member()
        self._freeze("stop main", member.pids()[:1], member.name)

    def stop_worker(self) -> None:
        """SIGSTOP of a worker and its children."""
        member = self._member()
        self._freeze("stop worker", member.pids(), member.name)

    def stop_server(self) -> None:
        """SIGSTOP of the queue server."""
        self._freeze("stop server", self._server(), "server")

    def stop_web(self) -> None:
        """SIGSTOP of the web process and its children."""
        self._freeze("stop web", self.world.web.pids(), "web")

    def terminate(self) -> None:
        """SIGTERM of a worker."""
        member = self._member()
        self._note("SIGTERM", member.name)
        if member.pid:
            member.terminated_at = time.monotonic()
            self._signal(member.pid, signal.SIGTERM)

    def flush(self) -> None:
        """FLUSHALL."""
        self._note("FLUSHALL", "server")
        self._tell("FLUSHALL")

    def client_kill(self) -> None:
        """All connections of clients are closed by the server."""
        self._note("CLIENT KILL", "server")
        self._tell("CLIENT", "KILL", "TYPE", "normal")
        self._tell("CLIENT", "KILL", "TYPE", "pubsub")

    def client_pause(self) -> None:
        """The server answers nobody for a while."""
        seconds = self.random.uniform(*PAUSE_S)
        self._note("CLIENT PAUSE", "server", seconds)
        self._tell("CLIENT", "PAUSE", str(round(seconds * 1000)), "ALL")

    def black_hole(self) -> None:
        """One member's line to the server is cut; neither side is told."""
        self._cut("black hole", lambda member: member.proxy.black_hole())

    def reset(self) -> None:
        """One member's connections are reset, again and again."""
        self._cut("reset", lambda member: member.proxy.reset())

    def delay(self) -> None:
        """One member's line becomes slow."""
        late_s = self.random.uniform(0.02, 0.4)
        self._cut("delay", lambda member: member.proxy.delay(late_s))

    def kill_web_in_submit(self) -> None:
        """The web process dies between a job's directory and the queue server's hearing of it."""
        self._note("web killed in submit", "web")
        self._tell("CLIENT", "PAUSE", "1500", "ALL")
        promise = self.people.new_promise()
        posting = threading.Thread(target=self.people.submit, args=(promise,), daemon=True)
        posting.start()
        with contextlib.suppress(StillWaiting):  # the web process may be frozen or away: then there is no job yet
            wait_until(lambda: self.people.directory_of(promise).exists(), "its directory exists", 2, poll_s=0.002)
        for pid in self.world.web.pids():
            self._signal(pid, signal.SIGKILL)
        posting.join(20)

    def kill_web_in_delete(self) -> None:
        """The web process dies between the move of a job's directory and the queue server's hearing of it."""
        number = self.random.random()
        alive = [p for p in list(self.people.promises) if p.job_id and p.ended is None and not (p.gone or p.deleting)]
        if not alive:
            return
        promise = alive[int(number * len(alive))]
        self._note("web killed in delete", promise.job_id)
        promise.deleting = True
        self._tell("CLIENT", "PAUSE", "1500", "ALL")
        asking = threading.Thread(target=self.people.delete, args=(promise,), daemon=True)
        asking.start()
        with contextlib.suppress(StillWaiting):  # the web process may be frozen or away: then it is asked again
            wait_until(lambda: not self.people.directory_of(promise).exists(), "it was moved", 3, poll_s=0.002)
        for pid in self.world.web.pids():
            self._signal(pid, signal.SIGKILL)
        asking.join(20)

    def fill_disk(self) -> None:
        """The data directory's disk is full for a while."""
        if self.world.fill_disk():
            seconds = self.random.uniform(*FULL_S)
            self._note("disk full", "disk", seconds)
            self._later(seconds, self.world.empty_disk)

    def _kill(self, kind: str, pids: list[int], target: str) -> None:
        self._note(kind, target, pids=pids)
        for pid in pids:
            self._signal(pid, signal.SIGKILL)

    def _freeze(self, kind: str, pids: list[int], target: str) -> None:
        seconds = self.random.uniform(*FREEZE_S)
        self._note(kind, target, seconds, pids)
        for pid in pids:
            self._signal(pid, signal.SIGSTOP)

        def thaw() -> None:
            for pid in pids:
                self._signal(pid, signal.SIGCONT)

        self._later(seconds, thaw)

    def _cut(self, kind: str, how: Callable[[Member], None]) -> None:
        everyone = [self.world.web, *self.world.members]
        member = everyone[self.random.randrange(len(everyone))]
        seconds = self.random.uniform(*CUT_S)
        self._note(kind, member.name, seconds)
        how(member)
        self._later(seconds, member.proxy.heal)

    def _member(self) -> Member:
        return self.world.members[self.random.randrange(len(self.world.members))]

    def _server(self) -> list[int]:
        return [self.world.server.pid] if self.world._server_runs() else []

    def _signal(self, pid: int, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):  # it has died before
            os.kill(pid, number)

    def _tell(self, *words: str) -> None:
        with contextlib.suppress(redis.RedisError):  # it is down or frozen: this fault then does nothing more
            self.world.redis.execute_command(*words)

    def _note(self, kind: str, target: str, lasts_s: float = 0.0, pids: Sequence[int] = ()) -> None:
        self.log.append(Fault(time.time(), kind, target, lasts_s, tuple(pids)))

    def _later(self, seconds: float, undo: Callable[[], None]) -> None:
        self._undo.append((time.monotonic() + seconds, undo))

    def _wait(self, seconds: float) -> None:
        """Let ``seconds`` pass; undo meanwhile what is due."""
        until = time.monotonic() + seconds
        pause = threading.Event()
        while (left := until - time.monotonic()) > 0:
            now = time.monotonic()
            for due in [item for item in self._undo if item[0] <= now]:
                self._undo.remove(due)
                due[1]()
            pause.wait(min(left, 0.05))
