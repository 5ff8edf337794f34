"""Waiting for a condition in a test, instead of sleeping for a guessed time."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class StillWaiting(AssertionError):
    """The condition did not come true in time; the message says which, and what was seen last."""


def wait_until(predicate: Callable[[], T], description: str, timeout_s: float = 30, poll_s: float = 0.05) -> T:
    """Ask ``predicate`` until its answer is true and return that answer.

    Raises:
        StillWaiting: it was not true within ``timeout_s``.
    """
    deadline = time.monotonic() + timeout_s
    while not (answer := predicate()):
        if time.monotonic() > deadline:
            raise StillWaiting(f"not within {timeout_s:g} s: {description} (last answer: {answer!r})")
        time.sleep(poll_s)
    return answer
