"""Whole checkpoints of two small files, for tests that train nothing: no tensors, but every byte as the manifest says.

make_checkpoint(attempt, 10, score=0.5)
make_checkpoint(attempt, 20, history=b'{"loss": 0.5}')
"""

import hashlib

from keepfit.shared.checkpoints.manifest import (
    NAME,
    STATE,
    TRAINER,
    Checkpoint,
    FileRecord,
    Manifest,
    directory_name,
    encode,
)
from keepfit.shared.jobs.directory import AttemptDir


def record_of(content: bytes) -> FileRecord:
    """What a manifest says of a file that holds ``content``."""
    return FileRecord(len(content), hashlib.sha256(content).hexdigest())


def make_checkpoint(
    attempt: AttemptDir, step: int, *, score: float | None = None, history: bytes | None = None
) -> Checkpoint:
    """A whole checkpoint at ``step``; ``history`` is what belongs to it of the attempt's, which becomes that."""
    folder = attempt.checkpoints / directory_name(step)
    folder.mkdir(parents=True)
    files = {name: f"{name} of {step}".encode() for name in (STATE, TRAINER)}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    if history is not None:
        attempt.history.write_bytes(history)
    belongs = None if history is None else record_of(history)
    manifest = Manifest(step, {name: record_of(content) for name, content in files.items()}, score, belongs)
    (folder / NAME).write_bytes(encode(manifest))
    return Checkpoint(folder, step, attempt.number)
