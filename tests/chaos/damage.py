"""What people and disks do to the parts of a service: keys and documents lost or spoilt, directories taken away.

Where a damage has a price, the promise says so and the checker asks no more than that: a job whose directory is
gone is gone everywhere; one whose result or verdict cannot be read may be trained again, to the same bits.
A job whose ``job.json`` is destroyed is lost by definition, so that is not done here.
"""

import contextlib
import random
import shutil
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import redis

from keepfit.shared.jobs.states import JobState
from keepfit.shared.store import keys
from tests.chaos.people import People, Promise
from tests.chaos.world import World
from tests.harness.foreign import FOREIGN

Note = Callable[[str, str, float], None]
Later = Callable[[float, Callable[[], None]], None]
HELD_S = (1.0, 6.0)
HALF_OPEN = 150
INDEXES = (keys.READY, keys.LEASES, keys.JOBS, keys.DELAYED)
OTHERS = (keys.CHANGES, keys.WORKERS, keys.COUNTERS, keys.KICK, keys.SCAN, keys.REBUILD, *map(keys.state, JobState))
SPOILT = {"state": "banana", "progress": '["x"]', "attempt": "x", "wish": "", "created_ms": "never", "priority": "-"}
DOCUMENTS = ("wish.json", "verdict.json", "claim.json", "attempt.json", "metrics.jsonl", "result.json", "log.txt")
GARBAGE = (b"", b'{"wi', b"[]", b"null", b"\x00" * 64, b"[" * 100_000, b'{"wish": 7}')


@dataclass
class Damage:
    """Does it, with the dice of the nemesis."""

    world: World
    people: People
    random: random.Random
    note: Note
    later: Later

    def lose_key(self) -> None:
        """One key is deleted; every other time the record of a job."""
        key = self._key()
        self.note("key lost", key, 0.0)
        self._tell(lambda r: r.delete(key))

    def spoil_key(self) -> None:
        """One key becomes a string."""
        key = self._key()
        self.note("key damaged", key, 0.0)
        self._tell(lambda r: r.set(key, "x"))

    def spoil_field(self) -> None:
        """One field of a job's record becomes nonsense."""
        (field, value), promise = self.random.choice(list(SPOILT.items())), self._promise()
        if promise:
            self.note("record damaged", promise.job_id, 0.0)
            self._tell(lambda r: r.hset(keys.job(promise.job_id), field, value))

    def send_foreign(self) -> None:
        """Messages that are no kicks; now and then the queue itself becomes something else."""
        messages = self.random.sample(list(FOREIGN), 5)
        replaced = self.random.random() < 0.3
        self.note("foreign messages", "the queue itself" if replaced else ", ".join(messages), 0.0)
        if replaced:
            self._tell(lambda r: r.set(keys.QUEUE, "x"))
        else:
            self._tell(lambda r: r.rpush(keys.QUEUE, *(FOREIGN[name] for name in messages)))

    def spoil_document(self) -> None:
        """One document of a job is removed, or holds something else."""
        name, garbage, promise = self.random.choice(DOCUMENTS), self.random.choice(GARBAGE), self._promise()
        removed, dice = self.random.random() < 0.3, self.random.random()
        if promise is None or (name == "wish.json" and "cancel" in promise.plan):
            return  # without its wish a cancelled job is a paused one
        found = sorted(self._jobdir(promise).rglob(name))
        if not found:
            return
        self.note("document damaged", f"{promise.job_id} {name}", 0.0)
        promise.damaged.append(time.time())
        with contextlib.suppress(OSError):
            path = found[int(dice * len(found))]
            path.unlink() if removed else path.write_bytes(garbage)

    def spoil_row(self) -> None:
        """A row that nobody can read comes between the others."""
        garbage, promise = self.random.choice(GARBAGE), self._promise(over=False)
        files = sorted(self._jobdir(promise).glob("attempts/*/metrics.jsonl")) if promise else []
        if promise and files:
            self.note("row damaged", promise.job_id, 0.0)
            with contextlib.suppress(OSError), files[-1].open("ab") as file:
                file.write(garbage + b"\n")

    def remove_checkpoints(self) -> None:
        """All checkpoints of a job that is not over are removed."""
        promise = self._promise(over=False)
        if promise:
            self.note("checkpoints removed", promise.job_id, 0.0)
            for folder in self._jobdir(promise).glob("attempts/*/checkpoints"):
                shutil.rmtree(folder, ignore_errors=True)

    def remove_job(self) -> None:
        """The directory of a job is taken away, whatever the job is at."""
        promise = self._promise(over=False)
        if promise:
            promise.gone = True
            self.note("job removed", promise.job_id, 0.0)
            away = self.world.data_dir / "taken-away"
            away.mkdir(exist_ok=True)
            with contextlib.suppress(OSError):
                self._jobdir(promise).rename(away / promise.job_id)
            shutil.rmtree(away / promise.job_id, ignore_errors=True)

    def half_open(self) -> None:
        """Clients of the web side that send half a request and then nothing."""
        seconds = self.random.uniform(*HELD_S)
        self.note("half-open clients", "web", seconds)
        with contextlib.ExitStack() as held:
            with contextlib.suppress(OSError):
                for _ in range(HALF_OPEN):
                    connection = held.enter_context(socket.create_connection(("127.0.0.1", self.world.web_port), 1))
                    connection.sendall(b"POST /api/v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Le")
            self.later(seconds, held.pop_all().close)

    def _key(self) -> str:
        choice, other, promise = self.random.choice(INDEXES), self.random.choice(OTHERS), self._promise()
        dice = self.random.random()
        if promise and dice < 0.4:
            return keys.job(promise.job_id)
        return choice if dice < 0.8 else other

    def _promise(self, over: bool | None = None) -> Promise | None:
        """A job that was accepted; only one that is over, or is not, if so asked."""
        dice = self.random.random()
        found = [p for p in list(self.people.promises) if p.job_id and not p.gone and not p.deleting]
        found = [p for p in found if over is None or (p.ended is not None) == over]
        return found[int(dice * len(found))] if found else None

    def _jobdir(self, promise: Promise) -> Path:
        return self.world.data_dir / "jobs" / promise.job_id

    def _tell(self, what: Callable[[redis.Redis], object]) -> None:
        with contextlib.suppress(redis.RedisError):  # it is down or frozen: this fault then does nothing more
            what(self.world.redis)
