"""The records of jobs: created after their directory, read by the pages, changed by wishes."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from keepfit.shared import actors
from keepfit.shared.actors import Actor
from keepfit.shared.errors import BadTransition, DamagedFile, JobNotFound
from keepfit.shared.jobs.directory import JobDir
from keepfit.shared.jobs.documents import part, text
from keepfit.shared.jobs.states import JobState, Wish
from keepfit.shared.reasons import Code, Reason
from keepfit.shared.spec import DEFAULT_KIND, READS, Needs, kind_named, parents_of
from keepfit.shared.store import keys, scripts
from keepfit.shared.store.link import Link
from keepfit.shared.store.records import JobRecord, job_record, needs_of_record, whole

DRILL_KEPT_MS = 10_000

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Waiting:
    """Why a queued job does not run yet."""

    place: int
    """Jobs before it in the queue."""
    reason: Reason


def fields_of(jobdir: JobDir) -> dict[str, str | int]:
    """The fields of a job's record that its directory holds: what it is, its wish, its attempts, how the last ended.

    Also of a job that only a newer version can read, and of one whose job.json is damaged: a name is all that
    people need to find it. A job of a short kind takes seconds and somebody waits for it: unless told otherwise it
    comes first. Raises JobNotFound.
    """
    status = jobdir.status()
    try:
        job, needs = jobdir.job, jobdir.needs
        spec, created_ms, by = job.spec, job.created_ms, job.by
    except DamagedFile:
        spec, created_ms, by, needs = {}, 0, None, Needs(READS, DEFAULT_KIND)
    return {
        "name": text(spec, "name", jobdir.id),
        "kind": needs.kind,
        "needs": needs.version,
        "lane": "short" if kind_named(needs.kind).short else "",
        "source": parents[0].job if (parents := parents_of(spec)) else "",
        "data": text(part(spec, "data"), "name"),
        "model": text(part(spec, "model"), "name"),
        "priority": status.priority if status.priority is not None else int(kind_named(needs.kind).short),
        "created_ms": created_ms or int(jobdir.path.stat().st_ctime * 1000),
        "wish": status.wish.value,
        "wish_number": status.wish_number,
        "by": actors.text_of(by),
        "wish_by": actors.text_of(status.by),
        "attempt": status.attempt,
        **({"last_end": status.result.reason.to_text()} if status.result and status.result.reason else {}),
    }


class Jobs:
    """What the store knows of jobs."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def create(self, jobdir: JobDir, *, priority: int | None = None) -> bool:
        """Queue the job of ``jobdir``, whose directory is durable. False if Redis knows it already.

        What Redis knows of a directory that was removed and has been made anew since is dropped first.
        """
        fields = fields_of(jobdir)
        if priority is not None:
            fields["priority"] = priority
        create = scripts.Create(job_id=jobdir.id, created_ms=int(fields["created_ms"]), record=tuple(fields.items()))
        answer = self._link.run(create)
        if answer == "another":
            self._link.run(scripts.Remove(job_id=jobdir.id))
            answer = self._link.run(create)
        return answer == "created"

    def get(self, job_id: str) -> JobRecord:
        """The record of ``job_id``. Raises JobNotFound; DamagedFile until a keeper has put it right from the disk."""
        (raw,) = self._link.hashes([keys.job(job_id)])
        if not raw:
            raise JobNotFound("There is no job {job_id}.", job_id=job_id)
        try:
            return job_record(job_id, raw)
        except (ValueError, KeyError) as exc:
            raise DamagedFile(f"The queue server's record of the job {job_id} is damaged ({exc}).") from exc

    def list(self, limit: int = 50, offset: int = 0) -> list[JobRecord]:
        """Records, newest first."""
        return [*self.get_many(self.ids(limit, offset)).values()]

    def ids(self, limit: int = 50, offset: int = 0) -> Sequence[str]:
        """Ids, newest first."""
        found: Sequence[str] = self._link.ask(lambda r: r.zrevrange(keys.JOBS, offset, offset + limit - 1))
        return found

    def get_many(self, job_ids: Sequence[str]) -> dict[str, JobRecord]:
        """The records of these jobs in one round trip; one that is not there, or cannot be read, is left out."""
        found = {}
        rows = self._link.hashes([keys.job(job_id) for job_id in job_ids])
        for job_id, raw in zip(job_ids, rows, strict=True):
            try:
                if raw:
                    found[job_id] = job_record(job_id, raw)
            except (ValueError, KeyError, TypeError) as exc:  # damaged, or of a newer version: it costs itself
                log.warning("the record of a job cannot be read: %s", exc, extra={"job_id": job_id})
        return found

    def count(self) -> int:
        """How many jobs there are."""
        return int(self._link.ask(lambda r: r.zcard(keys.JOBS)))

    def counts(self) -> dict[JobState, int]:
        """How many jobs are in each state. Cheap, however many there are."""

        def ask(client: Any) -> list[int]:
            pipe = client.pipeline(transaction=False)
            for state in JobState:
                pipe.zcard(keys.state(state))
            return list(pipe.execute())

        return dict(zip(JobState, self._link.ask(ask), strict=True))

    def oldest_queued_ms(self) -> int | None:
        """For how long the job that has been queued longest has been so, in ms; None if none is queued. Cheap."""
        first = self._link.ask(lambda r: r.zrange(keys.state(JobState.QUEUED), 0, 0, withscores=True))
        if not first:
            return None
        seconds, micros = self._link.ask(lambda r: r.time())
        return max(0, int(seconds) * 1000 + int(micros) // 1000 - int(first[0][1]))

    def request(
        self,
        job_id: str,
        wish: Wish,
        *,
        number: int,
        by: Actor | None = None,
        priority: int | None = None,
        only_priority: bool = False,
    ) -> JobRecord:
        """Express the wish of a person, ``by``, and perhaps a new priority (-9 to 9, higher runs first).

        ``only_priority``: the wish repeats what holds already; refused where it would change the state.

        Raises JobNotFound, or BadTransition where the state has no such change.
        """
        call = scripts.Request(
            job_id=job_id,
            wish=wish,
            wish_number=number,
            by=actors.text_of(by),
            priority=priority,
            only_priority=only_priority,
        )
        how, state = self._link.run(call)
        if how == "missing":
            raise JobNotFound("There is no job {job_id}.", job_id=job_id)
        if how == "refused":
            raise BadTransition("A job that is {state} cannot be asked to {wish}.", state=state, wish=_VERBS[wish])
        return self.get(job_id)

    def drill(self, job_id: str) -> bool:
        """Ask the worker that runs ``job_id`` to kill itself with SIGKILL. False if nobody runs it."""
        return self._link.run(scripts.Drill(job_id=job_id, kept_ms=DRILL_KEPT_MS))

    def waiting(self, job_id: str) -> Waiting:
        """The job's place in the queue, and why it waits."""
        needs, kind, lane = self._link.ask(lambda r: r.hmget(keys.job(job_id), "needs", "kind", "lane"))
        short = lane == "short"
        queue = keys.SHORT if short else keys.READY
        rank, delayed_ms, now, workers = self._link.ask(lambda r: _queue_position(r, queue, job_id))
        place = rank or 0
        if not needs_of_record(needs, kind).met:
            return Waiting(place, Reason.of(Code.WAITS_FOR_NEWER))
        if delayed_ms is not None:
            seconds = max(1, round((delayed_ms - now) / 1000))
            return Waiting(0, Reason.of(Code.WAITS_BACKING_OFF, seconds=seconds))
        if not workers:
            return Waiting(place, Reason.of(Code.WAITS_NOBODY_ALIVE))
        rows = [raw for raw in self._link.hashes([keys.worker(name) for name in workers]) if raw.get("takes") != "0"]
        if not rows:
            return Waiting(place, Reason.of(Code.WAITS_NOBODY_TAKES))
        if place == 1:
            return Waiting(place, Reason.of(Code.WAITS_ONE_BEFORE))
        if place:
            return Waiting(place, Reason.of(Code.WAITS_SOME_BEFORE, place=place))
        free = sum(max(0, whole(raw, "slots") + short - whole(raw, "busy")) for raw in rows)
        return Waiting(0, Reason.of(Code.WAITS_NEXT if free > 0 else Code.WAITS_ALL_BUSY))


_VERBS = {Wish.RUN: "run", Wish.PAUSE: "pause", Wish.CANCEL: "be cancelled"}
WORKER_SILENT_MS = 10_000
"""A worker that has not beaten for so long is not alive."""


def _queue_position(client: Any, queue: str, job_id: str) -> tuple[int | None, float | None, int, list[str]]:
    pipe = client.pipeline(transaction=False)
    pipe.zrank(queue, job_id)
    pipe.zscore(keys.DELAYED, job_id)
    pipe.time()
    rank, delayed, (seconds, micros) = pipe.execute()
    now = seconds * 1000 + micros // 1000
    alive = client.zrangebyscore(keys.WORKERS, now - WORKER_SILENT_MS, "+inf")
    return rank, delayed, now, alive
