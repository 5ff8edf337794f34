"""The commit record of a checkpoint: which files belong to it, their sizes and their sha256. Pure.

    write_manifest(directory, step=1875, files={"state.safetensors": FileRecord(...), ...})
    found = checkpoints_of(jobdir)                 # newest first, nothing verified yet
    manifest = verify(found[0])                    # raises CorruptCheckpoint with the reason in words

A checkpoint is a directory ``step-NNNNNNNN``; it exists once its manifest does, and it may be loaded
only if every byte of it is what the manifest says, and so is the beginning of its attempt's history.
The manifest guards itself by its form: it must be, byte for byte, what this module would write for
the values that it holds. Knows nothing of what is in the files.
"""

import errno
import hashlib
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from keepfit.shared.durable import from_json, to_json
from keepfit.shared.errors import CorruptCheckpoint
from keepfit.shared.jobs.directory import AttemptDir, JobDir

FORMAT = 2
"""1: version 0.1, whose trainer state holds the history itself."""
NAME = "manifest.json"
TEMP_PREFIX, TRASH_PREFIX = ".new-", ".old-"
"""Of a checkpoint that is not whole yet, and of one that is on its way out."""
PIN = "pinned"
"""An empty file of this name in a checkpoint's directory keeps it from being pruned."""
STATE = "state.safetensors"
TRAINER = "trainer.json"
FILES = frozenset({STATE, TRAINER})
_MAX_BYTES = 64 * 1024
_MAX_HISTORY = 128 << 20
"""Nine times that of 100,000 epochs, the most that a job can have."""
_BLOCK = 1 << 20
_DIRECTORY = re.compile(r"step-([0-9]{8,15})")


@dataclass(frozen=True)
class FileRecord:
    """What one file must be."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What one checkpoint is made of."""

    step: int
    files: Mapping[str, FileRecord]
    score: float | None = None
    """What the watched metric was, if the checkpoint is at an epoch's end; lower is better."""
    history: FileRecord | None = None
    """How much of the attempt's history belongs to it; None in format 1."""

    @property
    def format(self) -> int:
        """The format that it is written in."""
        return 1 if self.history is None else FORMAT

    @property
    def bytes(self) -> int:
        """The size of the checkpoint."""
        return sum(record.bytes for record in self.files.values())


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint found on disk; not verified."""

    path: Path
    step: int
    attempt: int


def directory_name(step: int) -> str:
    """The name of the directory of the checkpoint at ``step``."""
    return f"step-{step:08d}"


def encode(manifest: Manifest) -> bytes:
    """The one form that a manifest has on disk."""
    value: dict[str, Any] = {
        "format": manifest.format,
        "step": manifest.step,
        "score": manifest.score,
        "files": {name: asdict(record) for name, record in manifest.files.items()},
    }
    if manifest.history is not None:
        value["history"] = asdict(manifest.history)
    value["sha256"] = hashlib.sha256(_canonical(value)).hexdigest()
    return _canonical(value)


def decode(raw: bytes) -> Manifest:
    """The manifest in ``raw``. Raises CorruptCheckpoint unless ``raw`` is its one form."""
    try:
        value = from_json(raw)
        if value["format"] not in (1, FORMAT):
            raise CorruptCheckpoint(
                f"its manifest has the format {value['format']!r}, this version reads 1 to {FORMAT}"
            )
        files = {str(name): _record(entry) for name, entry in value["files"].items()}
        history = _record(value["history"]) if value["format"] != 1 else None
        manifest = Manifest(int(value["step"]), files, _score(value["score"]), history)
        intact = encode(manifest) == raw
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as exc:
        raise CorruptCheckpoint("its manifest cannot be read") from exc
    if not intact or set(files) != FILES:
        raise CorruptCheckpoint("its manifest was changed after it was written")
    return manifest


def _record(entry: Any) -> FileRecord:
    record = FileRecord(int(entry["bytes"]), str(entry["sha256"]))
    if record.bytes < 0:
        raise ValueError(record.bytes)
    return record


def _score(value: Any) -> float | None:
    return value if value is None else float(value)


def read_manifest(checkpoint: Checkpoint) -> Manifest:
    """The manifest of ``checkpoint``, itself checked; its files are not. Raises CorruptCheckpoint."""
    try:
        with _open(checkpoint.path / NAME) as file:
            raw = file.read(_MAX_BYTES + 1)
    except OSError as exc:
        raise CorruptCheckpoint(f"its manifest cannot be read ({exc.strerror})") from exc
    if len(raw) > _MAX_BYTES:
        raise CorruptCheckpoint(f"its manifest has more than {_MAX_BYTES:,} bytes, more than any real one")
    manifest = decode(raw)
    if manifest.step != checkpoint.step:
        raise CorruptCheckpoint(f"its manifest is the one of step {manifest.step}")
    return manifest


def verify(checkpoint: Checkpoint) -> Manifest:
    """Check every byte of ``checkpoint``. Raises CorruptCheckpoint with the reason in words."""
    manifest = read_manifest(checkpoint)
    for name, record in manifest.files.items():
        try:
            with _open(checkpoint.path / name) as file:
                _check_size(name, os.fstat(file.fileno()).st_size, record)
                digest = _sha256_of(file)
        except OSError as exc:
            raise CorruptCheckpoint(f"its {name} cannot be read ({exc.strerror})") from exc
        _check_digest(name, digest, record)
    read_history(checkpoint, manifest)
    return manifest


def read_verified(checkpoint: Checkpoint, manifest: Manifest, name: str) -> bytes:
    """The content of one file, checked as read, so that what was checked is what is used.

    Raises:
        CorruptCheckpoint: the content is not what the manifest says.
    """
    record = manifest.files[name]
    try:
        with _open(checkpoint.path / name) as file:
            _check_size(name, os.fstat(file.fileno()).st_size, record)
            content = file.read()
    except OSError as exc:
        raise CorruptCheckpoint(f"its {name} cannot be read ({exc.strerror})") from exc
    _check_size(name, len(content), record)
    _check_digest(name, hashlib.sha256(content).hexdigest(), record)
    return content


def read_history(checkpoint: Checkpoint, manifest: Manifest) -> bytes:
    """What belongs to ``checkpoint`` of its attempt's history, checked. Raises CorruptCheckpoint."""
    record = manifest.history
    if record is None or record.bytes == 0:
        return b""
    path = AttemptDir(checkpoint.path.parents[1]).history
    if record.bytes > _MAX_HISTORY:
        raise CorruptCheckpoint(f"its history has {record.bytes:,} bytes, more than any real one")
    try:
        with _open(path) as file:
            _check_size(path.name, min(os.fstat(file.fileno()).st_size, record.bytes), record)
            content = file.read(record.bytes)
    except OSError as exc:
        raise CorruptCheckpoint(f"its {path.name} cannot be read ({exc.strerror})") from exc
    _check_size(path.name, len(content), record)
    _check_digest(path.name, hashlib.sha256(content).hexdigest(), record)
    return content


def checkpoints_in(attempt: AttemptDir) -> list[Checkpoint]:
    """The checkpoints of one attempt, the newest first; nothing is verified.

    Only directories of the one form of name are any; what else lies there is passed over, and no link is followed.
    """
    if attempt.path.is_symlink() or attempt.checkpoints.is_symlink():
        return []
    try:
        with os.scandir(attempt.checkpoints) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    matches = [match for match in map(_DIRECTORY.fullmatch, names) if match]
    steps = sorted({int(match[1]) for match in matches if match[0] == directory_name(int(match[1]))}, reverse=True)
    return [Checkpoint(attempt.checkpoints / directory_name(step), step, attempt.number) for step in steps]


def newest_step(attempt: AttemptDir) -> int | None:
    """The step of the newest checkpoint of ``attempt`` that has a manifest, or None; nothing is verified."""
    return next((c.step for c in checkpoints_in(attempt) if (c.path / NAME).is_file()), None)


def checkpoints_of(jobdir: JobDir, up_to_attempt: int | None = None) -> list[Checkpoint]:
    """The checkpoints of all attempts of a job, the newest first; nothing is verified."""
    attempts = [a for a in jobdir.attempt_dirs() if up_to_attempt is None or a.number <= up_to_attempt]
    found = [c for attempt in attempts for c in checkpoints_in(attempt)]
    return sorted(found, key=lambda c: (-c.step, -c.attempt))


def newest_valid(jobdir: JobDir) -> Checkpoint | None:
    """The newest checkpoint of a job of which every byte is right, or None."""
    for checkpoint in checkpoints_of(jobdir):
        try:
            verify(checkpoint)
        except CorruptCheckpoint:
            continue
        return checkpoint
    return None


def _canonical(value: dict[str, Any]) -> bytes:
    return (to_json(value, indent=1, sort_keys=True) + "\n").encode()


def _check_size(name: str, size: int, record: FileRecord) -> None:
    if size != record.bytes:
        raise CorruptCheckpoint(f"its {name} has {size:,} bytes instead of {record.bytes:,}")


def _check_digest(name: str, digest: str, record: FileRecord) -> None:
    if digest != record.sha256:
        raise CorruptCheckpoint(f"its {name} was changed after it was written (sha256 differs)")


def _open(path: Path) -> BinaryIO:
    """A plain file, without following a link and without waiting for what is no file. Raises OSError."""
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "it is no plain file")
    return file


def _sha256_of(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while block := file.read(_BLOCK):
        digest.update(block)
    return digest.hexdigest()
