"""A job's directory: every path in it, who writes what, and what can be read from it alone.

    jobdir = create_jobdir(jobs_dir, spec, key="form-7f3a")   # durable before Redis hears of it
    attempt = jobdir.new_attempt(3)                            # exclusive mkdir: the fence on disk
    jobdir.status()                                            # wish, highest attempt, its result

One writer a file, so nothing needs a lock: ``job.json`` and ``wish.json`` belong to the web side,
``verdict.json`` to the keepers, everything under ``attempts/NNNNNN/`` to that attempt. Knows nothing of Redis.
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
from typing import Any

from shared.durable import fsync_dir, read_json, to_json, write_json
from shared.errors import InvalidSpec, JobConflict, JobNotFound, StorageFull
from shared.spec import EvaluateSpec, TrainSpec, parse_spec, spec_digest
from shared.states import Wish

_ID = re.compile(r"[a-z0-9]{12}")
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
        return [*self.path.glob(".*"), *self.checkpoints.glob(".*")]

    def read_claim(self) -> dict[str, Any]:
        """``claim.json``, or {} before it is written."""
        return read_json(self.claim) or {}

    def read_record(self) -> dict[str, Any]:
        """``attempt.json``, or {} before it is written."""
        return read_json(self.record) or {}

    def read_result(self) -> dict[str, Any] | None:
        """``result.json``, or None while the attempt has not ended by itself."""
        value: dict[str, Any] | None = read_json(self.result)
        return value


@dataclass(frozen=True)
class DiskStatus:
    """What the directory alone says about its job."""

    wish: Wish
    wish_number: int
    priority: int | None
    """None while nobody has changed it."""
    attempt: int
    result: dict[str, Any] | None
    """The result of the highest attempt, if it has one."""


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
    def job(self) -> dict[str, Any]:
        """``job.json``: id, key, spec, created_ms. Raises JobNotFound."""
        value = read_json(self.path / "job.json")
        if not isinstance(value, dict):
            raise JobNotFound(f"There is no job {self.id}.")
        return value

    @property
    def spec(self) -> TrainSpec | EvaluateSpec:
        """What the job is asked to do. Raises JobNotFound or InvalidSpec."""
        return parse_spec(self.job["spec"], kept=True)

    def sibling(self, job_id: str) -> "JobDir":
        """The directory of another job of the same data directory."""
        return JobDir(self.path.parent / job_id, self.datasets)

    def attempt_dirs(self) -> list[AttemptDir]:
        """All attempts, the first one first."""
        try:
            found = [p for p in self.attempts.iterdir() if p.name.isdigit()]
        except FileNotFoundError:
            return []
        return [AttemptDir(p) for p in sorted(found)]

    def unfinished(self) -> list[Path]:
        """What killed writers have left half done, the attempts' included."""
        of_attempts = [path for attempt in self.attempt_dirs() for path in attempt.unfinished()]
        return [*self.path.glob(".*.tmp"), *of_attempts]

    def new_attempt(self, number: int) -> AttemptDir:
        """Make the directory of attempt ``number``. Raises FileExistsError if another one has it."""
        if not self.attempts.exists():
            self.attempts.mkdir(exist_ok=True)
            fsync_dir(self.path)
        attempt = AttemptDir(self.attempts / f"{number:06d}")
        attempt.path.mkdir()
        fsync_dir(self.attempts)
        return attempt

    def write_wish(self, wish: Wish, number: int, priority: int | None = None) -> None:
        """Keep a person's wish; ``number`` grows with each."""
        write_json(self.path / "wish.json", {"wish": wish.value, "number": number, "priority": priority})

    def status(self) -> DiskStatus:
        """What this directory alone says."""
        wish = read_json(self.path / "wish.json") or {}
        attempts = self.attempt_dirs()
        return DiskStatus(
            wish=Wish(wish.get("wish", "run")),
            wish_number=int(wish.get("number", 0)),
            priority=wish.get("priority"),
            attempt=attempts[-1].number if attempts else 0,
            result=attempts[-1].read_result() if attempts else None,
        )


def is_job_id(name: str) -> bool:
    """Whether ``name`` could be the id of a job."""
    return bool(_ID.fullmatch(name))


def open_jobdir(jobs_dir: Path, job_id: str) -> JobDir:
    """The directory of ``job_id``. Raises JobNotFound for an unknown or malformed id."""
    jobdir = JobDir(jobs_dir / job_id, jobs_dir.parent / "datasets")
    if not _ID.fullmatch(job_id) or not (jobdir.path / "job.json").is_file():
        raise JobNotFound(f"There is no job {job_id}.")
    return jobdir


def list_jobdirs(jobs_dir: Path) -> Iterator[JobDir]:
    """Every job directory, in no particular order."""
    if jobs_dir.is_dir():
        for path in jobs_dir.iterdir():
            if _ID.fullmatch(path.name) and os.path.isfile(path / "job.json"):  # noqa: PTH113 - False where it may not look
                yield JobDir(path, jobs_dir.parent / "datasets")


def staged_jobdirs(jobs_dir: Path) -> list[Path]:
    """Directories of jobs whose submit is under way, or was cut off before the job was accepted."""
    return list(jobs_dir.glob(f"{_STAGED}*"))


def job_id_of(key: str) -> str:
    """The id of the job submitted under the idempotency ``key``: the same key is the same job, for ever."""
    return b32encode(hashlib.sha256(key.encode()).digest()).decode().lower()[:12]


def create_jobdir(jobs_dir: Path, spec: TrainSpec | EvaluateSpec, key: str | None = None) -> tuple[JobDir, bool]:
    """Make the directory of a new job, whole and durable, or find the one that ``key`` has made before.

    Returns:
        The directory, and whether it is new.

    Raises:
        JobConflict: ``key`` was used for another spec.
        StorageFull: the data directory takes no write; nothing is left behind.
    """
    key = key or uuid.uuid4().hex
    jobdir = JobDir(jobs_dir / job_id_of(key), jobs_dir.parent / "datasets")
    if jobdir.path.exists():
        return _same_job(jobdir, spec), False
    staged = jobs_dir / f"{_STAGED}{uuid.uuid4().hex}"
    job = {
        "version": 1,
        "id": jobdir.id,
        "created_ms": time.time_ns() // 1_000_000,
        "spec": spec.model_dump(mode="json"),
        "spec_sha256": spec_digest(spec),
    }
    try:
        jobs_dir.mkdir(parents=True, exist_ok=True)
        staged.mkdir()
        write_json(staged / "job.json", job)
        staged.rename(jobdir.path)
        fsync_dir(jobs_dir)
    except OSError as exc:
        shutil.rmtree(staged, ignore_errors=True)
        if jobdir.path.exists():  # another request with the same key was faster
            return _same_job(jobdir, spec), False
        raise StorageFull(
            f"The job was not accepted: the data directory {jobs_dir.parent} takes no writes "
            f"({exc.strerror}). Free some space or fix its permissions, then submit again."
        ) from exc
    return jobdir, True


def _same_job(jobdir: JobDir, spec: TrainSpec | EvaluateSpec) -> JobDir:
    if jobdir.job.get("spec_sha256") != spec_digest(spec):
        raise JobConflict("This idempotency key was used for a different job. Use a new key.")
    return jobdir


def canonical_line(value: Any) -> str:
    """``value`` as one line of JSON, for the ``.jsonl`` files."""
    return to_json(value) + "\n"


__all__ = [
    "AttemptDir",
    "DiskStatus",
    "InvalidSpec",
    "JobDir",
    "canonical_line",
    "create_jobdir",
    "is_job_id",
    "job_id_of",
    "list_jobdirs",
    "open_jobdir",
    "staged_jobdirs",
]
