"""A web side that takes the first row that it cannot read for the end of the file.

python -m tests.chaos.broken.stops_at_bad_row
"""

from keepfit.shared.jobs.events import Event
from keepfit.web.jobs import curves
from keepfit.web.serve import main

_honest = curves._Read.take
_ended = set[int]()


def _take(self: curves._Read, event: Event | None) -> None:
    if event is None:
        _ended.add(id(self))
    if id(self) not in _ended:
        _honest(self, event)


curves._Read.take = _take  # type: ignore[method-assign]

if __name__ == "__main__":
    main()
