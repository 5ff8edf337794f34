"""The exports of a job as downloads, under names that people recognise and Keras accepts."""

import re
import unicodedata
from pathlib import Path

from flask import Response, send_file

from shared.errors import NoCheckpoint
from shared.jobdir import AttemptDir, JobDir
from web.reading import Seen

_ENDINGS = {"model.keras": ".keras", "weights.h5": ".weights.h5"}
"""``load_weights`` takes no file whose name does not end in .weights.h5."""


def send_export(seen: Seen, name: str) -> Response:
    """``model.keras`` or ``weights.h5`` of a job. Raises NoCheckpoint while there is none."""
    if name not in exports(seen.jobdir):
        raise NoCheckpoint("This job has no exported model yet. It is written at the job's end.")
    path = _paths(seen.jobdir.attempt_dirs()[-1])[name]
    return send_file(
        path.resolve(),
        mimetype="application/octet-stream",
        as_attachment=True,
        download_name=slug(seen.record.name) + _ENDINGS[name],
    )


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
