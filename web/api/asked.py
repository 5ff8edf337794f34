"""What a request asks of a list, checked: how many rows, from where on, in which state, of which kind.

    limit = whole_number("limit", default=50, least=1, most=200)
    state = asked_state()

What is wrong is said by its name, like a wrong field of a form. A number of twenty digits is no outage.
"""

import re

from flask import request

from keepfit.shared.jobs.states import JobState
from keepfit.shared.spec import KINDS
from keepfit.web.words.catalogue import _
from keepfit.web.words.spec_errors import WrongFields

MOST_ROWS = 1_000_000_000
"""Of any list: beyond it there is nothing, and what counts them has no room for much more."""


def whole_number(name: str, default: int, least: int = 0, most: int = MOST_ROWS) -> int:
    """The number that the address gives as ``name``. Raises WrongFields."""
    text = request.args.get(name, "").strip()
    if not text:
        return default
    number = int(text) if re.fullmatch(r"[0-9]{1,18}", text) else -1
    if not least <= number <= most:
        raise WrongFields({name: _("Must be a whole number from {least} to {most}.", least=least, most=most)})
    return number


def asked_state() -> JobState | None:
    """The state that the address asks for as ``state``, if it does. Raises WrongFields."""
    text = _one_of("state", tuple(JobState))
    return JobState(text) if text else None


def asked_kind() -> str | None:
    """The kind of job that the address asks for as ``kind``, if it does. Raises WrongFields."""
    return _one_of("kind", tuple(KINDS))


def asked_whether(name: str) -> bool:
    """Whether the address says ``true`` for ``name``; false if it says nothing. Raises WrongFields."""
    return _one_of(name, ("true", "false")) == "true"


def _one_of(name: str, known: tuple[str, ...]) -> str | None:
    text = request.args.get(name, "").strip()
    if text and text not in known:
        raise WrongFields({name: _("Must be one of {expected}.", expected=", ".join(known))})
    return text or None
