"""Jobs as pages see them: from Redis, and from the job directories while Redis is away or was wiped.

    seen = reader.get(job_id)          # JobNotFound
    seen.record, seen.notice           # notice: "" or why live updates are paused
    reader.page(limit=50, offset=0)

The disk is the truth, so a page is never empty because the queue server is.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from shared.errors import InvalidSpec, JobNotFound, StoreUnavailable
from shared.jobdir import JobDir, list_jobdirs, open_jobdir
from shared.store import Store
from shared.store.records import JobRecord
from web.ondisk import filled_in, record_on_disk
from web.wording import OUTAGE, REBUILDING

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


class JobReader:
    """Reads jobs for people."""

    def __init__(self, jobs_dir: Path, store: Store) -> None:
        self._jobs_dir = jobs_dir
        self._store = store
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
            return Seen(jobdir, record_on_disk(jobdir), OUTAGE)
        except JobNotFound:
            return Seen(jobdir, record_on_disk(jobdir), REBUILDING)

    def page(self, limit: int, offset: int) -> SeenList:
        """A page of all jobs, newest first."""
        try:
            total = self.ask(lambda store: store.jobs.count())
            if total:
                return SeenList(self.ask(lambda store: store.jobs.list(limit, offset)), total)
            notice = REBUILDING
        except StoreUnavailable:
            notice = OUTAGE
        return self._page_on_disk(limit, offset, notice)

    def _page_on_disk(self, limit: int, offset: int, notice: str) -> SeenList:
        dirs = sorted(list_jobdirs(self._jobs_dir), key=lambda d: (d.job["created_ms"], d.id), reverse=True)
        records = [record_on_disk(d) for d in dirs[offset : offset + limit]]
        return SeenList(records, len(dirs), notice if dirs or notice == OUTAGE else "")

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


def _or_none(get: Callable[[str], Seen], job_id: str) -> Seen | None:
    # The marker is written before the evaluation's directory: after a crash between the two there is only the marker.
    try:
        return get(job_id)
    except (JobNotFound, InvalidSpec):
        return None
