"""Server-sent events: one stream for a job's page, one for the list.

    GET /api/v1/jobs/<id>/events     id: <stream id>, event: state | progress | log | ..., data: JSON
    GET /api/v1/events               event: change, data: {"job_id", "type"}

Besides the job's own events, whose ids ``Last-Event-ID`` goes on after, a job's stream sends ``now``
(the page's moving parts, in words, every second) and ``paused`` (why there are no live updates). A
stream ends when its reader goes away, noticed at the next write, or when the process is told to stop.
"""

import dataclasses
import re
import time
from collections.abc import Iterator
from typing import Any

from flask import Blueprint, Response, request
from werkzeug.exceptions import ServiceUnavailable

from keepfit.shared.durable import to_json
from keepfit.shared.errors import JobNotFound, StoreUnavailable
from keepfit.shared.jobs.events import StateChanged
from keepfit.shared.jobs.loglines import describe
from keepfit.shared.store import StoredEvent
from keepfit.web.desk import Desk, desk
from keepfit.web.jobs.assemble import assemble_live
from keepfit.web.words.catalogue import _, marked, speaking, spoken
from keepfit.web.words.wording import OUTAGE

blueprint = Blueprint("stream", __name__, url_prefix="/api/v1")

BLOCK_MS = 1000
"""How long one read waits: the beat of ``now``, and what a stopping process may have to wait for."""
RETRY_MS = 1000
"""After how long a browser connects again."""

NOW = ""
"""The position that stands for "from now on"."""

_ID = re.compile(r"([0-9]{1,20})(?:-([0-9]{1,20}))?")
_LARGEST = 2**64 - 1
_A_DAY_MS = 24 * 60 * 60 * 1000


@blueprint.get("/jobs/<job_id>/events")
def job_events(job_id: str) -> Response:
    """What happens to a job, from now on or after ``Last-Event-ID`` (or ``?after=``)."""
    at = desk()
    at.reader.open(job_id)
    # The request is gone once the generator runs, so what is needed of it is read here.
    return _stream(at, _job_events(at, job_id, _asked_for(), spoken()))


@blueprint.get("/events")
def all_events() -> Response:
    """That something happened to some job, from now on."""
    return _stream(desk(), _all_events(desk(), _(OUTAGE)))


def _asked_for() -> str:
    """The position that the reader goes on after; from now on if it gives none, or one that cannot have been.

    Never from the beginning unless asked to: the server may be away for a moment, and a job's history is long.
    """
    after = request.headers.get("Last-Event-ID") or request.args.get("after") or NOW
    match = _ID.fullmatch(after)
    if match is None or any(int(part) > _LARGEST for part in match.groups("0")):
        return NOW
    in_future = int(match[1]) > time.time() * 1000 + _A_DAY_MS
    return NOW if in_future else after


def _stream(at: Desk, messages: Iterator[str]) -> Response:
    if not at.streams.acquire(blocking=False):
        raise ServiceUnavailable(marked("Too many pages are open at once. This one tries again by itself."))
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    response = Response(messages, mimetype="text/event-stream", headers=headers)
    response.call_on_close(at.streams.release)
    return response


def _job_events(at: Desk, job_id: str, after: str, language: str) -> Iterator[str]:
    yield f"retry: {RETRY_MS}\n\n"
    block_ms: int | None = None  # the first answer comes at once
    told_at = 0.0
    while not at.closing.is_set():
        moved = False
        try:
            after = after or at.store.events.last_id(job_id)
            for stored in at.store.events.read(job_id, after_id=after, block_ms=block_ms):
                after, moved = stored.id, moved or stored.event.type == StateChanged.type
                yield _message(stored.event.type, _stored(stored), stored.id)
        except StoreUnavailable:
            at.closing.wait(BLOCK_MS / 1000)
        if not moved and time.monotonic() - told_at < BLOCK_MS / 1000:
            continue
        told_at = time.monotonic()
        try:
            with speaking(language):
                said = _now(at, job_id)
        except JobNotFound:
            yield _message("gone", {})
            return
        yield from said
        block_ms = BLOCK_MS


def _now(at: Desk, job_id: str) -> list[str]:
    """The moving parts of a job's page, and why they do not move where that is so. Raises JobNotFound."""
    seen = at.reader.get(job_id)
    now = _message("now", dataclasses.asdict(assemble_live(at, seen)) | {"live": not seen.notice})
    return [_message("paused", {"message": seen.notice}), now] if seen.notice else [now]


def _all_events(at: Desk, outage: str) -> Iterator[str]:
    yield f"retry: {RETRY_MS}\n\n"
    after, paused = "", False
    while not at.closing.is_set():
        try:
            after = after or at.store.events.last_change_id()
            changes = at.store.events.read_all(after_id=after, block_ms=BLOCK_MS)
        except StoreUnavailable:
            after, paused = "", True  # after a wipe the ids start anew
            yield _message("paused", {"message": outage})
            at.closing.wait(BLOCK_MS / 1000)
            continue
        if paused:
            paused = False
            yield _message("change", {"job_id": "", "type": "back"})
        if not changes:
            yield ": nothing new\n\n"  # finds out whether the reader is still there
        for change in {(c.job_id, c.event_type): c for c in changes}.values():
            yield _message("change", {"job_id": change.job_id, "type": change.event_type})
        after = changes[-1].id if changes else after


def _stored(stored: StoredEvent) -> dict[str, Any]:
    said = describe(stored.event)  # for an open page, whose log is to say the same as the file
    fields = {"at_ms": stored.at_ms, "in_attempt": stored.attempt, **dataclasses.asdict(stored.event)}
    return fields | ({"line": said} if said else {})


def _message(kind: str, content: dict[str, Any], event_id: str = "") -> str:
    head = f"id: {event_id}\n" if event_id else ""
    return f"{head}event: {kind}\ndata: {to_json(content)}\n\n"
