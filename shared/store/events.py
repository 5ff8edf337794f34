"""The event streams: one for each job, and one of changes over all jobs. Read only; scripts write them."""

import time
from dataclasses import dataclass
from typing import Any

from keepfit.shared.jobs.events import Event, decode
from keepfit.shared.store import keys
from keepfit.shared.store.link import Link


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

    def _entries(self, key: str, after_id: str, block_ms: int | None, count: int) -> list[tuple[str, dict[str, str]]]:
        answer: Any = self._link.ask(lambda r: r.xread({key: after_id}, count=count, block=block_ms))
        if not answer:
            return []
        streams = answer.values() if isinstance(answer, dict) else [entries for _, entries in answer]
        return [entry for entries in streams for entry in _flatten(entries)]


def _stored(event_id: str, fields: dict[str, str]) -> StoredEvent | None:
    event, attempt = decode(fields), fields.get("attempt", "0")
    number = int(attempt) if attempt.isascii() and attempt.isdigit() else 0
    return None if event is None else StoredEvent(event_id, _at_ms(event_id), number, event)


def _flatten(entries: Any) -> list[tuple[str, dict[str, str]]]:
    # redis-py answers [[(id, fields)]] under RESP3 and [(id, fields)] under RESP2.
    if entries and isinstance(entries[0], list):
        return [entry for part in entries for entry in part]
    return list(entries)


def _at_ms(event_id: str) -> int:
    return int(event_id.split("-")[0])
