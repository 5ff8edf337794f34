"""What the streams say, as server-sent events: made once for each language, however many people listen.

    messages = Messages(reader, told_to_die)
    messages.of_event(stored).said("en")     # b"id: ...\nevent: progress\ndata: {...}\n\n"
    messages.looks(job_ids)                  # the moving parts of the pages of these jobs

Knows the form and the words of a message; who is told of it, and when, is the hub's matter.
"""

import dataclasses
import logging
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

from keepfit.shared.durable import to_json
from keepfit.shared.jobs.events import StateChanged
from keepfit.shared.jobs.loglines import describe
from keepfit.shared.store import JobRecord, StoredEvent
from keepfit.web.jobs.live import live_view
from keepfit.web.jobs.reading import JobReader, Seen
from keepfit.web.words import reasons
from keepfit.web.words.catalogue import Marked, _, speaking
from keepfit.web.words.wording import OUTAGE

RETRY_MS = 1000
"""After how long a browser connects again."""

log = logging.getLogger(__name__)


class Message:
    """One message of a stream. Its words are made when somebody is first told of it, once for each language."""

    def __init__(self, make: Callable[[], bytes]) -> None:
        """``make`` is called while the listener's language is spoken."""
        self._make = make
        self._said: dict[str, bytes] = {}

    def said(self, language: str) -> bytes:
        """The message in ``language``, ready to be sent."""
        if language not in self._said:
            with speaking(language):
                self._said[language] = self._make()
        return self._said[language]


class Messages:
    """Makes the messages about jobs."""

    def __init__(self, reader: JobReader, told_to_die: Callable[[JobRecord], bool]) -> None:
        self._reader, self._told_to_die = reader, told_to_die

    def of_event(self, stored: StoredEvent) -> Message:
        """What has happened to a job, with its place in the job's stream."""
        return Message(lambda: _sse(stored.event.type, _of_event(stored), stored.id))

    def looks(self, job_ids: Collection[str]) -> dict[str, tuple[Message, ...] | None]:
        """The moving parts of the pages of these jobs, just now; before them why they are not live, if so.

        None for a job that does not exist. One that cannot be read is left out, and costs no other.
        """
        seen = self._reader.get_many(job_ids)
        now_ms = self._reader.now_ms() if any(not each.notice for each in seen.values()) else None
        found: dict[str, tuple[Message, ...] | None] = {job_id: None for job_id in job_ids if job_id not in seen}
        for job_id, each in seen.items():
            try:
                found[job_id] = self._look(each, None if each.notice else now_ms)
            except Exception:  # whatever a damaged or foreign file leads to
                log.exception("what a job does just now cannot be told", extra={"job_id": job_id})
        return found

    def _look(self, seen: Seen, now_ms: int | None) -> tuple[Message, ...]:
        parts = partial(live_view, seen.record, self._reader.waiting(seen), now_ms, self._told_to_die(seen.record))
        live = not seen.notice
        now = Message(lambda: _sse("now", dataclasses.asdict(parts()) | {"live": live}))
        return (now,) if live else (paused(Marked(seen.notice)), now)


def paused(why: Marked = OUTAGE) -> Message:
    """Why a page is not live."""
    return Message(lambda: _sse("paused", {"message": _(why)}))


def change(job_id: str, event_type: str) -> Message:
    """That something has happened to a job, for the list."""
    return Message(lambda: _sse("change", {"job_id": job_id, "type": event_type}))


OPENING = Message(f"retry: {RETRY_MS}\n\n".encode)
NOTHING_NEW = Message(lambda: b": nothing new\n\n")
"""Nobody reads it; it finds out whether the reader is still there."""
GONE = Message(lambda: _sse("gone", {}))
"""There is no such job any more; the last message of its stream."""
BACK = change("", "back")
"""More has happened than can be told one by one: look again."""


def _of_event(stored: StoredEvent) -> dict[str, Any]:
    said = describe(stored.event)  # for an open page, whose log is to say the same as the file
    fields = {"at_ms": stored.at_ms, "in_attempt": stored.attempt, **dataclasses.asdict(stored.event)}
    if isinstance(stored.event, StateChanged):
        fields |= reasons.fields(stored.event.reason, "reason")
    return fields | ({"line": said} if said else {})


def _sse(kind: str, content: dict[str, Any], event_id: str = "") -> bytes:
    head = f"id: {event_id}\n" if event_id else ""
    return f"{head}event: {kind}\ndata: {to_json(content)}\n\n".encode()
