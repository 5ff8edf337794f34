"""What the keepers of the workers need: who is alive, top-ups of the task queue, drills, the boot mark, and all that
puts right what the server has lost: the lock of who compares, the comparison, and putting jobs back. And the channel
by which an attempt hears of a wish at once, instead of with the next heartbeat: a hint only, the wish itself is in
the record.
"""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from keepfit.shared.errors import StoreUnavailable
from keepfit.shared.jobs.directory import JobDir
from keepfit.shared.jobs.states import ENDS, JobState
from keepfit.shared.reasons import Reason
from keepfit.shared.store import keys, scripts
from keepfit.shared.store.jobs import WORKER_SILENT_MS, fields_of
from keepfit.shared.store.link import Link
from keepfit.shared.store.records import JobRecord, WorkerRecord, job_record, needs_of_record, whole
from keepfit.shared.store.scripts import ms


class WishChannel:
    """The channel of one running job."""

    def __init__(self, link: Link, job_id: str) -> None:
        self._link = link
        self._name = keys.wishes(job_id)
        self._pubsub: Any = None

    def heard(self, timeout_s: float) -> bool:
        """Wait up to ``timeout_s`` for a wish. Raises StoreUnavailable at once when the server is away."""
        try:
            message = self._link.ask(lambda r: self._subscribed(r).get_message(timeout=timeout_s))
        except StoreUnavailable:
            self.close()
            raise
        return message is not None and message["type"] == "message"

    def close(self) -> None:
        """Give the connection back."""
        if self._pubsub is not None:
            self._pubsub.close()
            self._pubsub = None

    def _subscribed(self, client: Any) -> Any:
        if self._pubsub is None:
            pubsub = client.pubsub()
            pubsub.subscribe(self._name)
            self._pubsub = pubsub
        return self._pubsub


class Workers:
    """What the store knows of workers."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def beat(self, name: str, *, host: str, pid: int, slots: int, busy: int, takes: bool = True) -> None:
        """Say that the worker ``name`` lives. ``takes``: whether it takes jobs, or stops, or has gone deaf."""
        call = scripts.Beat(
            name=name, host=host, pid=pid, slots=slots, busy=busy, takes=takes, silent_ms=WORKER_SILENT_MS
        )
        self._link.run(call)

    def leave(self, name: str) -> None:
        """Say that the worker ``name`` stops."""
        self._link.run(scripts.Leave(name=name))

    def list(self) -> list[WorkerRecord]:
        """All workers that have been heard of in the last seconds, by name."""
        seconds, micros = self._link.ask(lambda r: r.time())
        now = seconds * 1000 + micros // 1000
        seen = self._link.ask(lambda r: r.zrangebyscore(keys.WORKERS, now - WORKER_SILENT_MS, "+inf", withscores=True))
        rows = self._link.hashes([keys.worker(name) for name, _ in seen])
        pairs = sorted(zip(seen, rows, strict=True), key=lambda row: str(row[0][0]))
        found = [_worker_record(name, raw, int(score), int(now)) for (name, score), raw in pairs]
        return [record for record in found if record is not None]


def _worker_record(name: str, raw: Mapping[str, str], seen_ms: int, now_ms: int) -> WorkerRecord | None:
    """Decode the hash of a worker; None for one that has just left, or that is damaged: its next beat mends it."""
    try:
        pid, slots, busy = (int(raw[field]) for field in ("pid", "slots", "busy"))
        takes = raw.get("takes") != "0"
        return WorkerRecord(name, raw["host"], pid, slots, busy, seen_ms, max(0, now_ms - seen_ms), takes)
    except (KeyError, ValueError):
        return None


READY_LOOKED_AT = 50
LOCK_MS = 10_000
REBUILD_KEPT_MS = 60_000
"""A rebuild that says nothing for so long has ended with its keeper."""


class Upkeep:
    """The keepers' side of the store."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def top_up(self, *, gap_s: float, most: int) -> int:
        """How many kicks to publish now: jobs are ready and no kick waits in the task queue."""
        return self._link.run(scripts.TopUp(gap_ms=ms(gap_s), most=most))

    def ready(self, *, only_short: bool = False) -> bool:
        """Whether a job may be claimed now that this version can read. Looks at the best few only.

        ``only_short``: one of a short kind, which a worker takes even when its slots are full.
        """
        queue = keys.SHORT if only_short else keys.READY

        def ask(client: Any) -> list[list[str | None]]:
            pipe = client.pipeline(transaction=False)
            for job_id in ids:
                pipe.hmget(keys.job(job_id), "needs", "kind")
            return list(pipe.execute())

        ids = self._link.ask(lambda r: r.zrange(queue, 0, READY_LOOKED_AT - 1))
        if not ids or len(ids) == READY_LOOKED_AT:  # among many a claim finds out
            return bool(ids)
        return any(needs_of_record(needs, kind).met for needs, kind in self._link.ask(ask))

    def drilled(self, owner: str) -> bool:
        """Whether the worker of ``owner`` is asked to die; asks only once."""
        return bool(self._link.ask(lambda r: r.delete(keys.drill(owner))))

    def booted(self) -> bool:
        """Whether the server still has what was written to it; False after a wipe or on a new server."""
        return bool(self._link.ask(lambda r: r.exists(keys.BOOT)))

    def mark_booted(self) -> None:
        """Say that the records are whole again."""

        def ask(client: Any) -> None:
            pipe = client.pipeline()
            pipe.set(keys.BOOT, uuid.uuid4().hex)
            pipe.delete(keys.REBUILD)
            pipe.execute()

        self._link.ask(ask)

    def uptime_s(self) -> float:
        """Seconds since the server started."""
        return float(self._link.ask(lambda r: r.info("server"))["uptime_in_seconds"])

    def lock(self, who: str) -> bool:
        """Take, or keep, the right to compare all jobs, for some seconds; False if another keeper has it."""
        return self._link.run(scripts.Lock(who=who, lock_ms=LOCK_MS))

    def note_rebuild(self, mark: str, done: int, total: int) -> bool:
        """Say how far a rebuild is; False if what was rebuilt is lost, so that it must begin again."""

        def ask(client: Any) -> Any:
            pipe = client.pipeline()
            pipe.hget(keys.REBUILD, "mark")
            pipe.hset(keys.REBUILD, mapping={"mark": mark, "done": done, "total": total})
            pipe.pexpire(keys.REBUILD, REBUILD_KEPT_MS)
            return pipe.execute()[0]

        before = self._link.ask(ask)
        return done == 0 or before == mark

    def rebuilding(self) -> tuple[int, int] | None:
        """How many jobs a rebuild after a wipe has put back, and of how many; None while there is none."""
        (raw,) = self._link.hashes([keys.REBUILD])
        return (whole(raw, "done"), whole(raw, "total")) if raw else None

    def put_back(self, jobdir: JobDir, state: JobState, reason: Reason, *, result: str = "") -> bool:
        """Put back a job that the server does not know. False if it knows it."""
        return self._link.run(put_back_call(jobdir, state, reason, result=result))

    def put_back_many(self, found: Sequence[scripts.PutBack]) -> int:
        """Put back many jobs in one round trip; each as ``put_back_call`` says. Returns how many were not known."""
        return sum(self._link.run_many(found))

    def forget(self, job_id: str, *, damaged: bool = False) -> bool:
        """Drop the record of a job that nobody runs, or a ``damaged`` one; its directory stays. Else False.

        Who runs a job whose record was damaged adopts it, with a new record.
        """
        return self._link.run(scripts.Forget(job_id=job_id, damaged=damaged))

    def remove(self, job_id: str) -> None:
        """Drop all that the server has of a job whose directory is gone; who runs it stops."""
        self._link.run(scripts.Remove(job_id=job_id))

    def sound(self, *, repair: bool = True) -> Sequence[str]:
        """The keys that are of another type than they should be; dropped if ``repair``."""
        return self._link.run(scripts.Sound(repair=repair))

    def mend(self, job_ids: Sequence[str], *, repair: bool = True) -> dict[str, str]:
        """What is wrong with the places of these jobs, one word for each (``mend.lua``), and put right if ``repair``.

        ``missing`` and ``damaged`` records are only named: they are put back from their directories.
        """
        return self._link.run(scripts.Mend(repair=repair, job_ids=tuple(job_ids)))

    def records(self, job_ids: Sequence[str]) -> dict[str, JobRecord | None]:
        """The records of these jobs; None for one that cannot be read. One that is not there is left out."""
        found: dict[str, JobRecord | None] = {}
        for job_id, raw in zip(job_ids, self._link.hashes([keys.job(job_id) for job_id in job_ids]), strict=True):
            if raw:
                try:
                    found[job_id] = job_record(job_id, raw)
                except (ValueError, KeyError):
                    found[job_id] = None
        return found

    def listed(self, job_ids: Sequence[str]) -> list[bool]:
        """Which of these jobs are in the list of all jobs. Cheap."""
        scores = self._link.ask(lambda r: r.zmscore(keys.JOBS, job_ids)) if job_ids else []
        return [score is not None for score in scores]

    def live(self) -> list[str]:
        """The jobs that have not ended, by every index that has such."""
        places = [
            keys.READY,
            keys.SHORT,
            keys.DELAYED,
            keys.LEASES,
            *(keys.state(state) for state in JobState if state not in ENDS),
        ]
        return self._members(places)

    def miscounted(self) -> bool:
        """Whether the lists of the jobs of each state are not, together, as long as that of all jobs."""

        def ask(client: Any) -> list[int]:
            pipe = client.pipeline(transaction=False)
            for key in (keys.JOBS, *(keys.state(state) for state in JobState)):
                pipe.zcard(key)
            return list(pipe.execute())

        total, *parts = self._link.ask(ask)
        return bool(total != sum(parts))

    def all_known(self) -> list[str]:
        """Every job that the server has anywhere."""
        places = [
            keys.JOBS,
            keys.READY,
            keys.SHORT,
            keys.DELAYED,
            keys.LEASES,
            *(keys.state(state) for state in JobState),
        ]
        return self._members(places)

    def _members(self, places: Sequence[str]) -> list[str]:
        def ask(client: Any) -> list[list[str]]:
            pipe = client.pipeline(transaction=False)
            for key in places:
                pipe.zrange(key, 0, -1)
            return list(pipe.execute())

        return list({job_id: None for ids in self._link.ask(ask) for job_id in ids})


def put_back_call(jobdir: JobDir, state: JobState, reason: Reason, *, result: str = "") -> scripts.PutBack:
    """What puts a job back. Raises JobNotFound and what else says that it cannot be read."""
    fields = fields_of(jobdir)
    if result:
        fields["result"] = result
    return scripts.PutBack(job_id=jobdir.id, state=state, reason=reason, record=tuple(fields.items()))
