"""How many steps one call of the engine runs: few enough to obey a stop at once, enough to be fast.

    pace.steps(limit)                    # how many to run now
    pace.record(steps, seconds)          # what that took

Pure; how steps are cut into calls never changes their results.
"""

TARGET_S = 0.2
FIRST_STEPS = 4
_GROWTH = 8
_WEIGHT = 0.5


class Pace:
    """The length of the next chunk, and the speed so far."""

    def __init__(self, chunk_steps: int | None = None) -> None:
        self._fixed = chunk_steps
        self._last = 0
        self.steps_per_s = 0.0

    def steps(self, limit: int) -> int:
        """Steps to run now, at most ``limit``."""
        if self._fixed:
            return min(limit, self._fixed)
        if not self.steps_per_s:
            return min(limit, FIRST_STEPS)
        wanted = min(int(self.steps_per_s * TARGET_S), self._last * _GROWTH)
        return max(1, min(limit, wanted))

    def record(self, steps: int, seconds: float) -> None:
        """Take note of one chunk. The first one is left out: it compiles."""
        if self._last:
            speed = steps / max(seconds, 1e-6)
            self.steps_per_s += (speed - self.steps_per_s) * (_WEIGHT if self.steps_per_s else 1.0)
        self._last = max(steps, FIRST_STEPS)
