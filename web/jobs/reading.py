"""Jobs as pages see them: one from Redis, or from its directory while Redis is away or was wiped; lists from the index.

    seen = reader.get(job_id)          # JobNotFound
    seen.record, seen.notice           # notice: "" or why live updates are paused
    reader.page(limit=50, offset=0, state=JobState.FAILED)

The disk is the truth, so a page is never empty because the queue server is. No request reads all directories.
"""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from keepfit.shared.errors import DamagedFile, JobNotFound, StoreRefused, StoreUnavailable
from keepfit.shared.jobs.directory import JobDir, open_jobdir
from keepfit.shared.jobs.states import JobState
from keepfit.shared.store import Store, Waiting
from keepfit.shared.store.records import JobRecord
from keepfit.web.index import Feeder
from keepfit.web.jobs.ondisk import filled_in, record_on_disk
from keepfit.web.words import wording
from keepfit.web.words.catalogue import _
from keepfit.web.words.wording import OUTAGE, REBUILDING

AWAY_S = 1.0
"""How long the server is taken to be away after it did not answer."""

T = TypeVar("T")


@dataclass(frozen=True)
class Seen:
    """One job, and whether what is known of it is live."""

    jobdir: JobDir
    record: JobRecord
    notice: str = ""


@dataclass(frozen=True)
class SeenList:
    """A page of the list of jobs, and how many there are."""

    records: list[JobRecord]
    total: int
    notice: str = ""
    """Empty if all of it is live and whole."""
    now_ms: int | None = None
    """The clock that the records' times are of; None where they are not live."""


class JobReader:
    """Reads jobs for people."""

    def __init__(self, jobs_dir: Path, store: Store, feeder: Feeder) -> None:
        self._jobs_dir = jobs_dir
        self._store = store
        self._feeder = feeder
        self._away_until = 0.0

    def ask(self, question: Callable[[Store], T]) -> T:
        """The store's answer. Raises StoreUnavailable, at once if it did not answer just before.

        A page asks several things: it must not wait for each of them while the server is a black hole.
        """
        if time.monotonic() < self._away_until:
            raise StoreUnavailable("The queue server did not answer a moment ago.")
        try:
            return question(self._store)
        except StoreUnavailable:
            self._away_until = time.monotonic() + AWAY_S
            raise

    def open(self, job_id: str) -> JobDir:
        """The directory of ``job_id``. Raises JobNotFound."""
        return open_jobdir(self._jobs_dir, job_id)

    def get(self, job_id: str) -> Seen:
        """The job ``job_id``. Raises JobNotFound."""
        jobdir = self.open(job_id)
        try:
            return Seen(jobdir, filled_in(self.ask(lambda store: store.jobs.get(job_id)), jobdir))
        except StoreUnavailable:
            return Seen(jobdir, record_on_disk(jobdir), _(OUTAGE))
        except (JobNotFound, DamagedFile, StoreRefused):  # a keeper puts it right from the directory
            return Seen(jobdir, record_on_disk(jobdir), _(REBUILDING))

    def get_many(self, job_ids: Collection[str]) -> dict[str, Seen]:
        """Those of these jobs that exist, like ``get``; the server is asked once, and notices are still to be said."""
        jobdirs = {job_id: jobdir for job_id in job_ids if (jobdir := _or_none(self.open, job_id)) is not None}
        known: dict[str, JobRecord] = {}
        notice = REBUILDING
        try:
            known = self.ask(lambda store: store.jobs.get_many(list(jobdirs)))
        except StoreUnavailable:
            notice = OUTAGE
        except StoreRefused:
            pass
        found = {}
        for job_id, jobdir in jobdirs.items():
            with contextlib.suppress(JobNotFound):  # deleted just now
                if record := known.get(job_id):
                    found[job_id] = Seen(jobdir, filled_in(record, jobdir))
                else:
                    found[job_id] = Seen(jobdir, record_on_disk(jobdir), notice)
        return found

    def waiting(self, seen: Seen) -> Waiting | None:
        """Why a queued job waits; None if it does not wait, or nobody can say."""
        if seen.notice or seen.record.state is not JobState.QUEUED:
            return None
        try:
            return self.ask(lambda store: store.jobs.waiting(seen.record.id))
        except (StoreUnavailable, StoreRefused):
            return None

    def page(self, limit: int, offset: int = 0, state: JobState | None = None, kind: str | None = None) -> SeenList:
        """A page of all jobs, or of those in this ``state`` and of this ``kind``; newest first.

        Which jobs, the index says; what they are doing just now, the server in one read.
        """
        self._feeder.settle()
        index = self._feeder.index
        found = index.page(limit, offset, state, kind)
        notice = wording.filling(filling.done, filling.total) if (filling := index.filling) else ""
        try:
            live = self.ask(lambda store: store.jobs.get_many([record.id for record in found.records]))
            now_ms: int | None = self.ask(lambda store: store.now_ms())
        except StoreUnavailable:
            return SeenList(found.records, found.total, _(OUTAGE))
        except StoreRefused:  # a damaged key, which a keeper puts right; no outage
            return SeenList(found.records, found.total, _(REBUILDING))
        unknown = [record.id for record in found.records if record.id not in live]
        gone = {job_id for job_id in unknown if not self._is_there(job_id)}
        if gone:
            index.remove(gone)
        if len(unknown) > len(gone):
            notice, now_ms = _(REBUILDING), None
        shown = [_with_progress(live.get(known.id, known), known) for known in found.records if known.id not in gone]
        # What has just changed its state does not belong here any more; the index hears of it in a moment.
        shown = [record for record in shown if state is None or record.state is state]
        return SeenList(shown, found.total - len(gone), notice, now_ms)

    def remember(self, jobdir: JobDir, changed: bool = False) -> None:
        """Have a job in the list at once that was just accepted, or ``changed`` while the server is away."""
        if changed:
            self._feeder.index.put([record_on_disk(jobdir)], sure=False)
        else:
            self._feeder.index.add(record_on_disk(jobdir))

    def forget(self, job_id: str) -> None:
        """Have a job that was just deleted out of the list at once."""
        self._feeder.index.remove([job_id])

    def _is_there(self, job_id: str) -> bool:
        try:
            return bool(self.open(job_id))
        except JobNotFound:
            return False

    def evaluations(self, jobdir: JobDir) -> list[Seen]:
        """The evaluations of a job, the newest first."""
        names = [p.name for p in jobdir.evaluations.iterdir()] if jobdir.evaluations.is_dir() else []
        found = [seen for name in names if (seen := _or_none(self.get, name)) is not None]
        own = [seen for seen in found if seen.record.source == jobdir.id]
        return sorted(own, key=lambda seen: seen.record.created_ms, reverse=True)

    def now_ms(self) -> int | None:
        """The clock that the records' times are of; None while Redis is away."""
        try:
            return self.ask(lambda store: store.now_ms())
        except StoreUnavailable:
            return None


def _with_progress(record: JobRecord, known: JobRecord) -> JobRecord:
    """``record`` with the progress that a wipe has taken from the server and the index still knows."""
    if record.progress or not known.progress or record.attempt < known.progress_attempt:
        return record
    return dataclasses.replace(
        record,
        checkpoint_step=record.checkpoint_step or known.checkpoint_step,
        progress=known.progress,
        progress_attempt=known.progress_attempt,
    )


def _or_none(get: Callable[[str], T], job_id: str) -> T | None:
    # The marker is written before the evaluation's directory: after a crash between the two there is only the marker.
    try:
        return get(job_id)
    except JobNotFound:
        return None
