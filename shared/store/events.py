"""The event streams: one for each job, and one of changes over all jobs. Read only; scripts write them."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keepfit.shared.jobs.events import Event, decode
from keepfit.shared.store import keys
from keepfit.shared.store.link import Link

Entry = tuple[str, dict[str, str]]
"""The id and the fields of an entry of a stream."""


@dataclass(frozen=True)
class StoredEvent:
    """One event of a job, as it lies in the stream."""

    id: str
    """The stream's id, for ``Last-Event-ID``; grows with time."""
    at_ms: int
    attempt: int
    event: Event


@dataclass(frozen=True)
class StoredChange:
    """Something happened to a job; which event type, not what."""

    id: str
    job_id: str
    event_type: str


class EventLog:
    """Reads events after a given id, waiting for new ones if asked to."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def read(
        self, job_id: str, *, after_id: str = "0", block_ms: int | None = None, count: int = 500
    ) -> list[StoredEvent]:
        """Events of ``job_id`` after ``after_id``; waits up to ``block_ms`` for the first.

        One of a newer version, or a damaged one, is passed over, and its place not waited at again.
        """
        until = time.monotonic() + (block_ms or 0) / 1000
        while entries := self._entries(keys.events(job_id), after_id, block_ms, count):
            if found := [event for entry in entries if (event := _stored(*entry)) is not None]:
                return found
            after_id = entries[-1][0]
            if block_ms is not None and (block_ms := round((until - time.monotonic()) * 1000)) < 1:
                break
        return []

    def read_of(self, positions: Mapping[str, str], count: int = 500) -> dict[str, tuple[list[StoredEvent], str]]:
        """New events of several jobs in one read, each after an id of its own; waits for nothing.

        Answers the events of those that have any, and the id to go on after: one that cannot be read is passed over.
        """
        wanted = {keys.events(job_id): job_id for job_id in positions}
        streams = self._streams({key: positions[job_id] for key, job_id in wanted.items()}, None, count)
        return {
            wanted[key]: ([event for entry in entries if (event := _stored(*entry)) is not None], entries[-1][0])
            for key, entries in streams.items()
            if entries
        }

    def read_all(self, *, after_id: str = "$", block_ms: int | None = None, count: int = 500) -> list[StoredChange]:
        """Changes of all jobs after ``after_id`` (``$``: from now on; only with ``block_ms``)."""
        entries = self._entries(keys.CHANGES, after_id, block_ms, count)
        return [StoredChange(entry_id, fields.get("job", ""), fields.get("type", "")) for entry_id, fields in entries]

    def last_id(self, job_id: str) -> str:
        """The id of the newest event of ``job_id``; "0" when there is none."""
        return self._newest(keys.events(job_id))

    def last_change_id(self) -> str:
        """The id of the newest change of any job; "0" when there is none."""
        return self._newest(keys.CHANGES)

    def has_change(self, change_id: str) -> bool:
        """Whether a change is still in the stream: then so is all that came after it."""
        return bool(self._link.ask(lambda r: r.xrange(keys.CHANGES, change_id, change_id, count=1)))

    def _newest(self, key: str) -> str:
        rows = self._link.ask(lambda r: r.xrevrange(key, count=1))
        return str(rows[0][0]) if rows else "0"

    def _entries(self, key: str, after_id: str, block_ms: int | None, count: int) -> list[Entry]:
        return self._streams({key: after_id}, block_ms, count).get(key, [])

    def _streams(self, positions: dict[str, str], block_ms: int | None, count: int) -> dict[str, list[Entry]]:
        answer: Any = self._link.ask(lambda r: r.xread(positions, count=count, block=block_ms)) if positions else None
        # redis-py answers a dict under RESP3 and a list of pairs under RESP2.
        streams = answer.items() if isinstance(answer, dict) else answer or []
        return {key: _flatten(entries) for key, entries in streams}


def _stored(event_id: str, fields: dict[str, str]) -> StoredEvent | None:
    event, attempt = decode(fields), fields.get("attempt", "0")
    number = int(attempt) if attempt.isascii() and attempt.isdigit() else 0
    return None if event is None else StoredEvent(event_id, _at_ms(event_id), number, event)


def _flatten(entries: Any) -> list[Entry]:
    # redis-py answers [[(id, fields)]] under RESP3 and [(id, fields)] under RESP2.
    if entries and isinstance(entries[0], list):
        return [entry for part in entries for entry in part]
    return list(entries)


def _at_ms(event_id: str) -> int:
    return int(event_id.split("-")[0])
