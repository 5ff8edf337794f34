"""Checkpoints on disk: written so that they exist as a whole or not at all, read only when every byte is right.

    saved = write(attempt, contents)               # durable when this returns
    loaded = load_newest(jobdir, attempt, reporter)    # damaged ones are set aside, the one before is used

Protocol: the history up to here (fsynced), a hidden directory, the files (hashed while written, fsynced),
the manifest, fsync of the directory, rename, fsync of its parent. Until the rename nobody sees it; after
it, it is whole.
"""

import contextlib
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keepfit.shared.checkpoints.disk import Disk
from keepfit.shared.checkpoints.manifest import (
    NAME,
    STATE,
    TEMP_PREFIX,
    TRAINER,
    Checkpoint,
    Manifest,
    checkpoints_in,
    checkpoints_of,
    directory_name,
    encode,
    read_history,
    read_manifest,
    read_verified,
)
from keepfit.shared.errors import CorruptCheckpoint
from keepfit.shared.jobs.directory import AttemptDir, JobDir
from keepfit.shared.jobs.events import CheckpointRejected
from keepfit.worker.training import trainer
from keepfit.worker.training.history import History, Prefix, of_rows
from keepfit.worker.training.history import parse as parse_history
from keepfit.worker.training.interfaces import Reporter
from keepfit.worker.training.state import Tensor
from keepfit.worker.training.tensorfile import Array, blocks, parse

CORRUPT_SUFFIX = ".corrupt"


@dataclass(frozen=True)
class Contents:
    """What goes into one checkpoint."""

    step: int
    tensors: list[Tensor]
    trainer: Mapping[str, Any]
    """Cursor, seed, callbacks, digests, plan, environment; JSON."""
    score: float | None = None
    history: Prefix = field(default_factory=lambda: History().now())


@dataclass(frozen=True)
class Loaded:
    """A checkpoint in memory, verified."""

    checkpoint: Checkpoint
    tensors: dict[str, Array]
    trainer: dict[str, Any]
    history: History


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
    found = Checkpoint(folder / directory_name(contents.step), contents.step, attempt.number)
    try:
        contents.history.write(attempt.history, disk)
        manifest = _write_files(temp, contents, disk)
        if not still_wanted():
            raise GivenUp
        if _is_there(found, attempt):
            disk.remove(temp)
        else:
            disk.rename(temp, found.path)
        disk.fsync_dir(folder)
    except BaseException:
        with contextlib.suppress(OSError):  # what could not be written may be impossible to remove as well
            disk.remove(temp)
        raise
    return Saved(found, manifest.bytes, time.perf_counter() - began)


def _is_there(found: Checkpoint, attempt: AttemptDir) -> bool:
    """Whether it has been saved before: the same step of the same attempt has the same content.

    A stranger of its name, or what is left of a damaged one, is set aside.
    """
    if found in checkpoints_in(attempt):
        with contextlib.suppress(CorruptCheckpoint):
            read_manifest(found)
            return True
    if found.path.exists() or found.path.is_symlink():
        set_aside(found)
    return False


def _write_files(temp: Any, contents: Contents, disk: Disk) -> Manifest:
    disk.make_dir(temp)
    files = {
        STATE: disk.write(temp / STATE, blocks(contents.tensors)),
        TRAINER: disk.write(temp / TRAINER, [trainer.encode(contents.trainer)]),
    }
    manifest = Manifest(contents.step, files, contents.score, contents.history.record)
    disk.write(temp / NAME, [encode(manifest)])
    disk.fsync_dir(temp)
    return manifest


def load(checkpoint: Checkpoint) -> Loaded:
    """Read ``checkpoint``. Raises CorruptCheckpoint unless every byte of it is right."""
    manifest = read_manifest(checkpoint)
    found = trainer.decode(read_verified(checkpoint, manifest, TRAINER), manifest.format)
    epochs = found["cursor"]["epoch"]
    if found["step"] != checkpoint.step:
        raise CorruptCheckpoint(f"its trainer state is the one of step {found['step']:,}")
    if manifest.format == 1:
        so_far = of_rows(found.pop("history", None), epochs)
    else:
        so_far = parse_history(read_history(checkpoint, manifest), epochs)
    return Loaded(checkpoint, parse(read_verified(checkpoint, manifest, STATE)), found, so_far)


def load_newest(
    jobdir: JobDir, reporter: Reporter, up_to_attempt: int | None = None, aside: bool = True
) -> Loaded | None:
    """The newest valid checkpoint over all attempts (up to one), or None. See ``valid``."""
    return next(valid(jobdir, reporter, up_to_attempt, aside), None)


def valid(jobdir: JobDir, reporter: Reporter, up_to_attempt: int | None = None, aside: bool = True) -> Iterator[Loaded]:
    """The valid checkpoints over all attempts (up to one), the newest first; each is read when it is asked for.

    Damaged ones that are met are renamed to ``*.corrupt`` if ``aside``, so that nobody meets them twice, and reported.
    """
    tried: set[Path] = set()
    again = True
    while again:
        again = False
        for checkpoint in checkpoints_of(jobdir, up_to_attempt):
            if checkpoint.path in tried:
                continue
            try:
                found = load(checkpoint)
            except CorruptCheckpoint as exc:
                if not checkpoint.path.exists():  # pruned meanwhile by a writer that has saved a newer one
                    again = True
                    continue
                reject(checkpoint, str(exc), reporter, aside)
            else:
                yield found
            tried.add(checkpoint.path)


def reject(checkpoint: Checkpoint, reason: str, reporter: Reporter, aside: bool = True) -> None:
    """Report a checkpoint that is not to be used, and set it aside."""
    if aside:
        set_aside(checkpoint)
    reporter.report(CheckpointRejected(f"attempt {checkpoint.attempt}, {checkpoint.path.name}", reason))


def set_aside(checkpoint: Checkpoint) -> None:
    """Rename a damaged checkpoint, for people to look at; its name then says what it is."""
    target = checkpoint.path.with_name(checkpoint.path.name + CORRUPT_SUFFIX)
    if target.exists():
        target = checkpoint.path.with_name(f"{checkpoint.path.name}.{uuid.uuid4().hex[:8]}{CORRUPT_SUFFIX}")
    with contextlib.suppress(OSError):  # a read-only disk: it stays where it is and is skipped each time
        checkpoint.path.rename(target)
