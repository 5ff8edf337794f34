"""Every error as an answer, in one place: JSON under ``/api/``, a page elsewhere. Never a traceback.

{"error": {"message": "...", "fields": {"training.epochs": "Must be at least 1."}}}
"""

import logging

from flask import Flask, jsonify, make_response, render_template, request
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from keepfit.shared.errors import (
    BadTransition,
    CorruptCheckpoint,
    DamagedFile,
    DataUnavailable,
    InvalidSpec,
    JobConflict,
    JobDeleted,
    JobNotFound,
    KeepfitError,
    NewerVersion,
    NoCheckpoint,
    NotAllowed,
    StorageFull,
    StoreRefused,
    StoreUnavailable,
)
from keepfit.web.desk import desk
from keepfit.web.words.catalogue import _, marked
from keepfit.web.words.refusals import in_words
from keepfit.web.words.spec_errors import field_errors

log = logging.getLogger(__name__)

AWAY = marked("The queue server does not answer. What is on disk is safe; please try again.")

STATUS: dict[type[KeepfitError], int] = {
    InvalidSpec: 422,
    DataUnavailable: 503,
    JobNotFound: 404,
    JobDeleted: 410,
    NotAllowed: 403,
    BadTransition: 409,
    JobConflict: 409,
    StoreUnavailable: 503,
    StoreRefused: 500,
    StorageFull: 507,
    NoCheckpoint: 409,
    CorruptCheckpoint: 409,
    DamagedFile: 409,
    NewerVersion: 409,
}

_TITLES = {
    400: marked("That request was not understood"),
    403: marked("That is not allowed"),
    404: marked("There is nothing here"),
    405: marked("That is not possible here"),
    409: marked("That is not possible now"),
    410: marked("This job was deleted"),
    413: marked("That is too large"),
    415: marked("That is not JSON"),
    422: marked("Something in the form is not right"),
    500: marked("Something went wrong on our side"),
    503: marked("The queue server does not answer"),
    507: marked("The disk takes no more"),
}

_MESSAGES = {
    404: marked("There is no page at this address: it may be mistyped, or the job's directory is no longer there."),
    405: marked("This address does not take such a request."),
    413: marked("The request is larger than anything that Keepfit takes."),
    500: marked("The error is in the server's log. Your jobs are safe on disk; please try again."),
}


def init_app(app: Flask) -> None:
    """Answer every error of ``app`` here."""
    app.register_error_handler(KeepfitError, _keepfit_error)
    app.register_error_handler(CSRFError, _expired_form)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected)


def status_of(exc: KeepfitError) -> int:
    """The HTTP status that says what kind of error this is."""
    return next((STATUS[cls] for cls in type(exc).__mro__ if cls in STATUS), 500)


def answer(status: int, message: str, fields: dict[str, str] | None = None) -> ResponseReturnValue:
    """An error as JSON or as a page, by the address that was asked for."""
    if request.path.startswith("/api/") or request.path == "/health":
        error: dict[str, object] = {"message": message}
        if fields:
            error["fields"] = fields
        return jsonify(error=error), status
    return render_template(
        "error.html", title=_(_TITLES.get(status, marked("That did not work"))), message=message
    ), status


def _keepfit_error(exc: KeepfitError) -> ResponseReturnValue:
    if isinstance(exc, StoreUnavailable | StorageFull):  # where they are is for the log, not for the reader
        log.warning("%s", exc, extra={"action": f"{request.method} {request.path}"})
        return answer(status_of(exc), _without_place(exc))
    fields = field_errors(exc) if isinstance(exc, InvalidSpec) else {}
    said = " ".join(f"{path}: {words}" if path else words for path, words in fields.items())
    return answer(status_of(exc), said or in_words(exc), fields)


def _without_place(exc: KeepfitError) -> str:
    """What ``exc`` says, but for hosts, ports and paths."""
    if isinstance(exc, StoreUnavailable):
        return _(AWAY)
    place = str(desk().settings.data_dir)
    return (
        in_words(exc)
        .replace(f"the data directory {place}", "the data directory")
        .replace(place, _("the data directory"))
    )


def _expired_form(_exc: CSRFError) -> ResponseReturnValue:
    return answer(403, _("This form was opened in another session. Go back, reload the page and try again."))


def _http_error(exc: HTTPException) -> ResponseReturnValue:
    status = exc.code or 500
    if status < 400:  # a redirect that werkzeug raises
        return exc.get_response()
    response = make_response(answer(status, _(_MESSAGES.get(status) or exc.description or exc.name)))
    if isinstance(exc, MethodNotAllowed) and exc.valid_methods:
        response.headers["Allow"] = ", ".join(sorted(exc.valid_methods))
    return response


def _unexpected(exc: Exception) -> ResponseReturnValue:
    log.error("unexpected error", exc_info=exc, extra={"action": f"{request.method} {request.path}"})
    return answer(500, _(_MESSAGES[500]))
