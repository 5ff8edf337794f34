"""What a checkpoint holds beside the tensors: ``trainer.json``, and the metrics of each finished epoch.

    raw = encode_trainer({"cursor": ..., "callbacks": [...], ...})
    trainer = decode_trainer(raw, format=2)    # raises CorruptCheckpoint whatever else the bytes may be

    history.append({"loss": 0.3})              # in memory, where training goes on at once
    so_far = history.now()                     # what a checkpoint made now refers to: so many bytes, their sha256
    so_far.write(attempt.history, disk)        # durable before the checkpoint is

``trainer.json`` says where training is, what it was made with, its callbacks' counters. What is decoded has every
field, each of its type. Format 1 is version 0.1's, which kept the history in here; format 2 is, byte for byte, what
this module would write for the values that it holds.

The history is a file of the attempt that is only ever added to, so a checkpoint costs the same at the
hundred-thousandth epoch as at the first. A later attempt starts its own file with what its checkpoint has verified.
A floating-point number is written so that it is read back to the bit; what is no finite number is ``null``.
"""

import contextlib
import hashlib
import math
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from keepfit.shared.checkpoints.disk import Disk
from keepfit.shared.checkpoints.manifest import FileRecord
from keepfit.shared.durable import from_json, to_json
from keepfit.shared.errors import CorruptCheckpoint

FORMAT = 2
_MOST_BYTES = {1: 32 << 20, FORMAT: 1 << 20}
_NOT_FINITE = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}

Count = Annotated[int, Field(ge=0, lt=10**15)]


class _Cursor(BaseModel):
    model_config = ConfigDict(strict=True)

    epoch: Count
    batch: Count
    phase: Literal["train", "validate", "finalise"]


class _Trainer(BaseModel):
    model_config = ConfigDict(strict=True)

    format: Literal[1, 2]
    step: Count
    seed: int
    plan: Literal["graph", "xla"]
    program_sha256: str
    data_sha256: str | dict[str, str]
    """Of each part of the data; of version 0.1, those of training and validation joined."""
    order_sha256: str | None
    environment: dict[str, Any]
    exact: bool
    differs: list[str]
    cursor: _Cursor
    callbacks: list[dict[str, bool | int | float | str | None]]


def encode_trainer(trainer: Mapping[str, Any]) -> bytes:
    """The one form that it has on disk."""
    callbacks = [{name: _plain(value) for name, value in entry.items()} for entry in trainer["callbacks"]]
    return _canonical({**trainer, "format": FORMAT, "callbacks": callbacks})


def decode_trainer(raw: bytes, format: int) -> dict[str, Any]:
    """The trainer state in ``raw``. Raises CorruptCheckpoint unless it is one of this format."""
    if len(raw) > _MOST_BYTES[format]:
        raise CorruptCheckpoint(f"its trainer state has {len(raw):,} bytes, more than any real one")
    try:
        value = from_json(raw)
        _Trainer.model_validate(value)
        intact = value["format"] == format and (format == 1 or _canonical(value) == raw)
    except (ValueError, RecursionError) as exc:
        raise CorruptCheckpoint("its trainer state cannot be read") from exc
    if not intact:
        raise CorruptCheckpoint("its trainer state was changed after it was written")
    value["callbacks"] = [{name: _exact(v) for name, v in entry.items()} for entry in value["callbacks"]]
    return dict(value)


def _canonical(value: Mapping[str, Any]) -> bytes:
    return to_json(value, indent=1, sort_keys=True).encode()


def _plain(value: object) -> object:
    """JSON has no infinity, and a callback's best value so far may be one."""
    return value if not isinstance(value, float) or math.isfinite(value) else str(value)


def _exact(value: object) -> object:
    return _NOT_FINITE.get(value, value) if isinstance(value, str) else value


Row = Mapping[str, float]


class History:
    """All epochs of a job so far. One thread appends; another one, that of the checkpoints, writes."""

    def __init__(self, lines: bytes = b"", last: Row | None = None) -> None:
        self._lines, self._sha = bytearray(lines), hashlib.sha256(lines)
        self._epochs, self._durable = lines.count(b"\n"), 0
        self.last: Row = last or {}
        """The metrics of the latest epoch."""

    def __len__(self) -> int:
        return self._epochs

    def append(self, row: Row) -> None:
        """An epoch has ended."""
        line = (to_json(row, sort_keys=True) + "\n").encode()
        self._lines += line
        self._sha.update(line)
        self._epochs += 1
        self.last = dict(row)

    def rows(self) -> list[Row]:
        """The metrics of each epoch."""
        return [_as_numbers(row) for row in _rows_of(bytes(self._lines))]

    def now(self) -> "Prefix":
        """As it is at this moment."""
        return Prefix(self, FileRecord(len(self._lines), self._sha.hexdigest()))

    def write(self, path: Path, upto: int, disk: Disk) -> None:
        """Have the first ``upto`` bytes in the file ``path``, durably. Raises OSError."""
        if not upto:
            return
        if not self._durable or _size(path) != self._durable:
            self._write_anew(path, upto, disk)
        elif upto > self._durable:
            at, self._durable = self._durable, 0  # where this fails, nothing of the file can be relied on
            disk.append(path, bytes(self._lines[at:upto]))
        self._durable = max(upto, self._durable)

    def _write_anew(self, path: Path, upto: int, disk: Disk) -> None:
        """The attempt's first time; or an earlier write has failed; or somebody has changed or removed the file."""
        self._durable = 0
        temp = path.with_name(f".new-{uuid.uuid4().hex[:12]}{path.suffix}")
        try:
            disk.write(temp, [bytes(self._lines[:upto])])
            disk.rename(temp, path)
        except BaseException:
            with contextlib.suppress(OSError):  # what could not be written may be impossible to remove as well
                disk.remove(temp)
            raise
        disk.fsync_dir(path.parent)


@dataclass(frozen=True)
class Prefix:
    """A history as it was at a moment."""

    of: History
    record: FileRecord

    def write(self, path: Path, disk: Disk) -> None:
        """Have at least this much of it in the file ``path``, durably. Raises OSError."""
        self.of.write(path, self.record.bytes, disk)


def parse_history(lines: bytes, epochs: int) -> History:
    """The history in ``lines``. Raises CorruptCheckpoint unless it is one of so many epochs."""
    rows = _rows_of(lines)
    _check(rows, epochs)
    return History(lines, _as_numbers(rows[-1]) if rows else None)


def history_of(rows: Any, epochs: int) -> History:
    """The history of ``rows``, as version 0.1 kept them. Raises CorruptCheckpoint as ``parse_history`` does."""
    _check(rows, epochs)
    history = History()
    for row in rows:
        history.append(row)
    return history


def _check(rows: Any, epochs: int) -> None:
    if not isinstance(rows, list) or len(rows) != epochs or not all(map(_is_row, rows)):
        raise CorruptCheckpoint(f"its history is not one of {epochs:,} epochs")


def _rows_of(lines: bytes) -> Any:
    try:
        return from_json(b"[" + b",".join(lines.splitlines()) + b"]")
    except ValueError as exc:
        raise CorruptCheckpoint("its history cannot be read") from exc


def _is_row(row: object) -> bool:
    return isinstance(row, dict) and all(value is None or type(value) is float for value in row.values())


def _as_numbers(row: Mapping[str, float | None]) -> Row:
    return {name: math.nan if value is None else value for name, value in row.items()}


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return -1
