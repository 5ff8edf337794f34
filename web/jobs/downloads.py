"""The exports of a job as downloads, under names that people recognise and Keras accepts."""

import re
import unicodedata
from pathlib import Path
from urllib.parse import quote

from flask import Response, send_file
from werkzeug.http import dump_options_header

from keepfit.shared.errors import NoCheckpoint
from keepfit.shared.jobs.directory import AttemptDir, JobDir
from keepfit.web.jobs.history import whole_log
from keepfit.web.jobs.reading import Seen

_ENDINGS = {"model.keras": ".keras", "weights.h5": ".weights.h5"}
"""``load_weights`` takes no file whose name does not end in .weights.h5."""


def send_export(seen: Seen, name: str) -> Response:
    """``model.keras`` or ``weights.h5`` of a job. Raises NoCheckpoint while there is none."""
    if name not in exports(seen.jobdir):
        raise NoCheckpoint("This job has no exported model yet. It is written at the job's end.")
    path = _paths(seen.jobdir.attempt_dirs()[-1])[name]
    response = send_file(path.resolve(), mimetype="application/octet-stream")
    response.headers["Content-Disposition"] = _attachment(seen, _ENDINGS[name])
    return response


def send_log(seen: Seen) -> Response:
    """The whole log of a job, all its attempts, as it comes from the disk."""
    response = Response(whole_log(seen.jobdir), mimetype="text/plain")
    response.headers["Content-Disposition"] = _attachment(seen, ".log.txt")
    response.headers["Cache-Control"] = "no-store"
    return response


def _attachment(seen: Seen, ending: str) -> str:
    """The header that names a download: by the job's name, and by its id for who reads ASCII only."""
    name = slug(seen.record.name)
    if name.isascii():
        return dump_options_header("attachment", {"filename": name + ending})
    names = {"filename": seen.record.id + ending, "filename*": f"UTF-8''{quote(name + ending)}"}
    return dump_options_header("attachment", names)


def exports(jobdir: JobDir) -> tuple[str, ...]:
    """Which exports a job has, by name; those of an attempt before the last one do not count."""
    last = jobdir.attempt_dirs()[-1:]
    return tuple(name for attempt in last for name, path in _paths(attempt).items() if path.is_file())


def _paths(attempt: AttemptDir) -> dict[str, Path]:
    return {"model.keras": attempt.model, "weights.h5": attempt.weights}


def slug(name: str) -> str:
    """``name`` as the stem of a file name: "My first job!" becomes "my-first-job"."""
    plain = unicodedata.normalize("NFKC", name).lower()
    return re.sub(r"[^\w]+", "-", plain).strip("-_")[:60] or "model"
