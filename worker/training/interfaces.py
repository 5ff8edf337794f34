"""The two small interfaces through which training talks to the world, and versions that need no service.

    reporter, stop = Silent(), StopSignal()
    reporter.report(event)
    stop.is_set()

Training reports events and asks whether to stop; it does not know who listens or who asks.
"""

import threading
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from keepfit.shared.jobs.events import Event
from keepfit.shared.jobs.states import Outcome
from keepfit.shared.reasons import NONE, Reason


class Reporter(Protocol):
    """Takes what happens. Must return at once and never raise: training does not wait for listeners."""

    def report(self, event: Event) -> None:
        """Take one event."""


class Silent:
    """A reporter that nobody listens to."""

    def report(self, event: Event) -> None:
        """Drop the event."""


class StopReason(StrEnum):
    """Why training should stop at the next chunk."""

    WISH = "wish"
    """A person paused or cancelled: write a checkpoint first."""
    DRAIN = "drain"
    """The worker shuts down: write a checkpoint first."""
    LOST = "lost"
    """The lease is another's: stop without writing anything more."""


class StopSignal:
    """A request to stop, set from another thread or a signal handler, read between chunks."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.reason: StopReason | None = None

    def set(self, reason: StopReason) -> None:
        """Ask to stop. LOST overrides an earlier reason; nothing overrides LOST."""
        if self.reason is not StopReason.LOST:
            self.reason = reason
        self._event.set()

    def is_set(self) -> bool:
        """Whether training should stop."""
        return self._event.is_set()


@dataclass(frozen=True)
class AttemptResult:
    """How an attempt ended; the content of ``result.json``."""

    outcome: Outcome
    reason: Reason = NONE
    metrics: dict[str, float] = field(default_factory=dict)
    """Final test metrics: loss, accuracy."""
    weights_sha256: str = ""
    step: int = 0
    extra: dict[str, Any] = field(default_factory=dict)
