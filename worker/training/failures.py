"""Why an attempt failed, in words for the person who submitted the job. Tracebacks go to the log."""

import re

import tensorflow as tf

from shared.errors import KeepfitError

_LONGEST = 500
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def reason_of(exc: BaseException) -> str:
    """What went wrong, without a traceback."""
    if isinstance(exc, KeepfitError):
        return str(exc)
    if isinstance(exc, MemoryError | tf.errors.ResourceExhaustedError):
        return "Out of memory: the model and its batches do not fit. A smaller batch size needs less."
    if isinstance(exc, ValueError | tf.errors.InvalidArgumentError):
        return f"Keras refused: {_first_lines(exc)}"
    return f"Unexpected {type(exc).__name__}: {_first_lines(exc)} (the log of this attempt has the details)"


def is_expected(exc: BaseException) -> bool:
    """Whether the reason says all, so that the log needs no traceback."""
    return isinstance(exc, KeepfitError | MemoryError | tf.errors.ResourceExhaustedError)


def _first_lines(exc: BaseException) -> str:
    plain = _COLOURS.sub("", str(exc))
    text = " ".join(plain.split("\n\nArguments received")[0].split())  # what follows is for programmers
    return text if len(text) <= _LONGEST else text[:_LONGEST] + " ..."
