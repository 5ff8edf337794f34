"""The pages' own files, under addresses that change with what is in them: a browser keeps each for good.

    <script type="module" src="{{ asset('job.js') }}">      # /static/v/3f2a9c41d0b7/job.js

One digest stands for all of them, so that a script finds the ones it imports beside it.
"""

import hashlib
from functools import cache
from pathlib import Path

from flask import Blueprint, Flask, Response, send_from_directory, url_for

FOLDER = Path(__file__).with_name("static")
FOR_GOOD = "public, max-age=31536000, immutable"

blueprint = Blueprint("assets", __name__)


def init_app(app: Flask) -> None:
    """Serve the files, and give the templates ``asset``."""
    app.register_blueprint(blueprint)
    app.jinja_env.globals["asset"] = asset


def asset(name: str) -> str:
    """The address of the file ``name``."""
    return url_for("assets.send", asked=version(), name=name)


@cache
def version() -> str:
    """Changes with any of the files."""
    content = hashlib.sha256()
    for path in sorted(path for path in FOLDER.rglob("*") if path.is_file()):
        content.update(f"{path.relative_to(FOLDER)}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    return content.hexdigest()[:12]


@blueprint.get("/static/v/<asked>/<path:name>")
def send(asked: str, name: str) -> Response:
    """One file; an address of another version gives the file of this one, which is then not kept."""
    response = send_from_directory(FOLDER, name)
    if asked == version():
        response.headers["Cache-Control"] = FOR_GOOD
    return response
