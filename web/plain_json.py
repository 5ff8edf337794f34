"""JSON as every reader takes it: NaN and infinity go out as null, in answers and in pages alike."""

from typing import Any

from flask import Flask
from flask.json.provider import DefaultJSONProvider

from shared.durable import from_json, to_json


class PlainJson(DefaultJSONProvider):
    """Flask's provider, with what the project's one encoder makes of such numbers."""

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        """``obj`` as JSON."""
        try:
            return super().dumps(obj, allow_nan=False, **kwargs)
        except ValueError:  # rare, so only then is all of it gone through
            return to_json(from_json(super().dumps(obj, **kwargs)))


def init_app(app: Flask) -> None:
    """Use it for all answers and templates of ``app``."""
    app.json = PlainJson(app)
    app.jinja_env.policies["json.dumps_function"] = app.json.dumps
