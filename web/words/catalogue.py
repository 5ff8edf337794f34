"""Every word for people, in the language that is spoken just now: English as it stands in the code, or a translation.

    _("Waiting to start: {why}", why=why)      # in the language of this request, stream or terminal
    n_("{n} job", "{n} jobs", 1200)            # "1,200 jobs"
    LABELS = {...: marked("Queued")}           # a constant, which is said later: _(LABELS[state])
    with speaking("ko"): ...

The catalogues are ``translations/<language>.po``, read as they are: nothing is compiled, so nothing can be out of
date. `make words` finds new messages in the code. Knows neither flask nor click nor jobs.
"""

import ast
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path

ENGLISH = "en"
LANGUAGES = {ENGLISH: "English", "ko": "한국어"}
"""What is spoken here, each by the name that its speakers know."""
FOLDER = Path(__file__).with_name("translations")

_spoken: ContextVar[str] = ContextVar("language", default=ENGLISH)


def _(message: str, /, **values: object) -> str:
    """``message`` in the language that is spoken, with ``values``, of which some may be marked, in its places."""
    said = _catalogue(_spoken.get()).get(message, message)
    return said.format(**{name: _(v) if isinstance(v, Marked) else v for name, v in values.items()}) if values else said


def n_(one: str, many: str, number: int, /, **values: object) -> str:
    """``one`` or ``many``, by ``number``, which stands in it as ``{n}`` with thousands marked."""
    message = one if number == 1 else many
    return _catalogue(_spoken.get()).get(one, message).format(n=f"{number:,}", **values)


class Marked(str):
    """A message that is to be said later."""

    __slots__ = ()


def marked(message: str, /) -> Marked:
    """``message`` itself, in English: a constant to be said by ``_`` when it is needed."""
    return Marked(message)


def spoken() -> str:
    """The language that is spoken just now."""
    return _spoken.get()


def speak(language: str) -> None:
    """Speak ``language`` from here on: in this request, or in the whole of a terminal's process."""
    _spoken.set(language if language in LANGUAGES else ENGLISH)


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Speak ``language`` inside."""
    token = _spoken.set(language if language in LANGUAGES else ENGLISH)
    try:
        yield
    finally:
        _spoken.reset(token)


@cache
def _catalogue(language: str) -> Mapping[str, str]:
    """The messages of ``language`` by their English; of English none, for they are the messages themselves."""
    return {} if language == ENGLISH else read_po((FOLDER / f"{language}.po").read_text(encoding="utf-8"))


def read_po(text: str) -> dict[str, str]:
    """The messages of a gettext catalogue, as `make words` writes it: no contexts, one form for any number."""
    found: dict[str, str] = {}
    entry: dict[str, str] = {}
    part, fuzzy = "", False
    for line in (*text.splitlines(), ""):
        if line.startswith("msg"):
            part, _space, quoted = line.partition(" ")
            entry[part] = ast.literal_eval(quoted)
        elif line.startswith('"'):
            entry[part] += ast.literal_eval(line)
        elif line.startswith("#,"):
            fuzzy = "fuzzy" in line
        elif not line:
            said = entry.get("msgstr") or entry.get("msgstr[0]")
            if said and entry["msgid"] and not fuzzy:
                found[entry["msgid"]] = said
            entry, fuzzy = {}, False
    return found
