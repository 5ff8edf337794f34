"""Checkpoints on disk: written so that they exist as a whole or not at all, read only when every byte is right.

    saved = write(attempt, contents)               # durable when this returns
    loaded = load_newest(jobdir, attempt, reporter)    # damaged ones are set aside, the one before is used

Protocol: a hidden directory, the files (hashed while written, fsynced), the manifest, fsync of the
directory, rename, fsync of its parent. Until the rename nobody sees it; after it, it is whole.
"""

import contextlib
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.durable import from_json, to_json
from shared.errors import CorruptCheckpoint
from shared.events import CheckpointRejected
from shared.jobdir import AttemptDir, JobDir
from shared.manifest import (
    NAME,
    STATE,
    TRAINER,
    Checkpoint,
    Manifest,
    checkpoints_of,
    directory_name,
    encode,
    read_manifest,
    read_verified,
)
from worker.training.disk import Disk
from worker.training.interfaces import Reporter
from worker.training.state import Tensor
from worker.training.tensorfile import Array, blocks, parse

TEMP_PREFIX = ".new-"
TRASH_PREFIX = ".old-"
CORRUPT_SUFFIX = ".corrupt"


@dataclass(frozen=True)
class Contents:
    """What goes into one checkpoint."""

    step: int
    tensors: list[Tensor]
    trainer: Mapping[str, Any]
    """Cursor, seed, callbacks, history, digests, plan, environment; JSON."""
    score: float | None = None


@dataclass(frozen=True)
class Loaded:
    """A checkpoint in memory, verified."""

    checkpoint: Checkpoint
    tensors: dict[str, Array]
    trainer: dict[str, Any]


@dataclass(frozen=True)
class Saved:
    """A checkpoint that has become durable."""

    checkpoint: Checkpoint
    bytes: int
    seconds: float


class GivenUp(Exception):
    """The checkpoint is not wanted any more: the lease was lost while it was written."""


def write(attempt: AttemptDir, contents: Contents, disk: Disk, still_wanted: Any = lambda: True) -> Saved:
    """Make ``contents`` durable as a checkpoint of ``attempt``.

    Raises:
        OSError: the disk refused; nothing is left behind that a reader would see.
        GivenUp: ``still_wanted`` said no before the rename.
    """
    began = time.perf_counter()
    folder = attempt.checkpoints
    if not folder.exists():
        disk.make_dir(folder)
        disk.fsync_dir(attempt.path)
    temp = folder / f"{TEMP_PREFIX}{uuid.uuid4().hex[:12]}"
    target = folder / directory_name(contents.step)
    try:
        manifest = _write_files(temp, contents, disk)
        if not still_wanted():
            raise GivenUp
        if target.exists():  # the same step of the same attempt has the same content
            disk.remove(temp)
        else:
            disk.rename(temp, target)
        disk.fsync_dir(folder)
    except BaseException:
        with contextlib.suppress(OSError):  # what could not be written may be impossible to remove as well
            disk.remove(temp)
        raise
    found = Checkpoint(target, contents.step, attempt.number)
    return Saved(found, manifest.bytes, time.perf_counter() - began)


def _write_files(temp: Any, contents: Contents, disk: Disk) -> Manifest:
    disk.make_dir(temp)
    trainer = to_json(contents.trainer, indent=1, sort_keys=True).encode()
    files = {
        STATE: disk.write(temp / STATE, blocks(contents.tensors)),
        TRAINER: disk.write(temp / TRAINER, [trainer]),
    }
    manifest = Manifest(contents.step, files, contents.score)
    disk.write(temp / NAME, [encode(manifest)])
    disk.fsync_dir(temp)
    return manifest


def load(checkpoint: Checkpoint) -> Loaded:
    """Read ``checkpoint``. Raises CorruptCheckpoint unless every byte of it is right."""
    manifest = read_manifest(checkpoint)
    tensors = parse(read_verified(checkpoint, manifest, STATE))
    trainer = from_json(read_verified(checkpoint, manifest, TRAINER))
    return Loaded(checkpoint, tensors, trainer)


def load_newest(
    jobdir: JobDir, reporter: Reporter, up_to_attempt: int | None = None, aside: bool = True
) -> Loaded | None:
    """The newest valid checkpoint over all attempts (up to one), or None.

    Damaged ones are renamed to ``*.corrupt`` if ``aside``, so that nobody meets them twice, and reported.
    """
    vanished = False
    for checkpoint in checkpoints_of(jobdir, up_to_attempt):
        try:
            return load(checkpoint)
        except CorruptCheckpoint as exc:
            if not checkpoint.path.exists():  # pruned meanwhile by a writer that has saved a newer one
                vanished = True
                continue
            if aside:
                set_aside(checkpoint)
            reporter.report(CheckpointRejected(f"attempt {checkpoint.attempt}, {checkpoint.path.name}", str(exc)))
    return load_newest(jobdir, reporter, up_to_attempt, aside) if vanished else None


def set_aside(checkpoint: Checkpoint) -> None:
    """Rename a damaged checkpoint, for people to look at; its name then says what it is."""
    target = checkpoint.path.with_name(checkpoint.path.name + CORRUPT_SUFFIX)
    if target.exists():
        target = checkpoint.path.with_name(f"{checkpoint.path.name}.{uuid.uuid4().hex[:8]}{CORRUPT_SUFFIX}")
    with contextlib.suppress(OSError):  # a read-only disk: it stays where it is and is skipped each time
        checkpoint.path.rename(target)
