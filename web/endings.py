"""Why attempts ended, as the jobs' streams tell it: an attempt that was killed could not write it down itself.

    endings.of(job_id)      # {1: "the worker was killed"}

What was read once is remembered, so that a page costs only what is new in the stream. Raises
StoreUnavailable as the store does.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass, field

from shared.events import StateChanged
from shared.store import Store

REMEMBERED = 256
"""Jobs whose endings are kept in memory; the others are read again when asked for."""
AT_ONCE = 5000


@dataclass
class _Known:
    after: str = "0"
    reasons: dict[int, str] = field(default_factory=dict)


class Endings:
    """Reads each stream once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, job_id: str) -> dict[int, str]:
        """The reason of each attempt's end, by its number, where the stream says so."""
        with self._lock:
            known = self._known.pop(job_id, None) or _Known()
            self._known[job_id] = known
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        after = known.after
        while events := self._store.events.read(job_id, after=after, count=AT_ONCE):
            after = events[-1].id
            for stored in events:
                if isinstance(stored.event, StateChanged) and stored.event.outcome:
                    known.reasons[stored.event.attempt] = stored.event.reason
        known.after = after
        return dict(known.reasons)
