"""What a person can do: submit a job, wish something of it, evaluate it, run the recovery drill.

    accepted = actions.submit(spec, key)       # accepted.jobdir, .new, .waits_for_queue
    accepted = actions.wish(job_id, Wish.PAUSE)
    accepted = actions.prioritise(job_id, 5)

Used by the pages and the API alike. What a person was promised is on disk before Redis hears of it,
so each of these holds while Redis is away; ``waits_for_queue`` says that it will take effect when
the queue server is back.
"""

import logging
import threading
import time
import uuid
from dataclasses import dataclass
from typing import Any

from keepfit.shared.durable import fsync_dir
from keepfit.shared.errors import BadTransition, DamagedFile, JobNotFound, StorageFull, StoreRefused, StoreUnavailable
from keepfit.shared.jobs.directory import JobDir, create_jobdir, job_id_of
from keepfit.shared.jobs.diskstate import wish_obeyed
from keepfit.shared.jobs.documents import WishFile
from keepfit.shared.jobs.restoring import may_be_running, restore_from_disk
from keepfit.shared.jobs.states import LARGEST_PRIORITY, JobState, Wish, wish_allowed
from keepfit.shared.settings import Settings
from keepfit.shared.spec import EvaluateSpec, TrainSpec, parse_spec, printable
from keepfit.shared.store import JobRecord, Store
from keepfit.shared.store.jobs import DRILL_KEPT_MS
from keepfit.web.deeds.reminder import Reminder
from keepfit.web.jobs.reading import JobReader, Seen

log = logging.getLogger(__name__)

EVALUABLE = frozenset({JobState.SUCCEEDED, JobState.PAUSED})
"""States in which a job has a model that stands still."""

_VERBS = {Wish.RUN: "resumed", Wish.PAUSE: "paused", Wish.CANCEL: "cancelled"}


@dataclass(frozen=True)
class Accepted:
    """What was asked is durable."""

    jobdir: JobDir
    new: bool = True
    """False if the same key has made this job before."""
    waits_for_queue: bool = False
    """The queue server does not answer; it will take effect when it does."""


class Actions:
    """What people do to jobs."""

    def __init__(self, settings: Settings, store: Store, reader: JobReader, reminder: Reminder) -> None:
        self._settings = settings
        self._reminder = reminder
        self._store = store
        self._reader = reader
        # The web side is one process: the lock makes each wish's number its own.
        self._wishing = threading.Lock()
        self._drilled: dict[str, tuple[int, float]] = {}

    def submit(self, spec: TrainSpec | EvaluateSpec, key: str | None = None) -> Accepted:
        """Make a job of ``spec``, or find the one that ``key`` has made. Raises JobConflict, StorageFull."""
        if isinstance(spec, EvaluateSpec):
            return self.evaluate(spec.source, spec.data.model_dump(), key, name=spec.name)
        return self._submit(spec, key)

    def evaluate(self, job_id: str, data: Any = None, key: str | None = None, name: str | None = None) -> Accepted:
        """Measure the model of ``job_id`` as a job of its own, on ``data``: a data spec, by default the job's own.

        Raises:
            JobNotFound, InvalidSpec: no such job or data set.
            BadTransition: the job is not finished or paused.
        """
        seen = self._reader.get(job_id)
        if seen.record.kind != "train":
            raise BadTransition("This job is an evaluation; it has no model of its own to evaluate.")
        data = seen.jobdir.spec.data.model_dump() if data is None else data
        spec = parse_spec(
            {
                "kind": "evaluate",
                "name": name or f"Evaluation of {printable(seen.record.name)[:60]}",
                "source": job_id,
                "data": data,
            }
        )
        if seen.record.state not in EVALUABLE:
            raise BadTransition("Only a finished or paused job can be evaluated. Pause it first, or wait for its end.")
        key = key or uuid.uuid4().hex
        _mark_evaluation(seen.jobdir, job_id_of(key))
        return self._submit(spec, key)

    def wish(self, job_id: str, wish: Wish) -> Accepted:
        """Ask for a job to run, pause or be cancelled. Raises JobNotFound, BadTransition, DamagedFile, StorageFull."""
        with self._wishing:
            seen = _undamaged(self._reader.get(job_id))
            if not wish_allowed(seen.record.state, wish):
                raise BadTransition(f"A job that has {_ended(seen.record.state)} cannot be {_VERBS[wish]}.")
            return self._express(seen, wish, seen.jobdir.status().priority)

    def prioritise(self, job_id: str, priority: int) -> Accepted:
        """Move a job in the queue; higher runs first. Raises JobNotFound, BadTransition, StorageFull."""
        priority = max(-LARGEST_PRIORITY, min(LARGEST_PRIORITY, priority))
        with self._wishing:
            try:
                return self._prioritise(job_id, priority)
            except BadTransition:  # perhaps it has stopped just now: what it has come to decides
                return self._prioritise(job_id, priority)

    def _prioritise(self, job_id: str, priority: int) -> Accepted:
        seen = _undamaged(self._reader.get(job_id))
        if seen.record.state not in {JobState.QUEUED, JobState.RUNNING, JobState.PAUSED}:
            raise BadTransition(f"A job that has {_ended(seen.record.state)} does not wait for anything.")
        kept = seen.jobdir.status()
        if kept.wish_number > seen.record.wish_number:  # the server has not heard of it: it is told now
            return self._express(seen, kept.wish, priority)
        stopped_by_itself = seen.record.state is JobState.PAUSED and seen.record.wish is Wish.RUN  # a full disk
        known = Wish.PAUSE if stopped_by_itself else seen.record.wish
        return self._express(seen, known, priority, only_priority=True)

    def _express(self, seen: Seen, wish: Wish, priority: int | None, only_priority: bool = False) -> Accepted:
        """Keep a wish on disk, then tell the server."""
        before = seen.jobdir.status()
        # Above the numbers of refused wishes too, which an attempt may have seen in the moment when it failed.
        number = max(before.wish_number, seen.record.wish_number, wish_obeyed(seen.jobdir)) + 1
        try:
            WishFile(wish=wish, number=number, priority=priority).write(seen.jobdir.wish_file)
        except OSError as exc:
            raise StorageFull(
                f"The wish was not kept: the data directory takes no writes ({exc.strerror}). "
                f"Free some space or fix its permissions, then try again."
            ) from exc
        try:
            self._store.jobs.request(seen.record.id, wish, number, priority, only_priority)
        except (
            StoreUnavailable,
            StoreRefused,
            JobNotFound,
        ):  # away, or wiped: it is rebuilt from the directory, wish included
            log.warning("wish kept on disk only", extra={"job_id": seen.record.id, "action": wish.value})
            self._reminder.note(seen.jobdir)
            self._reader.remember(seen.jobdir, changed=True)
            return Accepted(seen.jobdir, waits_for_queue=True)
        except BadTransition:  # it has ended just now: the disk must not keep what was refused
            refused = WishFile(wish=before.wish, number=before.wish_number, priority=before.priority)
            refused.write(seen.jobdir.wish_file)
            raise
        return Accepted(seen.jobdir)

    def drill(self, job_id: str) -> None:
        """Have the worker that runs ``job_id`` kill itself with SIGKILL.

        Raises:
            JobNotFound: no such job.
            BadTransition: drills are off, or nobody runs the job.
            StoreUnavailable: the queue server, over which the worker is told, does not answer.
        """
        if not self._settings.drills:
            raise BadTransition(
                "Recovery drills are off. KEEPFIT_DRILLS=true allows them where only this machine reaches Keepfit."
            )
        record = self._reader.get(job_id).record
        if not self._store.jobs.drill(job_id):
            raise BadTransition("No worker runs this job now, so there is none to kill.")
        self._drilled[job_id] = (record.attempt, time.monotonic() + DRILL_KEPT_MS / 1000)

    def told_to_die(self, record: JobRecord) -> bool:
        """Whether the worker of the attempt that runs now was told to kill itself, and may still hear of it."""
        attempt, until = self._drilled.get(record.id, (0, 0.0))
        return record.state is JobState.RUNNING and attempt == record.attempt and time.monotonic() < until

    def _submit(self, spec: TrainSpec | EvaluateSpec, key: str | None) -> Accepted:
        jobdir, new = create_jobdir(self._settings.jobs_dir, spec, key)
        self._reader.remember(jobdir)
        try:
            if new:
                self._store.jobs.create(jobdir)
            elif may_be_running(jobdir, self._store):  # wiped just now
                self._reminder.note(jobdir)
            else:  # the server may have been wiped since; the job may even be over
                restore_from_disk(jobdir, self._store)
        except (StoreUnavailable, StoreRefused):
            log.warning("job accepted on disk only", extra={"job_id": jobdir.id, "action": "submit"})
            self._reminder.note(jobdir)
            return Accepted(jobdir, new, waits_for_queue=True)
        return Accepted(jobdir, new)


def _undamaged(seen: Seen) -> Seen:
    """``seen``, unless nobody can say what the job is: then nothing can be asked of it. Raises DamagedFile."""
    if damage := seen.jobdir.damage:
        raise DamagedFile(damage)
    return seen


def _mark_evaluation(source: JobDir, evaluation_id: str) -> None:
    """List an evaluation with its source, before it exists: a marker without a job is ignored."""
    try:
        source.evaluations.mkdir(exist_ok=True)
        (source.evaluations / evaluation_id).touch()
        fsync_dir(source.evaluations)
    except OSError as exc:
        raise StorageFull(
            f"The evaluation was not accepted: the data directory takes no writes ({exc.strerror})."
        ) from exc


def _ended(state: JobState) -> str:
    return {"succeeded": "succeeded", "failed": "failed", "cancelled": "been cancelled"}.get(state.value, state.value)
