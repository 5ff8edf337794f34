"""Reasons in words for people, in the language that is spoken. The codes are ``keepfit.shared.reasons``.

    in_words(record.reason)         # "paused by a person"
    fields(record.reason, "reason") # {"reason": "paused by a person", "reason_code": "paused", "reason_args": {}}

The messages are those of one table, ``ENGLISH``, which the catalogues have as they have the messages of the pages.
"""

from collections.abc import Mapping
from typing import Any

from keepfit.shared.reasons import BY_A_PERSON, Reason, read_json
from keepfit.web.words.catalogue import _


def in_words(reason: Reason) -> str:
    """The reason as a part of a sentence; empty for none."""
    args = {name: in_words(arg) if isinstance(arg, Reason) else arg for name, arg in reason.args.items()}
    return Reason(reason.code, args).formatted(_(reason.wording)) if reason else ""


def fields(reason: Reason, name: str) -> dict[str, Any]:
    """For programs: the words, which stay English, and beside them what they say."""
    stored = reason.to_json()
    return {name: str(reason), f"{name}_code": reason.code, f"{name}_args": stored.get("args", {})}


def told(answer: Mapping[str, Any], name: str = "reason") -> str:
    """What ``fields`` has put into an answer of the API, in the language that is spoken.

    In English what has no code, or one that only a newer version knows.
    """
    reason = read_json({"code": answer.get(f"{name}_code"), "args": answer.get(f"{name}_args")})
    return in_words(reason) if reason.wording else str(answer.get(name) or "")


def says_the_state(reason: Reason) -> bool:
    """Whether the words name the state themselves, as "paused by a person" does."""
    return reason.code in BY_A_PERSON
