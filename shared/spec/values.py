"""What single values of a spec may be, beyond their types: numbers that are no booleans, names that are safe to print.

printable("a\\x1b[31m")        # "a\N{REPLACEMENT CHARACTER}[31m": for names that nobody has checked
"""

import re
import unicodedata
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, StringConstraints, ValidationInfo
from pydantic_core import PydanticCustomError, PydanticKnownError

JOB_ID_PATTERN = r"[a-z0-9]{12}"
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories that a terminal or a browser obeys instead of showing: escapes, turned text, line breaks."""
_JOINERS = frozenset("\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}")
"""Parts of emoji, and of words in Persian and the scripts of India."""


def _no_boolean_for_whole(value: object) -> object:
    if isinstance(value, bool):  # JSON's true is not 1
        raise PydanticKnownError("int_type")
    return value


def _no_boolean(value: object) -> object:
    if isinstance(value, bool):
        raise PydanticKnownError("float_type")
    return value


def _unprintable(text: str) -> set[str]:
    return {c for c in text if unicodedata.category(c) in _UNPRINTABLE} - _JOINERS


def printable(text: str) -> str:
    """``text`` with a mark in place of each character that must not reach a terminal."""
    return text.translate({ord(c): "\N{REPLACEMENT CHARACTER}" for c in _unprintable(text)})


def _check_printable(text: str, info: ValidationInfo) -> str:
    kept = bool(info.context and info.context.get("kept"))
    if not kept and (found := _unprintable(text)):
        which = ", ".join(f"U+{ord(c):04X}" for c in sorted(found))
        raise PydanticCustomError(
            "unprintable", "may not hold control or invisible characters: take out {which}", {"which": which}
        )
    return text


def _check_job_id(text: str, info: ValidationInfo) -> str:
    # Directories made by hand have any name; the pattern is for what comes over the network.
    kept = bool(info.context and info.context.get("kept"))
    if not kept and not re.fullmatch(JOB_ID_PATTERN, text):
        raise PydanticKnownError("string_pattern_mismatch", {"pattern": JOB_ID_PATTERN})
    return text


def _check_said(text: str, info: ValidationInfo) -> str:
    kept = bool(info.context and info.context.get("kept"))
    if not kept and not text:
        raise PydanticKnownError("string_too_short", {"min_length": 1})
    return text


Whole = Annotated[int, BeforeValidator(_no_boolean_for_whole)]
Number = Annotated[float, BeforeValidator(_no_boolean)]
Version = Annotated[Literal[2], BeforeValidator(_no_boolean_for_whole)]
JobName = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80), AfterValidator(_check_printable)
]
JobId = Annotated[str, AfterValidator(_check_job_id)]
ReferenceName = Annotated[
    str, StringConstraints(max_length=80), AfterValidator(_check_printable), AfterValidator(_check_said)
]
ReferenceId = Annotated[str, StringConstraints(max_length=80), AfterValidator(_check_printable)]
