"""Which checkpoints stay: the latest two (of a finished job the last), the best, the pinned. Knows no tensors."""

import contextlib
import uuid
from collections.abc import Sequence

from keepfit.shared.checkpoints.disk import Disk
from keepfit.shared.checkpoints.manifest import PIN, TRASH_PREFIX, Checkpoint, checkpoints_of, read_manifest
from keepfit.shared.errors import CorruptCheckpoint
from keepfit.shared.jobs.directory import JobDir

LATEST = 2


def surplus(found: Sequence[Checkpoint], just_saved: Checkpoint | None, latest: int = LATEST) -> list[Checkpoint]:
    """Those of ``found`` (newest first) that need not stay.

    Only checkpoints whose manifest is whole count; a damaged one never pushes out a good one and is
    left for the next start to set aside.
    """
    scores: dict[Checkpoint, float | None] = {}
    for checkpoint in found:
        with contextlib.suppress(CorruptCheckpoint):
            scores[checkpoint] = read_manifest(checkpoint).score
    keep = {just_saved, *list(scores)[:latest]}
    scored = [(score, -c.step, c) for c, score in scores.items() if score is not None]
    if scored:
        keep.add(min(scored, key=lambda item: item[:2])[2])
    return [c for c in scores if c not in keep and not (c.path / PIN).exists()]


def prune(jobdir: JobDir, just_saved: Checkpoint, disk: Disk) -> list[Checkpoint]:
    """Remove what need not stay, over this attempt and the earlier ones; called once ``just_saved`` is durable.

    A checkpoint is renamed before it is removed, so none is ever seen half removed.
    """
    removed = surplus(checkpoints_of(jobdir, just_saved.attempt), just_saved)
    _remove(removed, disk)
    return removed


def prune_finished(jobdir: JobDir, attempt: int, disk: Disk) -> None:
    """Keep of a job whose model is exported one checkpoint to go on from, the best if that is another, the pinned.

    Called before the result is written, so that a result always stands for what is there. Killed in between, the job
    goes on from the one that is left. Raises OSError.
    """
    _remove(surplus(checkpoints_of(jobdir, attempt), None, latest=1), disk)


def _remove(checkpoints: Sequence[Checkpoint], disk: Disk) -> None:
    for checkpoint in checkpoints:
        trash = checkpoint.path.with_name(f"{TRASH_PREFIX}{uuid.uuid4().hex[:12]}")
        disk.rename(checkpoint.path, trash)
        disk.remove(trash)


def sweep(jobdir: JobDir, before_attempt: int, disk: Disk) -> None:
    """Remove what a killed writer of an earlier attempt has left half done: checkpoints, exports, records."""
    for attempt in jobdir.attempt_dirs():
        if attempt.number >= before_attempt:
            continue
        with contextlib.suppress(OSError):  # not worth failing for; the next attempt tries again
            for path in attempt.unfinished():
                disk.remove(path)
