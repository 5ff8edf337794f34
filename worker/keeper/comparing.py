"""Compares the server with the job directories and puts the server right, in slices that a keeper takes between beats.

    work = comparison.live()            # every job that has not ended, by the server's own keys
    work = comparison.directories(0.0)  # every directory; with a time, those changed since or unknown to the server
    work = comparison.rebuild()         # after a wipe
    next(work)                          # one slice of some milliseconds

The directory is the truth; a job that somebody may be running is left to its owner for a moment, who adopts it.
"""

import contextlib
import itertools
import logging
import os
import uuid
from collections.abc import Generator, Iterable, Iterator, Sequence
from functools import cached_property
from typing import TypeVar

from keepfit.shared.durable import to_json
from keepfit.shared.errors import JobNotFound, StoreRefused, StoreUnavailable
from keepfit.shared.jobs.directory import AttemptDir, DiskStatus, JobDir, is_job_id, open_jobdir
from keepfit.shared.jobs.mending import drop_deleted, mend
from keepfit.shared.jobs.states import JobState, Wish
from keepfit.shared.jobs.truth import Difference, Lack, compare, on_disk, state_on_disk
from keepfit.shared.settings import Settings
from keepfit.shared.store import JobRecord, Store
from keepfit.shared.store.keepers import put_back_call
from keepfit.shared.store.scripts import PutBack
from keepfit.worker.keeper.chores import REAL, Clock

KEYS_A_SLICE = 200
NAMES_A_SLICE = 500
JOBS_A_SLICE = 25
"""Directories that are read in one go."""
RESTORED_A_SLICE = 100
"""The same in a rebuild: each round trip waits for its turn on a busy machine."""
CLOCKS_S = 2.0
"""How far a file's time may lie behind the clock."""
GONE_S = 5.0
"""A directory that is missing for so long was removed, and not just moved aside for a moment."""

KEEPERS = frozenset({Difference.WISH_UNHEARD, Difference.STOP_UNNOTED})
"""What a keeper mends of a job that the server knows."""

T = TypeVar("T")

log = logging.getLogger(__name__)


class Comparison:
    """What one keeper does, while it has the lock, to make the server say what the directories say."""

    def __init__(self, settings: Settings, store: Store, clock: Clock = REAL) -> None:
        self._jobs_dir, self._store, self._clock = settings.jobs_dir, store, clock
        self._adoption_s = 4 * settings.renew_s
        self._missing: dict[str, float] = {}
        """Jobs without a record that an owner may be about to adopt, and since when."""
        self._gone: dict[str, float] = {}
        """Jobs without a directory, and since when."""

    def live(self) -> Iterator[None]:
        """Every job that has not ended: is its record whole, and is the job where it belongs?

        Where the counts do not add up, something has fallen out of a list: then every job that is known.
        """
        upkeep = self._store.upkeep
        ids = upkeep.all_known() if upkeep.miscounted() else upkeep.live()
        for batch in _sliced(ids, KEYS_A_SLICE):
            for job_id, record in self._mend(batch).items():
                if record.state is JobState.PAUSED and record.wish is Wish.RUN:  # by a full disk: it may be free now
                    self._compare_one(job_id, record)
            yield

    def directories(self, since: float) -> Iterator[None]:
        """Every directory that the server has no record of, or that has changed ``since`` (seconds since 1970)."""
        if not self._jobs_dir.is_dir():  # a disk that is not mounted says nothing
            return
        known = 0
        for batch in _sliced(self._entries(), NAMES_A_SLICE):
            listed = self._store.upkeep.listed([name for name, _ in batch])
            known += sum(listed)
            pairs = zip(batch, listed, strict=True)
            asked = [name for (name, changed_at), there in pairs if not there or changed_at >= since - CLOCKS_S]
            yield
            for some in _sliced(asked, JOBS_A_SLICE):
                self._look_at(some)
                yield
        if self._store.jobs.count() > known:
            yield from self._look_for_gone()

    def rebuild(self) -> Iterator[None]:
        """Put every job back, those whose directories have changed last first. Begins again if all is lost again."""
        changed = []
        for batch in _sliced(self._entries(), NAMES_A_SLICE):
            changed += batch
            yield
        names = [name for name, _ in sorted(changed, key=lambda entry: entry[1], reverse=True)]
        while not (yield from self._restore(names)):
            log.warning("the server was wiped again, the rebuild begins again")
        self._store.upkeep.mark_booted()
        log.info("the store is rebuilt from %d job directories", len(names))

    def _restore(self, names: Sequence[str]) -> Generator[None, None, bool]:
        """Put these jobs back; False as soon as what was put back is lost."""
        done, mark = 0, uuid.uuid4().hex
        for some in _sliced(names, KEYS_A_SLICE):
            if not self._store.upkeep.note_rebuild(mark, done, len(names)):
                return False
            for part in _sliced(some, RESTORED_A_SLICE):
                self._store.upkeep.put_back_many(self._restorations(part))
                drop_deleted(self._jobs_dir, part, self._store)
                done += len(part)
                yield
        return True

    def settle(self) -> None:
        """Put back what nobody has adopted in time, and drop what stays without a directory."""
        now = self._clock.monotonic()
        for job_id, since in list(self._missing.items()):
            if now - since >= self._adoption_s:
                del self._missing[job_id]
                self._put_back(job_id, at_once=True)
        for job_id, since in list(self._gone.items()):
            if now - since >= GONE_S:
                del self._gone[job_id]
                if self._is_gone(job_id):
                    log.warning("a job's directory was removed, the job is dropped", extra={"job_id": job_id})
                    self._store.upkeep.remove(job_id)

    def _entries(self) -> Iterator[tuple[str, float]]:
        """The names of the job directories and when each has changed; whatever else lies there is passed over."""
        if self._jobs_dir.is_dir():
            with os.scandir(self._jobs_dir) as entries:
                for entry in entries:
                    if is_job_id(entry.name):
                        yield entry.name, _changed_at(entry)

    def _mend(self, job_ids: Sequence[str]) -> dict[str, JobRecord]:
        """Put these jobs where their records say, and their records right. Answers those that are whole."""
        records = self._store.upkeep.records(job_ids)
        wrong = self._store.upkeep.mend(job_ids)
        for job_id, word in wrong.items():
            log.warning("a job of the server is put right: %s", word, extra={"job_id": job_id})
        whole = {}
        for job_id in job_ids:
            record = records.get(job_id)
            if record is not None and wrong.get(job_id) not in ("missing", "damaged"):
                whole[job_id] = record
                continue
            if job_id not in records or self._store.upkeep.forget(job_id, damaged=True):
                self._put_back(job_id)
        return whole

    def _look_at(self, job_ids: Sequence[str]) -> None:
        for job_id, record in self._mend(job_ids).items():
            self._compare_one(job_id, record)

    def _compare_one(self, job_id: str, record: JobRecord) -> None:
        """Mend what differs, of what a keeper may: the rest may be a moment in the hands of a person or an attempt."""
        with _costs_itself(job_id):
            jobdir = open_jobdir(self._jobs_dir, job_id)
            stopped = record.state in (JobState.PAUSED, JobState.FAILED)
            if not stopped and jobdir.status().wish_number <= record.wish_number:
                return  # nothing below can be found; most jobs are so, and reading all of them costs much more
            found = compare(on_disk(jobdir), record)
            if found in KEEPERS:
                mend(found, self._jobs_dir, job_id, self._store)

    def _put_back(self, job_id: str, at_once: bool = False) -> None:
        """Put a job back that the server does not know; where its owner may adopt it, only after a moment."""
        with _costs_itself(job_id):
            try:
                disk = on_disk(open_jobdir(self._jobs_dir, job_id))
            except JobNotFound:
                self._gone.setdefault(job_id, self._clock.monotonic())
                return
            found = compare(disk, Lack.MISSING, owner_may_adopt=not at_once)
            if found is Difference.AWAITS_OWNER:
                self._missing.setdefault(job_id, self._clock.monotonic())
            elif mend(found, self._jobs_dir, job_id, self._store):
                log.info("a job is put back from its directory", extra={"job_id": job_id})

    def _restorations(self, names: Iterable[str]) -> list[PutBack]:
        found: list[PutBack] = []
        for name in names:
            with _costs_itself(name):
                found_dir = open_jobdir(self._jobs_dir, name)
                jobdir = _AtOnce(found_dir.path, found_dir.datasets)
                state = state_on_disk(jobdir)
                result = to_json(dict(state.result)) if state.result else ""
                found.append(put_back_call(jobdir, state.state, state.reason, result=result))
        return found

    def _look_for_gone(self) -> Iterator[None]:
        for start in itertools.count(0, NAMES_A_SLICE):
            ids = self._store.jobs.ids(NAMES_A_SLICE, start)
            for job_id in ids:
                if self._is_gone(job_id):
                    self._gone.setdefault(job_id, self._clock.monotonic())
            if len(ids) < NAMES_A_SLICE:
                return
            yield

    def _is_gone(self, job_id: str) -> bool:
        return self._jobs_dir.is_dir() and not os.path.lexists(self._jobs_dir / job_id)


class _AtOnce(JobDir):
    """A directory as it is at one moment: what several questions are answered from is read once."""

    @cached_property
    def _status(self) -> DiskStatus:
        return super().status()

    @cached_property
    def _attempts(self) -> list[AttemptDir]:
        return super().attempt_dirs()

    def status(self) -> DiskStatus:
        """What this directory alone says."""
        return self._status

    def attempt_dirs(self) -> list[AttemptDir]:
        """All attempts, the first one first."""
        return self._attempts


@contextlib.contextmanager
def _costs_itself(job_id: str) -> Iterator[None]:
    """Whatever a damaged or foreign directory leads to keeps no other job from being compared. Not so an outage."""
    try:
        yield
    except (StoreUnavailable, StoreRefused):
        raise
    except Exception as exc:  # noqa: BLE001
        log.warning("a job directory cannot be read: %s", exc, extra={"job_id": job_id})


def _sliced(items: Iterable[T], size: int) -> Iterator[list[T]]:
    items = iter(items)
    while some := list(itertools.islice(items, size)):
        yield some


def _changed_at(entry: os.DirEntry[str]) -> float:
    try:
        return entry.stat().st_mtime
    except OSError:  # gone just now, or a link to nothing
        return 0.0
