"""Files and fields as they lie on disk, read as what they should be: tolerant, and damaged in words.

    read_object(path)            # a dict, None where nothing is; DamagedFile with the reason
    text(value, "name")          # a field of the right type, or what stands for a missing one

Knows nothing of what a document says.
"""

import errno
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from keepfit.shared.durable import from_json
from keepfit.shared.errors import DamagedFile

_UNWRITABLE = re.compile("[\0\ud800-\udfff]")
_OURS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""This process is short of something; that says nothing of the file."""


def open_regular(path: Path) -> BinaryIO | None:
    """A file, open to be read; None where there is none.

    Raises DamagedFile for what is no regular file (a pipe would be waited on for ever) or cannot be read.
    """
    try:
        file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    except FileNotFoundError as exc:
        if path.is_symlink():
            raise DamagedFile("it is a link to nothing") from exc
        return None
    except NotADirectoryError:
        return None
    except OSError as exc:
        if exc.errno in _OURS:
            raise
        raise DamagedFile(exc.strerror or str(exc)) from exc
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise DamagedFile("it is no file")
    return file


def read_regular(path: Path, tail_bytes: int | None = None) -> bytes | None:
    """The content of a file, or its last ``tail_bytes``; None where there is none. Raises DamagedFile."""
    file = open_regular(path)
    if file is None:
        return None
    with file:
        try:
            if tail_bytes is not None:
                file.seek(max(0, os.fstat(file.fileno()).st_size - tail_bytes))
            return file.read()
        except OSError as exc:
            raise DamagedFile(exc.strerror or str(exc)) from exc


def read_object(path: Path) -> dict[str, Any] | None:
    """The JSON object in ``path``; None where there is nothing. Raises DamagedFile with the reason."""
    raw = read_regular(path)
    if raw is None:
        return None
    if not raw.strip():
        raise DamagedFile("it is empty")
    try:
        value = from_json(raw)
    except ValueError as exc:
        raise DamagedFile("it is not JSON") from exc
    if not isinstance(value, dict):
        raise DamagedFile("it holds no JSON object")
    return value


def read_or_nothing(path: Path) -> dict[str, Any]:
    """The JSON object in ``path``; {} where there is none, however that came about."""
    try:
        return read_object(path) or {}
    except DamagedFile:
        return {}


def text(document: Mapping[str, Any], name: str, default: str = "") -> str:
    """The text in a field, if it is one that can be written down: half a character cannot."""
    value = document.get(name)
    return value if isinstance(value, str) and _UNWRITABLE.search(value) is None else default


def whole(document: Mapping[str, Any], name: str, default: int = 0) -> int:
    """The whole number in a field. One that no counter can have come to stands for none."""
    value = document.get(name)
    return value if type(value) is int and abs(value) < 2**53 else default


def part(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The object in a field."""
    value = document.get(name)
    return value if isinstance(value, dict) else {}


def numbers(document: Mapping[str, Any], name: str) -> dict[str, float]:
    """The object of numbers in a field; what is no number in it (``null`` for one that was not finite) is left out."""
    return {key: value for key, value in part(document, name).items() if type(value) in (int, float)}


def hidden(folder: Path) -> list[Path]:
    """The hidden entries of a folder, for which every job directory is looked through again and again."""
    try:
        with os.scandir(folder) as entries:
            return [Path(entry.path) for entry in entries if entry.name.startswith(".")]
    except OSError:  # not made yet, or taken away
        return []
