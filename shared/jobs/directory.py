"""A job's directory: every path in it, who writes what, and what the job's own document says.

    jobdir, new = create_jobdir(jobs_dir, spec, key="form-7f3a")   # durable before Redis hears of it
    attempt = jobdir.new_attempt(3)                                # exclusive mkdir: the fence on disk
    jobdir.status()                                                # wish, highest attempt, its result

One writer a file, so nothing needs a lock: ``job.json`` and ``wish.json`` belong to the web side,
``verdict.json`` to the keepers, everything under ``attempts/NNNNNN/`` to that attempt. What is in the files
is in ``documents``. Knows nothing of Redis.
"""

import hashlib
import os
import re
import shutil
import time
import uuid
from base64 import b32encode
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from keepfit.shared.actors import Actor
from keepfit.shared.durable import fsync_dir
from keepfit.shared.errors import DamagedFile, InvalidSpec, JobConflict, JobNotFound, NewerVersion, StorageFull
from keepfit.shared.jobs import deleting
from keepfit.shared.jobs.documents import JobFile, ResultFile, WishFile, hidden
from keepfit.shared.jobs.documents.upgrade import latest
from keepfit.shared.jobs.states import Wish
from keepfit.shared.reasons import NONE, Code, Reason
from keepfit.shared.spec import READS, JobSpec, Needs, Parent, needs_of, parents_of, parse_spec, spec_digest
from keepfit.shared.spec.reference import ask_the_same

_ID = re.compile(r"[a-z0-9]{12}")
_ATTEMPT = re.compile(r"(?!0+$)(0[0-9]{5}|[1-9][0-9]{5,8})")
_STAGED = ".new-"


@dataclass(frozen=True)
class AttemptDir:
    """The directory of one attempt; written by this attempt only."""

    path: Path

    @property
    def number(self) -> int:
        """The attempt's number, its fencing token."""
        return int(self.path.name)

    @property
    def claim(self) -> Path:
        """Who runs it, which wish it obeys, and why the attempt before it ended (JSON); written first."""
        return self.path / "claim.json"

    @property
    def record(self) -> Path:
        """Host, pid, versions, environment fingerprint, and the checkpoint resumed from (JSON)."""
        return self.path / "attempt.json"

    @property
    def log(self) -> Path:
        """The log, one line an event, for people."""
        return self.path / "log.txt"

    @property
    def metrics(self) -> Path:
        """Progress and epoch rows, one JSON object a line."""
        return self.path / "metrics.jsonl"

    @property
    def history(self) -> Path:
        """The metrics of each epoch since the job's beginning, one JSON object a line; checkpoints refer to it."""
        return self.path / "history.jsonl"

    @property
    def checkpoints(self) -> Path:
        """The folder of ``step-NNNNNNNN`` directories."""
        return self.path / "checkpoints"

    @property
    def model(self) -> Path:
        """The exported model, opened with ``keras.models.load_model``."""
        return self.path / "model.keras"

    @property
    def weights(self) -> Path:
        """The exported weights, for ``load_weights``."""
        return self.path / "weights.h5"

    @property
    def result(self) -> Path:
        """Outcome, reason, final metrics, weights sha256; written last: the commit record."""
        return self.path / "result.json"

    def unfinished(self) -> list[Path]:
        """What a killed writer has left half done: every hidden entry here and among the checkpoints."""
        return [*hidden(self.path), *hidden(self.checkpoints)]


@dataclass(frozen=True)
class DiskStatus:
    """What the directory alone says about its job."""

    wish: Wish
    wish_number: int
    priority: int | None
    """None while nobody has changed it."""
    attempt: int
    result: ResultFile | None
    """The result of the highest attempt, if it has one."""
    by: Actor | None = None
    """Who has wished it, where that is known."""
    damage: Reason = NONE
    """What is wrong with ``wish.json``: nobody knows what was wished, so the job stops until a person says it again."""


@dataclass(frozen=True)
class JobDir:
    """One job's directory."""

    path: Path
    datasets: Path
    """Where fetched data sets are kept, for all jobs."""

    @property
    def id(self) -> str:
        """The job's id."""
        return self.path.name

    def exists(self) -> bool:
        """Whether the job is still there: it may have been deleted since this was made."""
        return os.path.lexists(self.path / "job.json")

    @property
    def job_file(self) -> Path:
        """What was submitted. Written once."""
        return self.path / "job.json"

    @property
    def wish_file(self) -> Path:
        """The last wish of a person. Written by the web side only."""
        return self.path / "wish.json"

    @property
    def attempts(self) -> Path:
        """The folder of the attempts."""
        return self.path / "attempts"

    @property
    def verdict(self) -> Path:
        """An end that no attempt could write itself (restart budget used up). Written by keepers only."""
        return self.path / "verdict.json"

    @property
    def evaluations(self) -> Path:
        """A folder whose entries are the ids of this job's evaluations. Written by the web side only."""
        return self.path / "evaluations"

    @cached_property
    def job(self) -> JobFile:
        """The job's own document, as it was when it was first asked for. Raises JobNotFound or DamagedFile."""
        try:
            job = JobFile.read(self.job_file)
        except DamagedFile as exc:
            raise self._damaged(str(exc)) from exc
        if job is None:
            raise JobNotFound("There is no job {job_id}.", job_id=self.id)
        return job

    @property
    def spec(self) -> JobSpec:
        """What the job is asked to do. Raises JobNotFound, DamagedFile, or NewerVersion where this code cannot tell."""
        if not self.needs.met:
            raise NewerVersion(Reason.of(Code.NEWER_JOB))
        try:
            return parse_spec(self.job.spec, kept=True)
        except InvalidSpec as exc:  # whatever was accepted once is read for ever: nobody has accepted this
            raise self._damaged(f"its spec is none: {exc}") from exc

    @property
    def digest(self) -> str:
        """The digest of the spec as it was when the job was made: today's form of the spec may have more fields."""
        return self.job.spec_sha256

    @property
    def parents(self) -> tuple[Parent, ...]:
        """The jobs that this one comes from. Raises JobNotFound or DamagedFile."""
        return parents_of(self.job.spec)

    @property
    def needs(self) -> Needs:
        """What a worker must know to run the job. Raises JobNotFound or DamagedFile."""
        needs = needs_of(self.job.spec)
        version = max(needs.version, READS + 1) if self.job.version > latest("job") else needs.version
        for parent in self.parents:  # whoever measures a model must be able to build it
            source = JobFile.read_or_none(self.sibling(parent.job).job_file)
            of = needs_of(source and source.spec)
            version = max(version, of.version if of.met else max(of.version, READS + 1))
        return Needs(version, needs.kind)

    @property
    def damage(self) -> Reason:
        """What is wrong with ``job.json`` and what to do; none if nothing is."""
        try:
            if self.needs.met:
                _ = self.spec
        except DamagedFile as exc:
            return exc.reason
        except JobNotFound:  # removed just now
            pass
        return NONE

    def _damaged(self, error: str) -> DamagedFile:
        return DamagedFile(Reason.of(Code.JOB_DAMAGED, job=self.id, error=error))

    def sibling(self, job_id: str) -> "JobDir":
        """The directory of another job of the same data directory."""
        return JobDir(self.path.parent / job_id, self.datasets)

    def attempt_dirs(self) -> list[AttemptDir]:
        """All attempts, the first one first. Whatever else lies in their folder is passed over."""
        try:
            with os.scandir(self.attempts) as entries:
                found = [int(e.name) for e in entries if _ATTEMPT.fullmatch(e.name) and e.is_dir()]
        except OSError:  # not made yet, taken away, or a file: then there is none
            return []
        return [AttemptDir(self.attempts / f"{number:06d}") for number in sorted(found)]

    def unfinished(self) -> list[Path]:
        """What killed writers have left half done, the attempts' included."""
        of_attempts = [path for attempt in self.attempt_dirs() for path in attempt.unfinished()]
        return [*(path for path in hidden(self.path) if path.name.endswith(".tmp")), *of_attempts]

    def new_attempt(self, number: int) -> AttemptDir:
        """Make the directory of attempt ``number``. Raises FileExistsError if another one has it."""
        if not self.attempts.exists():
            self.attempts.mkdir(exist_ok=True)
            fsync_dir(self.path)
        attempt = AttemptDir(self.attempts / f"{number:06d}")
        attempt.path.mkdir()
        fsync_dir(self.attempts)
        return attempt

    def status(self) -> DiskStatus:
        """What this directory alone says."""
        attempts = self.attempt_dirs()
        attempt = attempts[-1].number if attempts else 0
        result = ResultFile.read_or_none(attempts[-1].result) if attempts else None
        try:
            kept = WishFile.read(self.wish_file)
        except DamagedFile as exc:
            damage = Reason.of(Code.WISH_DAMAGED, error=str(exc))
            return DiskStatus(Wish.PAUSE, 0, None, attempt, result, damage=damage)
        if kept is None:
            return DiskStatus(Wish.RUN, 0, None, attempt, result)
        return DiskStatus(kept.wish, kept.number, kept.priority, attempt, result, kept.by)


def is_job_id(name: str) -> bool:
    """Whether ``name`` could be the id of a job."""
    return bool(_ID.fullmatch(name))


def open_jobdir(jobs_dir: Path, job_id: str) -> JobDir:
    """The directory of ``job_id``, damaged or not. Raises JobNotFound for an unknown or malformed id; JobDeleted."""
    jobdir = JobDir(jobs_dir / job_id, jobs_dir.parent / "datasets")
    if not _ID.fullmatch(job_id):
        raise JobNotFound("There is no job {job_id}.", job_id=job_id)
    if not os.path.lexists(jobdir.path / "job.json"):
        raise deleting.no_such_job(jobs_dir, job_id)
    return jobdir


def list_jobdirs(jobs_dir: Path) -> Iterator[JobDir]:
    """Every job directory, the damaged ones too, in no particular order."""
    if jobs_dir.is_dir():
        for path in jobs_dir.iterdir():
            if _ID.fullmatch(path.name) and os.path.lexists(path / "job.json"):  # False where it may not look
                yield JobDir(path, jobs_dir.parent / "datasets")


def staged_jobdirs(jobs_dir: Path) -> list[Path]:
    """Directories of jobs whose submit is under way, or was cut off before the job was accepted."""
    return list(jobs_dir.glob(f"{_STAGED}*"))


def job_id_of(key: str) -> str:
    """The id of the job submitted under the idempotency ``key``: the same key is the same job, for ever."""
    return b32encode(hashlib.sha256(key.encode()).digest()).decode().lower()[:12]


def create_jobdir(
    jobs_dir: Path, spec: JobSpec, key: str | None = None, by: Actor | None = None
) -> tuple[JobDir, bool]:
    """Make the directory of a new job, whole and durable, or find the one that ``key`` has made before.

    Args:
        by: Who submits it; kept with the job.

    Returns:
        The directory, and whether it is new.

    Raises:
        JobConflict: ``key`` was used for another spec, or for a job that was deleted.
        DamagedFile: what it was used for cannot be read.
        StorageFull: the data directory takes no write; nothing is left behind.
    """
    key = key or uuid.uuid4().hex
    jobdir = JobDir(jobs_dir / job_id_of(key), jobs_dir.parent / "datasets")
    if jobdir.path.exists():
        return _same_job(jobdir, spec), False
    deleting.check_key(jobs_dir, jobdir.id)
    staged = jobs_dir / f"{_STAGED}{uuid.uuid4().hex}"
    try:
        jobs_dir.mkdir(parents=True, exist_ok=True)
        staged.mkdir()
        write_job(staged, jobdir.id, spec, by)
        staged.rename(jobdir.path)
        fsync_dir(jobs_dir)
    except OSError as exc:
        shutil.rmtree(staged, ignore_errors=True)
        if jobdir.path.exists():  # another request with the same key was faster
            return _same_job(jobdir, spec), False
        raise StorageFull(
            "The job was not accepted: the data directory {path} takes no writes "
            "({why}). Free some space or fix its permissions, then submit again.",
            path=jobs_dir.parent,
            why=exc.strerror,
        ) from exc
    if deleting.is_deleted(jobs_dir, jobdir.id):  # made and deleted by others since we looked
        deleting.bury(jobs_dir, jobdir.id)
    deleting.check_key(jobs_dir, jobdir.id)
    return jobdir, True


def write_job(folder: Path, job_id: str, spec: JobSpec, by: Actor | None = None) -> None:
    """Write the ``job.json`` of a new job into ``folder``. Raises OSError."""
    job = JobFile(
        id=job_id,
        created_ms=time.time_ns() // 1_000_000,
        spec=spec.model_dump(mode="json"),
        spec_sha256=spec_digest(spec),
        by=by,
    )
    job.write(folder / "job.json")


def same_spec(jobdir: JobDir, spec: JobSpec) -> bool:
    """Whether the job is ``spec``: both as this version reads them, which may know more fields than the one before.

    Raises DamagedFile; JobConflict for a job that only a newer version can read.
    """
    try:
        return jobdir.digest == spec_digest(spec) or ask_the_same(jobdir.spec, spec)
    except NewerVersion as exc:
        raise JobConflict(f"{exc} Use a new key.") from exc


def _same_job(jobdir: JobDir, spec: JobSpec) -> JobDir:
    try:
        same = same_spec(jobdir, spec)
    except JobNotFound as exc:
        deleting.check_key(jobdir.path.parent, jobdir.id)  # it may have been deleted just now
        raise DamagedFile(
            "The directory of the job {id} has no job.json: it was removed in part. "
            "Remove what is left of it, or use a new key.",
            id=jobdir.id,
        ) from exc
    if not same:
        raise JobConflict("This idempotency key was used for a different job. Use a new key.")
    return jobdir


__all__ = [
    "AttemptDir",
    "DiskStatus",
    "JobDir",
    "create_jobdir",
    "is_job_id",
    "job_id_of",
    "list_jobdirs",
    "open_jobdir",
    "same_spec",
    "staged_jobdirs",
    "write_job",
]
