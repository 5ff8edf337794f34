"""The JSON API, version 1. No form token: it takes only ``application/json``, which no foreign page can send.

    POST /api/v1/jobs                       a JobSpec; 201 new, 200 the same key again, 202 Redis is away
    GET  /api/v1/jobs                       records; ?state=failed&kind=train&limit=50&offset=100
    GET  /api/v1/jobs/<id>                  one record, with spec, attempts and waiting
    POST /api/v1/jobs/<id>/pause            also resume, cancel, drill
    POST /api/v1/jobs/<id>/priority         {"priority": 5}, from -9 to 9, higher runs first
    POST /api/v1/jobs/<id>/evaluations      {"data": {"name": "mnist-5k"}}
    GET  /api/v1/jobs/<id>/deletion         what deleting it would take with it, and how much space that frees
    DELETE /api/v1/jobs/<id>                for good, evaluations too; ?cancel=true also while it runs; again: the same
    GET  /api/v1/jobs/<id>/history          curves over all attempts
    GET  /api/v1/jobs/<id>/log.txt          the whole log of all attempts
    GET  /api/v1/jobs/<id>/files/<name>     model.keras, weights.h5
    GET  /health, /metrics

What a call does is in ``deeds``; how it is answered is here.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, current_app, jsonify, request, url_for
from flask.typing import ResponseReturnValue
from prometheus_client import CONTENT_TYPE_LATEST
from werkzeug.exceptions import BadRequest, MethodNotAllowed, UnsupportedMediaType

from keepfit.shared.errors import InvalidSpec
from keepfit.shared.jobs.states import LARGEST_PRIORITY, Wish
from keepfit.shared.reasons import read
from keepfit.shared.spec import parse_spec
from keepfit.shared.store.records import JobRecord
from keepfit.web.api import gauges
from keepfit.web.api.asked import asked_kind, asked_state, asked_whether, whole_number
from keepfit.web.asking import asking
from keepfit.web.deeds.accepting import Accepted
from keepfit.web.desk import desk
from keepfit.web.jobs.curves import Curves, Point, read_curves
from keepfit.web.jobs.downloads import exports, send_export, send_log
from keepfit.web.jobs.history import Attempt, read_history
from keepfit.web.jobs.reading import Seen
from keepfit.web.jobs.results import remarks
from keepfit.web.security import csrf
from keepfit.web.words import reasons
from keepfit.web.words.catalogue import marked
from keepfit.web.words.spec_errors import WrongFields, unknown_fields

blueprint = Blueprint("api", __name__)
csrf.exempt(blueprint)

LARGEST_PAGE = 200
WISHES = {"pause": Wish.PAUSE, "resume": Wish.RUN, "cancel": Wish.CANCEL}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
LATER = marked("accepted, takes effect when the queue server is back")


@blueprint.post("/api/v1/jobs")
def submit() -> ResponseReturnValue:
    """Submit a job."""
    accepted = desk().submissions.submit(asking(), parse_spec(_json_body()), key=_key())
    return _accepted(accepted, 201)


@blueprint.get("/api/v1/jobs")
def jobs() -> ResponseReturnValue:
    """The jobs, or those in one ``state`` and of one ``kind``; newest first."""
    if wrong := unknown_fields(request.args, ("limit", "offset", "state", "kind")):
        raise WrongFields(wrong)
    limit = whole_number("limit", default=50, least=1, most=LARGEST_PAGE)
    seen = desk().reader.page(limit, whole_number("offset", default=0), asked_state(), asked_kind())
    rows = [_record(record) for record in seen.records]
    return jsonify(jobs=rows, total=seen.total, live=not seen.notice, notice=seen.notice)


@blueprint.get("/api/v1/jobs/<job_id>")
def job(job_id: str) -> ResponseReturnValue:
    """One job."""
    return jsonify(_job(desk().reader.get(job_id)))


@blueprint.post("/api/v1/jobs/<job_id>/<any(pause, resume, cancel):action>")
def wish(job_id: str, action: str) -> ResponseReturnValue:
    """Pause, resume or cancel a job."""
    _body_about(job_id)
    return _accepted(desk().wishes.express(asking(), job_id, WISHES[action]), 200)


@blueprint.post("/api/v1/jobs/<job_id>/priority")
def prioritise(job_id: str) -> ResponseReturnValue:
    """Move a job in the queue."""
    desk().reader.open(job_id)
    body = _json_body()
    priority: Any = body.get("priority")
    wrong = unknown_fields(body, ("priority",))
    if type(priority) is not int or not -LARGEST_PRIORITY <= priority <= LARGEST_PRIORITY:
        wrong["priority"] = f"Must be a whole number from -{LARGEST_PRIORITY} to {LARGEST_PRIORITY}."
    if wrong:
        raise WrongFields(wrong)
    return _accepted(desk().wishes.prioritise(asking(), job_id, priority), 200)


@blueprint.post("/api/v1/jobs/<job_id>/drill")
def drill(job_id: str) -> ResponseReturnValue:
    """Have the worker that runs the job kill itself."""
    _body_about(job_id)
    desk().drills.drill(asking(), job_id)
    return jsonify(message="The worker that runs this job was told to kill itself."), 202


@blueprint.post("/api/v1/jobs/<job_id>/evaluations")
def evaluate(job_id: str) -> ResponseReturnValue:
    """Evaluate the job's model on a data set."""
    body = _body_about(job_id, "data", "name")
    evaluations, data, name = desk().evaluations, body.get("data"), body.get("name")
    return _accepted(evaluations.evaluate(asking(), job_id, data, key=_key(), name=name), 201)


@blueprint.get("/api/v1/jobs/<job_id>/deletion")
def deletion(job_id: str) -> ResponseReturnValue:
    """What would be deleted with the job."""
    doomed = desk().deletions.look(job_id)
    jobs = [{"id": r.id, "name": r.name, "kind": r.kind, "state": r.state} for r in doomed.jobs]
    return jsonify(jobs=jobs, bytes=doomed.bytes, running=[record.id for record in doomed.running])


@blueprint.delete("/api/v1/jobs/<job_id>")
def delete(job_id: str) -> ResponseReturnValue:
    """Delete the job for good."""
    if wrong := unknown_fields(request.args, ("cancel",)):
        raise WrongFields(wrong)
    deleted = desk().deletions.delete(asking(), job_id, asked_whether("cancel"))
    body = {"deleted": deleted.job_ids, "bytes": deleted.bytes, "freed": deleted.freed}
    if deleted.waits_for_queue:
        return jsonify(body | {"message": LATER}), 202
    return jsonify(body)


@blueprint.get("/api/v1/jobs/<job_id>/history")
def history(job_id: str) -> ResponseReturnValue:
    """The curves over all attempts, cut where an attempt went on from a checkpoint."""
    return jsonify(_curves(read_curves(desk().reader.open(job_id))))


@blueprint.get("/api/v1/jobs/<job_id>/log.txt")
def log(job_id: str) -> ResponseReturnValue:
    """The whole log of all attempts, as text."""
    return send_log(desk().reader.get(job_id))


@blueprint.get("/api/v1/jobs/<job_id>/files/<any('model.keras', 'weights.h5'):name>")
def export(job_id: str, name: str) -> ResponseReturnValue:
    """The exported model or its weights."""
    return send_export(desk().reader.get(job_id), name)


@blueprint.get("/health")
def health() -> ResponseReturnValue:
    """Whether the web side, the queue server and workers are there. Always 200 while the web side answers."""
    return jsonify(gauges.health(desk()))


@blueprint.get("/metrics")
def metrics() -> ResponseReturnValue:
    """The service in numbers, for Prometheus."""
    return Response(gauges.exposition(desk()), content_type=CONTENT_TYPE_LATEST)


@blueprint.route("/api/", defaults={"path": ""}, methods=METHODS)
@blueprint.route("/api/<path:path>", methods=METHODS)
def nothing_here(path: str) -> ResponseReturnValue:
    """A wrong address under /api/, or a wrong method at a right one: this takes what no other view does."""
    here = current_app.create_url_adapter(request)
    if here and (taken := [m for m in METHODS if here.match(method=m)[0] != request.endpoint]):
        raise MethodNotAllowed(valid_methods=taken)
    return jsonify(error={"message": f"There is no /api/{path}. The API is at /api/v1/jobs."}), 404


def _body_about(job_id: str, *fields: str) -> dict[str, Any]:
    """The request's JSON object about a job, {} if it is empty. Says first that there is no job, then what is wrong."""
    desk().reader.open(job_id)
    body = _json_body(optional=True)
    if wrong := unknown_fields(body, fields):
        raise WrongFields(wrong)
    return body


def _json_body(optional: bool = False) -> dict[str, Any]:
    """The request's JSON object. Raises what becomes 400, 413 or 415."""
    if request.mimetype != "application/json":  # also without a body: a foreign page can send an empty post
        what = "the body may be empty" if optional else "the body must be a JSON object"
        raise UnsupportedMediaType(f"Send it as application/json: -H 'Content-Type: application/json'; {what}.")
    text = request.get_data()
    if optional and not text.strip():
        return {}
    try:
        body = request.get_json()
    except (BadRequest, RecursionError) as exc:
        raise BadRequest("The body is not valid JSON.") from exc
    if not isinstance(body, dict):
        raise InvalidSpec("The body must be a JSON object.")
    return body


def _key() -> str | None:
    key = request.headers.get("Idempotency-Key", "").strip()
    if len(key) > 200:
        raise BadRequest("An Idempotency-Key may have at most 200 characters.")
    return f"api-{key}" if key else None


def _accepted(accepted: Accepted, status: int) -> ResponseReturnValue:
    body = _job(desk().reader.get(accepted.jobdir.id))
    if accepted.waits_for_queue:
        return jsonify(body | {"message": LATER}), 202
    return jsonify(body), status if accepted.new else 200


def _record(record: JobRecord) -> dict[str, Any]:
    fields = {name: value for name, value in dataclasses.asdict(record).items() if name != "owner"}
    return (
        fields
        | reasons.fields(record.reason, "reason")
        | reasons.fields(record.last_end, "last_end")
        | {
            "recovering": record.recovering,
            "result": _result(record.result),
            "url": url_for("pages.job", job_id=record.id, _external=True),
        }
    )


def _job(seen: Seen) -> dict[str, Any]:
    why = desk().reader.waiting(seen)
    return _record(seen.record) | {
        "live": not seen.notice,
        "spec": None if seen.jobdir.damage else seen.jobdir.job.spec,
        "waiting": {"place": why.place} | reasons.fields(why.reason, "reason") if why else None,
        "attempts": [_attempt(attempt) for attempt in read_history(seen.jobdir).attempts],
        "evaluations": [e.record.id for e in desk().reader.evaluations(seen.jobdir)],
        "remarks": remarks(seen.record.result, seen.record.progress.get("epochs")),
        "files": _files(seen),
    }


def _attempt(attempt: Attempt) -> dict[str, Any]:
    fields = dataclasses.asdict(attempt) | {"result": _result(attempt.result)}
    return fields | reasons.fields(attempt.previous_end, "previous_end")


def _result(result: Mapping[str, Any]) -> dict[str, Any]:
    """A result with its reason in words."""
    return {**result} | (reasons.fields(read(result["reason"]), "reason") if "reason" in result else {})


def _files(seen: Seen) -> dict[str, str]:
    names = exports(seen.jobdir)
    return {name: url_for("api.export", job_id=seen.record.id, name=name, _external=True) for name in names}


def _curves(found: Curves) -> dict[str, Any]:
    def rows(points: tuple[Point, ...]) -> list[dict[str, Any]]:
        return [{"step": p.step, "epoch": p.epoch, **p.logs} for p in points]

    return {"progress": rows(found.progress), "epochs": rows(found.epochs), "marks": rows(found.marks)}
