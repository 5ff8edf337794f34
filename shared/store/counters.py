"""What has happened so far, counted by the scripts themselves: it survives every process, but no wipe.

    store.counters.read()["recoveries"]

| name                  | counts                                                              |
|-----------------------|---------------------------------------------------------------------|
| recoveries            | attempts begun after one that was interrupted                       |
| interrupted:<cause>   | attempts that were interrupted, by ``states.Cause``                 |
| ended:<state>         | jobs that came to an end: succeeded, failed, cancelled              |
"""

from keepfit.shared.jobs.states import ENDS, Cause
from keepfit.shared.store import keys
from keepfit.shared.store.link import Link

NAMES = (
    "recoveries",
    *(f"interrupted:{cause.value}" for cause in Cause),
    *(f"ended:{state.value}" for state in sorted(ENDS)),
)


class Counters:
    """The totals."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def read(self) -> dict[str, int]:
        """Every counter, 0 for what has not happened. Raises StoreUnavailable, StoreRefused."""
        raw = self._link.ask(lambda r: r.hgetall(keys.COUNTERS))
        return {name: int(count) if (count := raw.get(name, "0")).isdigit() else 0 for name in NAMES}
