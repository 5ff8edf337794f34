"""Keeps the index up to date: follows the change stream, and where that has a gap looks at everything in slices.

    feeder = Feeder(index, jobs_dir, store, closing)
    feeder.start()          # once; its thread ends when ``closing`` is set
    feeder.settle()         # gives the first look at a small data directory its moment

A slice is some dozen jobs or a thousand names, about 20 ms; between two of them everybody else has as long. What the
queue server does not know, being away or being rebuilt, is read from the directories, the newest first.
"""

import heapq
import itertools
import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from keepfit.shared.errors import JobNotFound, KeepfitError, StoreRefused, StoreUnavailable
from keepfit.shared.jobs.directory import is_job_id, open_jobdir
from keepfit.shared.jobs.states import ENDS, JobState
from keepfit.shared.store import JobRecord, Store
from keepfit.web.index.details import Details, read_details
from keepfit.web.index.queries import Filling, JobIndex
from keepfit.web.jobs.ondisk import filled_in, record_on_disk

BLOCK_MS = 300
"""How long one read waits, and so what a stopping process may have to wait for."""
TOGETHER_S = 0.1
"""What happens within so long is put into the index in one go."""
CHANGES = 1000
BURST = 100
"""So many changes at once, in a server that is not whole, are those of a keeper that puts everything back."""
BURST_GAP_S = 0.5
SLICE = 40
"""Records or directories read in one go: 5 to 30 ms."""
NAMES = 1000
"""Names looked at in one go."""
SYNC_S = 3600.0
"""How often everything is looked at without a reason: directories that were removed by hand leave the list."""
CALM_S = 2.0
"""The least time between two full looks; a long one is followed by twice its own length."""
SETTLE_S = 0.5
MOST_RUNNING = 100
"""Jobs whose directories are looked at again and again while the server is away."""
LAST, WHOLE = "last change", "whole"

log = logging.getLogger(__name__)


class Feeder:
    """The one writer of an index, beside what its own process has just accepted."""

    def __init__(self, index: JobIndex, jobs_dir: Path, store: Store, closing: threading.Event) -> None:
        self.index = index
        self._jobs_dir, self._store, self._closing = jobs_dir, store, closing
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._settled = threading.Event()
        self._settle_until = 0.0
        self._opened = 0
        self._last = ""
        self._gap = True
        """The stream does not tell all that has happened since the last look: ask the server for every job."""
        self._sync: Iterator[None] | None = None
        self._sync_at = 0.0
        self._ask_at = 0.0
        self._was_away = False
        self._behind = False
        """There are jobs whose settings and metrics are not known as they are."""

    def start(self) -> None:
        """Begin, if it has not begun."""
        with self._starting:
            if self._thread is None:
                self._settle_until = time.monotonic() + SETTLE_S
                self._thread = threading.Thread(target=self._feed, name="feeder", daemon=True)
                self._thread.start()

    def settle(self) -> None:
        """Wait a moment for the first look, once in the life of a process: a small directory is then known whole."""
        self.start()
        self._settled.wait(max(0.0, self._settle_until - time.monotonic()))

    def join(self) -> None:
        """Wait for its end, after ``closing`` was set, and give the file back."""
        if self._thread is not None:
            self._thread.join()
        self.index.close()

    def _feed(self) -> None:
        while not self._closing.is_set():
            try:
                self._look_again_if_lost()
                if time.monotonic() >= self._ask_at:
                    self._follow()
                elif self._sync is None:
                    self._closing.wait(TOGETHER_S)
                self._advance()
                self._read_details()
            except (StoreUnavailable, StoreRefused):
                self._away()
            except Exception:
                log.exception("the list's index stumbled, and goes on")
                self._closing.wait(1.0)

    def _look_again_if_lost(self) -> None:
        """An index that was opened anew knows what it had noted down; perhaps nothing."""
        whole = self.index.noted(WHOLE)
        if self._opened == self.index.opened:
            return
        self._opened = self.index.opened
        self._last = self.index.noted(LAST)
        self._gap, self._sync, self._sync_at = not self._last, None, 0.0
        self.index.filling = None if whole else Filling(0, 0)
        if whole:
            self._settled.set()

    # ---- the stream

    def _follow(self) -> None:
        """Take in what has happened since the last time. Raises StoreUnavailable."""
        if not self._last:  # before everything is looked at, so that nothing falls between
            self._last = self._store.events.last_change_id()
        busy = self._sync or self._behind or time.monotonic() >= self._sync_at
        changes = self._store.events.read_all(after_id=self._last, block_ms=None if busy else BLOCK_MS, count=CHANGES)
        if self._was_away:
            self._was_away, self._sync_at = False, 0.0
        if not changes:
            return
        if len(changes) >= BURST and not self._store.upkeep.booted():
            self._wait_for_rebuild(changes[-1].id)
            return
        if not self._store.events.has_change(self._last):  # trimmed, or the server was wiped
            self._gap, self._sync_at = True, min(self._sync_at, time.monotonic() + CALM_S)
        for ids in sliced(iter(dict.fromkeys(change.job_id for change in changes)), SLICE):
            self._take_in(ids)
            self._pause(time.monotonic())
        self._last = changes[-1].id
        self.index.note(LAST, self._last)
        if not self._sync:
            self._closing.wait(TOGETHER_S)

    def _wait_for_rebuild(self, last: str) -> None:
        """What a keeper puts back is known here already: it is looked at once, when all of it is there."""
        self._last, self._gap = last, True
        self._sync_at = time.monotonic() + CALM_S
        if not self._sync:
            self._closing.wait(BURST_GAP_S)

    def _take_in(self, job_ids: list[str], all_of_them: bool = True) -> None:
        """Store these jobs as the server has them; what it has not, as the disk has it, if ``all_of_them``."""
        known = self._store.jobs.get_many(job_ids)
        here = {job_id for job_id in job_ids if os.path.lexists(self._jobs_dir / job_id / "job.json")}
        self.index.put([self._complete(record) for job_id, record in known.items() if job_id in here])
        self.index.remove(set(job_ids) - here)
        if all_of_them:
            self._read_from_disk(sorted(here - set(known)))

    def _complete(self, record: JobRecord) -> JobRecord:
        """With the progress that a wipe has taken from the server, where the list shows it."""
        if record.progress or not record.attempt or record.state is JobState.SUCCEEDED:
            return record
        try:
            return filled_in(record, open_jobdir(self._jobs_dir, record.id))
        except (KeepfitError, OSError):
            return record

    # ---- everything, in slices

    def _advance(self) -> None:
        """The next slice of a full look, if one is due."""
        began = time.monotonic()
        if self._sync is None and began >= self._sync_at:
            self._sync = self._look_at_everything()
        if self._sync is not None:
            if next(self._sync, self) is self:
                self._sync = None
            self._pause(began)

    def _pause(self, began: float) -> None:
        self._closing.wait(max(0.001, time.monotonic() - began))

    def _look_at_everything(self) -> Iterator[None]:
        began = time.monotonic()
        self._sync_at = began + SYNC_S
        names: set[str] = set()
        for some in sliced(self._names(), NAMES):
            names.update(some)
            yield
        if self.index.filling:
            self.index.filling = Filling(0, len(names))
        yield from self._ask_server(names)
        missing = set(names)
        vanished: list[str] = []
        for some in self._indexed():
            vanished += [job_id for job_id in some if job_id not in names and not self._is_here(job_id)]
            missing.difference_update(some)
            yield
        for gone in sliced(iter(vanished), SLICE):
            self.index.remove(gone)
            yield
        for some in self._indexed(unsure=True):
            missing.update(names.intersection(some))
            yield
        yield from self._ask_disk(missing)
        self.index.note(WHOLE, "yes")
        self.index.note(LAST, "" if self._gap else self._last)
        self.index.filling = None
        self._settled.set()
        if self._gap:  # the server was away or has lost something meanwhile
            self._sync_at = time.monotonic() + max(CALM_S, 2 * (time.monotonic() - began))

    def _names(self) -> Iterator[str]:
        if self._jobs_dir.is_dir():
            with os.scandir(self._jobs_dir) as entries:
                yield from (entry.name for entry in entries if is_job_id(entry.name))

    def _is_here(self, job_id: str) -> bool:
        return os.path.lexists(self._jobs_dir / job_id / "job.json")

    def _indexed(self, unsure: bool = False) -> Iterator[list[str]]:
        after = ""
        while some := self.index.ids_after(after, NAMES, unsure):
            yield some
            after = some[-1]

    def _ask_server(self, names: set[str]) -> Iterator[None]:
        """What the server knows, newest first: of all jobs after a gap, else of those that it has not told of."""
        if not self._last:  # away since the start
            return
        gap, self._gap = self._gap, False
        found = self._all_of_server() if gap else itertools.chain.from_iterable(self._indexed(unsure=True))
        try:
            for some in sliced(found, SLICE):
                self._take_in([job_id for job_id in some if job_id in names or self._is_here(job_id)], False)
                self._count(len(some))
                yield
        except (StoreUnavailable, StoreRefused):
            self._gap = self._gap or gap  # what is on disk is read meanwhile

    def _all_of_server(self) -> Iterator[str]:
        for start in itertools.count(0, NAMES):
            some = self._store.jobs.ids(NAMES, start)
            yield from some
            if len(some) < NAMES:
                return

    def _ask_disk(self, missing: set[str]) -> Iterator[None]:
        """Read the jobs that only the disk knows, newest first."""
        newest: list[tuple[float, str]] = []
        for some in sliced(iter(missing), NAMES):
            for job_id in some:
                heapq.heappush(newest, (-_changed_at(self._jobs_dir / job_id), job_id))
            yield
        while newest:
            some = [heapq.heappop(newest)[1] for _ in range(min(SLICE, len(newest)))]
            self._take_in_or_read(some)
            self._count(len(some))
            yield

    def _read_details(self) -> None:
        """Read the settings and metrics of some jobs, once nothing else is to be done."""
        if self._sync is not None:
            return
        began = time.monotonic()
        stale = self.index.stale(SLICE)
        self._behind = len(stale) == SLICE
        known = [(job_id, mark, self._details_of(job_id, record)) for job_id, mark, record in stale]
        if known:
            self.index.put_details(known)
            self._pause(began)

    def _details_of(self, job_id: str, record: JobRecord | None) -> Details:
        if record is None:  # of another version
            return Details()
        try:
            jobdir = open_jobdir(self._jobs_dir, job_id)
            return read_details(jobdir, record.result, keep=record.state not in ENDS)
        except Exception as exc:  # noqa: BLE001 - it costs this one, until something happens to the job
            log.warning("a job's settings cannot be read: %s", exc, extra={"job_id": job_id})
            return Details()

    def _take_in_or_read(self, job_ids: list[str]) -> None:
        """A keeper that rebuilds the server goes the same way, and asking it costs less than reading."""
        if not self._was_away:
            try:
                return self._take_in(job_ids)
            except (StoreUnavailable, StoreRefused):
                self._away()
        return self._read_from_disk(job_ids)

    def _count(self, more: int) -> None:
        if filling := self.index.filling:
            self.index.filling = Filling(min(filling.done + more, filling.total), filling.total)

    def _read_from_disk(self, job_ids: list[str]) -> None:
        found, gone = [], []
        for job_id in job_ids:
            try:
                found.append(record_on_disk(open_jobdir(self._jobs_dir, job_id)))
            except JobNotFound:
                gone.append(job_id)
            except Exception as exc:  # noqa: BLE001 - whatever a damaged or foreign file leads to costs this row
                log.warning("a job directory cannot be read: %s", exc, extra={"job_id": job_id})
        self.index.put(found, sure=False)
        self.index.remove(gone)

    def _away(self) -> None:
        """The server does not answer: go on with what the disk says, and look at everything when it is back."""
        self._was_away, self._ask_at = True, time.monotonic() + CALM_S
        self._read_from_disk(self.index.running(MOST_RUNNING))


def sliced(items: Iterator[str], size: int) -> Iterator[list[str]]:
    """``items`` in lists of at most ``size``."""
    while some := list(itertools.islice(items, size)):
        yield some


def _changed_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
