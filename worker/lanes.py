"""When this worker takes kicks: while a slot is free, and beyond its slots only for a job of a short kind.

    LANES.may_take()                # asked by the consumer before each look at the task queue
    LANES.short_waits = True        # said by the keeper, four times a second while the slots are full

A training takes hours and an evaluation a second: so a worker has a process more than it has slots. Kicks do not say
what they are for; if a full worker took them all the same, it would take them from workers that have a slot free.
Which job a process may claim is decided by the server (``claim.lua``), where every lease is known.
"""

from celery.worker import state

from keepfit.shared.settings import get_settings


class Lanes:
    """What the processes of this worker may be used for."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self.short_waits = False
        """Whether a job of a short kind is ready while the slots are full."""

    def full(self) -> bool:
        """Whether there is an attempt, or a kick that may become one, for each slot."""
        return len(state.reserved_requests) >= self._slots

    def may_take(self) -> bool:
        """Whether a kick is of use here. Celery itself knows whether a process is free."""
        return self.short_waits or not self.full()


LANES = Lanes(get_settings().slots)
"""Of this worker. A module value because kombu and Celery make what asks it, not we."""
