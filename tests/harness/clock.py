"""A clock that stands still until a test lets time pass.

clock = HandClock()
clock.move(3.0)
"""

import threading


class HandClock:
    """Both times move together; nobody waits."""

    def __init__(self, wall: float = 2_000_000_000.0) -> None:
        self._monotonic, self._wall = 1_000.0, wall

    def move(self, seconds: float) -> None:
        """Let time pass."""
        self._monotonic += seconds
        self._wall += seconds

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return self._monotonic

    def wall(self) -> float:
        """Seconds since 1970."""
        return self._wall

    def wait(self, ended: threading.Event, seconds: float) -> None:
        """Time passes at once."""
        del ended
        self.move(seconds)
