"""The rows of an attempt's ``metrics.jsonl``, read without reading more of it than is asked for.

    for event in read_rows(path): ...
    last_row(path, Progress)            # from the end: as quick for 10,000 epochs as for 10
    first_rows(path, AttemptStarted)    # what an attempt says when it begins

A row that cannot be read (torn by a kill, damaged, of another version) costs that row.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from keepfit.shared.errors import DamagedFile
from keepfit.shared.jobs.documents import open_regular, read_regular
from keepfit.shared.jobs.events import Event, from_row

HEAD_BYTES = 16 * 1024
"""An attempt says at once how it begins and which checkpoints it has set aside."""
TAIL_BYTES = 64 * 1024
"""Enough to hold the latest row of each kind that comes regularly."""

E = TypeVar("E", bound=Event)


def read_rows(path: Path, tail_bytes: int | None = None) -> Iterator[Event]:
    """The events in a ``metrics.jsonl``, or in the last ``tail_bytes`` of it. A torn last line is left out."""
    for line in lines_of(path, tail_bytes):
        if (event := from_row(line)) is not None:
            yield event


def first_rows(path: Path, *kinds: type[Event]) -> list[Event]:
    """The events of these kinds at the beginning of a file."""
    marks = [f'"{kind.type}"' for kind in kinds]
    try:
        file = open_regular(path)
    except DamagedFile:  # something else is in its place
        return []
    if file is None:
        return []
    with file:
        head = file.read(HEAD_BYTES).decode(errors="replace").split("\n")[:-1]
    found = [from_row(line) for line in head if any(mark in line for mark in marks)]
    return [event for event in found if isinstance(event, kinds)]


def last_row(path: Path, *kinds: type[E]) -> E | None:
    """The last event of one of these kinds; None if there is none near the end."""
    for line in reversed(lines_of(path, TAIL_BYTES)):
        if isinstance(event := from_row(line), kinds):
            return event
    return None


def lines_of(path: Path, tail_bytes: int | None) -> list[str]:
    """The whole lines of a file, or of the last ``tail_bytes`` of it."""
    try:
        content = read_regular(path, tail_bytes) or b""
    except DamagedFile:  # something else is in its place
        return []
    lines = content.decode(errors="replace").split("\n")
    # The first line of a tail is probably cut; the last one is empty, or still being written.
    return lines[1 if len(content) == tail_bytes else 0 : -1]
