"""JSON that every reader takes: what is no finite number leaves the API as ``null``, never as bare NaN."""

from flask.json.provider import DefaultJSONProvider

from keepfit.shared.durable import from_json, to_json


class FiniteJson(DefaultJSONProvider):
    """Flask's JSON without bare NaN and infinities."""

    def dumps(self, obj: object, **kwargs: object) -> str:
        """``obj`` as JSON."""
        try:
            return super().dumps(obj, **kwargs, allow_nan=False)
        except ValueError:  # rare, so only then is it gone through again
            return to_json(from_json(super().dumps(obj, **kwargs)), sort_keys=True)
