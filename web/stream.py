"""Server-sent events: one stream for a job's page, one for the list.

    GET /api/v1/jobs/<id>/events     id: <stream id>, event: state | progress | log | ..., data: JSON
    GET /api/v1/events               event: change, data: {"job_id", "type"}

Besides the job's own events, whose ids ``Last-Event-ID`` goes on after, a job's stream sends ``now``
(the page's moving parts, in words, every second) and ``paused`` (why there are no live updates). A
stream ends when its reader goes away, when the job does (``gone``), or when the process is told to stop.
What is said is made in ``messages``, who is told what by ``hub``.
"""

import re
import time

from flask import Blueprint, Response, request
from werkzeug.exceptions import ServiceUnavailable

from keepfit.web.desk import desk
from keepfit.web.hub import TooManyListeners
from keepfit.web.words.catalogue import marked, spoken

blueprint = Blueprint("stream", __name__, url_prefix="/api/v1")

_ID = re.compile(r"([0-9]{1,20})(?:-([0-9]{1,20}))?")
_LARGEST = 2**64 - 1
_A_DAY_MS = 24 * 60 * 60 * 1000


@blueprint.get("/jobs/<job_id>/events")
def job_events(job_id: str) -> Response:
    """What happens to a job, from now on or after ``Last-Event-ID`` (or ``?after=``)."""
    desk().reader.open(job_id)
    return _stream(job_id, _asked_for())


@blueprint.get("/events")
def all_events() -> Response:
    """That something happened to some job, from now on."""
    return _stream()


def _asked_for() -> str:
    """The position that the reader goes on after; empty if it gives none, or one that cannot have been: from now on.

    Never from the beginning unless asked to: the server may be away for a moment, and a job's history is long.
    """
    after = request.headers.get("Last-Event-ID") or request.args.get("after") or ""
    match = _ID.fullmatch(after)
    if match is None or any(int(part) > _LARGEST for part in match.groups("0")):
        return ""
    in_future = int(match[1]) > time.time() * 1000 + _A_DAY_MS
    return "" if in_future else after


def _stream(job_id: str = "", after_id: str = "") -> Response:
    try:
        listener = desk().hub.listen(job_id, after_id=after_id, language=spoken())
    except TooManyListeners as exc:
        raise ServiceUnavailable(marked("Too many pages are open at once. This one tries again by itself.")) from exc
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    # Handed on as it is: a server that knows listeners (``web.serve``) holds no thread for it, any other iterates.
    return Response(listener, mimetype="text/event-stream", headers=headers, direct_passthrough=True)
