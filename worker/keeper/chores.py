"""What a chore of the keeper is, the clock that all of them go by, and who runs in one tick.

    class Sweep(Chore):
        name = "sweep"
        def tick(self) -> None: ...

A chore does one thing, a little of it each tick, and keeps what it must remember to itself. It says by its name what
could not be done ("the keeper could not sweep, and goes on"). Time comes from the ``Clock`` that it was given.
"""

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Protocol

from keepfit.shared.store import Running, Store


class Clock(Protocol):
    """Tells the time, and lets it pass."""

    def monotonic(self) -> float:
        """Seconds that never go back."""

    def wall(self) -> float:
        """Seconds since 1970, as files have them; a person may set them."""

    def wait(self, ended: threading.Event, seconds: float) -> None:
        """Let so many seconds pass; return earlier when ``ended`` is set."""


class RealClock:
    """That of this machine."""

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    def wall(self) -> float:
        """Seconds since 1970."""
        return time.time()

    def wait(self, ended: threading.Event, seconds: float) -> None:
        """Let so many seconds pass; return earlier when ``ended`` is set."""
        ended.wait(seconds)


REAL: Clock = RealClock()


class RollCall:
    """Who runs: asked of the server once in a tick, for all chores, when the first of them needs it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._running: Sequence[Running] | None = None

    def begin(self) -> None:
        """A tick begins: what was answered is old."""
        self._running = None

    @property
    def running(self) -> Sequence[Running]:
        """Every attempt that the server holds for running. Raises StoreUnavailable, StoreRefused."""
        if self._running is None:
            self._running = self._store.leases.running()
        return self._running


class Chore(ABC):
    """Part of a keeper."""

    name: ClassVar[str]

    @abstractmethod
    def tick(self) -> None:
        """Do a little of it; called several times a second. Raises StoreUnavailable where the server is away."""

    def note_outage(self) -> None:  # noqa: B027 - most chores forget nothing
        """The server was away: whatever was concluded from its silence, or before it, holds no longer."""
