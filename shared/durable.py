"""Writes that survive a crash (temp file, fsync, rename, fsync of the directory), and the one form of JSON.

    to_json({"loss": float("nan")})     # '{"loss":null}': no NaN ever leaves as bare JSON

Knows nothing of jobs. After a failed fsync the temp file is thrown away, never fsynced again
(Rebello et al., "Can Applications Recover from fsync Failures?", ATC 2020).
"""

import contextlib
import json
import math
import os
import uuid
from pathlib import Path
from typing import Any


def fsync_dir(path: Path) -> None:
    """Make the entries of the directory ``path`` durable."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_bytes(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Replace ``path`` by ``content``, atomically and durably. Raises OSError and leaves ``path`` as it was.

    ``mode`` is what the umask leaves of it: 0o600 for secrets.
    """
    temp = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with os.fdopen(os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temp.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temp.unlink(missing_ok=True)
        raise
    fsync_dir(path.parent)


def to_json(value: object, *, indent: int | None = None, sort_keys: bool = False) -> str:
    """``value`` as JSON that every reader takes: what is no finite number is ``null``. Compact without ``indent``."""
    separators = (",", ":") if indent is None else None
    try:
        return json.dumps(value, indent=indent, sort_keys=sort_keys, separators=separators, allow_nan=False)
    except ValueError:  # NaN or infinity somewhere: rare, so only then is all of it walked through
        plain = _finite(value)
        return json.dumps(plain, indent=indent, sort_keys=sort_keys, separators=separators, allow_nan=False)


def _finite(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return value


def from_json(raw: str | bytes) -> Any:
    """The value of a JSON text. Raises ValueError for whatever is none, however it is broken (nesting without end too).

    Older versions wrote NaN and Infinity as such; they are read.
    """
    try:
        return json.loads(raw)
    except RecursionError as exc:
        raise ValueError("nested too deeply") from exc


def write_json(path: Path, value: object) -> None:
    """Replace ``path`` by ``value`` as JSON, atomically and durably."""
    write_bytes(path, (to_json(value, indent=1, sort_keys=True) + "\n").encode())


def read_json(path: Path) -> Any:
    """The JSON value in ``path``, or None if there is no such file or it does not parse."""
    try:
        return from_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
