"""What others may put into the task queue: of every kind that is no kick one message."""

import base64
import json
import pickle
from typing import Any

from keepfit.shared.queue import QUEUE, TASK_NAME

KICK = {
    "body": base64.b64encode(b'[[""], {}, {}]').decode(),
    "content-encoding": "utf-8",
    "content-type": "application/json",
    "headers": {"lang": "py", "task": TASK_NAME, "id": "an-id"},
    "properties": {
        "correlation_id": "an-id",
        "delivery_mode": 2,
        "delivery_info": {"exchange": "", "routing_key": QUEUE},
        "priority": 0,
        "body_encoding": "base64",
        "delivery_tag": "a-tag",
    },
}


def kick(**changes: Any) -> str:
    """A kick as Celery writes one, with ``changes``."""
    return json.dumps(KICK | changes)


def _body(content: bytes) -> str:
    return base64.b64encode(content).decode()


FOREIGN: dict[str, str | bytes] = {
    "no JSON": "garbage{{",
    "nothing": "",
    "a number": "42",
    "null": "null",
    "a list": "[]",
    "an object": "{}",
    "binary": b"\x80\x04\xff\xfe",
    "nested": "[" * 100_000,
    "nested body": kick(body=_body(b"[" * 100_000)),
    "pickle": kick(body=_body(pickle.dumps([[""], {}, {}])), **{"content-type": "application/x-python-serialize"}),
    "unknown type": kick(**{"content-type": "application/x-nothing"}),
    "5 MB": kick(body=_body(json.dumps([["x" * 5_000_000], {}, {}]).encode())),
    "unknown task": kick(headers={"task": "no.such", "id": "i"}),
    "a task that is a list": kick(headers={"task": [TASK_NAME], "id": "i"}),
    "an id that is a list": kick(headers={"task": TASK_NAME, "id": ["i"]}),
    "headers that are none": kick(headers=None),
    "too many arguments": kick(body=_body(b'[["a", "b", "c"], {}, {}]')),
    "an argument of a wrong type": kick(body=_body(b'[[{"a": 1}], {}, {}]')),
    "named arguments": kick(body=_body(b'[[], {"hint": "a"}, {}]')),
    "no base64": kick(body="%%%"),
    "an empty body": kick(body=""),
    "for tomorrow": kick(headers=KICK["headers"] | {"eta": "2999-01-01T00:00:00"}),  # type: ignore[operator]
    "expired nonsense": kick(headers=KICK["headers"] | {"expires": "soon"}),  # type: ignore[operator]
    "no properties": json.dumps({name: value for name, value in KICK.items() if name != "properties"}),
    "no tag": kick(properties={"body_encoding": "base64"}),
    "unknown encoding": kick(properties=KICK["properties"] | {"body_encoding": "rot13"}),  # type: ignore[operator]
}
