"""What one can listen to: a job, or the list of all. A topic keeps its latest messages for everyone who listens.

    topic.add(at, message)
    topic.after(told)          # what one who was told up to there has not heard; None if that is not kept any more
    topic.missed(told)         # then: from the server (a job), or in one word (the list)

A position is the id of an entry in the server's stream as numbers, after the era of that stream: a server that was
wiped begins its streams anew, perhaps by a clock that is behind.
"""

import contextlib
import threading
from collections import deque
from collections.abc import Iterable

from keepfit.shared.errors import StoreRefused, StoreUnavailable
from keepfit.shared.jobs.events import StateChanged, WishChanged
from keepfit.shared.store import EventLog, StoredChange, StoredEvent
from keepfit.web.messages import BACK, GONE, NOTHING_NEW, Message, Messages, change

KEPT = 500
"""Messages that a topic keeps."""
TOGETHER = 100
"""Messages that are told, or read from the server, in one go: what a slow reader may hold."""

Position = tuple[int, int, int]
Missed = tuple[list[Message], Position]
"""Messages, and the position that they lead to."""


class Topic:
    """The latest messages, and what there is to be seen just now."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.era = 0
        self.start: Position | None = None
        """All that came after it is kept. None while the server has not said where its stream is."""
        self.last: Position | None = None
        """Up to where the stream was read."""
        self.look: tuple[Message, ...] = (NOTHING_NEW,)
        """What there is to be seen just now: told to each listener whenever it is another one."""
        self.looks, self.gone = 0, False
        self._kept: deque[tuple[Position, Message]] = deque()

    def _keep_from(self, at: Position) -> None:
        with self.lock:
            self._kept.clear()
            self.era, self.start, self.last = at[0], at, at

    def add(self, at: Position, message: Message) -> None:
        """Keep one more message."""
        with self.lock:
            self._kept.append((at, message))
            self.last = at
            if len(self._kept) > KEPT:
                self.start, _ = self._kept.popleft()

    def show(self, look: tuple[Message, ...] | None) -> None:
        """Have this seen from now on; None: there is nothing any more."""
        with self.lock:
            self.look, self.gone = (GONE,) if look is None else look, look is None
            self.looks += 1

    def after(self, told: Position) -> Missed | None:
        """What came next after ``told``; None if that is not kept."""
        with self.lock:
            if self.start is None or self.last is None:
                return [], told
            if told < self.start:
                return None
            found = []
            for at, message in reversed(self._kept):
                if at <= told:
                    break
                found.append((at, message))
            some = found[: -TOGETHER - 1 : -1]
            reached = self.last if len(some) == len(found) else some[-1][0]
            return [message for _, message in some], max(told, reached)

    def missed(self, told: Position) -> Missed:
        """What is told to one for whom not all is kept: that there is much."""
        return [BACK], self.last or told


class ListTopic(Topic):
    """That something has happened to some job. Its messages are only counted."""

    def __init__(self) -> None:
        super().__init__()
        self._keep_from((0, 0, 0))

    def take_in(self, changes: Iterable[StoredChange]) -> None:
        """Keep what has happened: the same to the same job once."""
        for job_id, event_type in dict.fromkeys((each.job_id, each.event_type) for each in changes):
            self.say(change(job_id, event_type))

    def say(self, message: Message) -> None:
        """Keep one more message."""
        _, number, _ = self.last or (0, 0, 0)
        self.add((0, number + 1, 0), message)


class JobTopic(Topic):
    """What happens to one job."""

    def __init__(self, job_id: str, events: EventLog, messages: Messages) -> None:
        super().__init__()
        self.job_id, self._events, self._messages = job_id, events, messages
        self.begun = False
        self._beginning, self._catching_up = threading.Lock(), threading.Lock()

    def begin(self) -> None:
        """Find out where the job is, once: its first listener does, and the others wait for that."""
        with self._beginning:
            if not self.begun:
                with contextlib.suppress(StoreUnavailable, StoreRefused):
                    self.find()
                self.show(self._messages.looks([self.job_id]).get(self.job_id, ()))
                self.begun = True

    def find(self) -> None:
        """Find out where the stream is, at first or after an outage. Raises StoreUnavailable, StoreRefused."""
        newest = self.position(self._events.last_id(self.job_id))
        if self.last is None:
            self._keep_from(newest)
        elif newest < self.last:  # the server was wiped, and its clock may be behind: all that it has is new
            self._keep_from((self.era + 1, 0, 0))

    def last_id(self) -> str:
        """The id up to which the stream was read. Raises StoreUnavailable, StoreRefused."""
        if self.last is None:
            self.find()
        return self._id_of(self.last or (0, 0, 0))

    def take_in(self, events: Iterable[StoredEvent], last: str) -> bool:
        """Keep new events. Whether the job shows another state now."""
        moved = False
        for event in events:
            at = self.position(event.id)
            if self.last is None or at > self.last:
                self.add(at, self._messages.of_event(event))
                moved = moved or isinstance(event.event, StateChanged | WishChanged)
        with self.lock:
            self.last = max(self.last or (0, 0, 0), self.position(last))
        return moved

    def told_up_to(self, event_id: str) -> Position:
        """The position of one who was told up to ``event_id``, perhaps by a server that was wiped since."""
        told = self.position(event_id)
        try:
            if self.last is None or told <= self.last or told <= self.position(self._events.last_id(self.job_id)):
                return told
        except (StoreUnavailable, StoreRefused):
            return told
        return self.era - 1, *told[1:]

    def missed(self, told: Position) -> Missed:
        """Read it from the server, once for all who need it."""
        with self._catching_up:
            if (kept := self.after(told)) is not None:  # somebody else has just read it
                return kept
            start = self.start or told
            try:
                found = self._events.read(self.job_id, after_id=self._id_of(told), count=TOGETHER)
            except (StoreUnavailable, StoreRefused):
                return [], told
            if not found:  # the server has not kept it either
                return [], start
            entries = [(self.position(event.id), self._messages.of_event(event)) for event in found]
            self._keep_too(told, entries)
            return [message for _, message in entries], entries[-1][0]

    def _keep_too(self, told: Position, entries: list[tuple[Position, Message]]) -> None:
        """Keep what was read for one who came late, if there is room: others will come."""
        with self.lock:
            start = self.start or told
            older = [entry for entry in entries if entry[0] <= start]
            if entries[-1][0] >= start and len(self._kept) + len(older) <= KEPT:
                self._kept.extendleft(reversed(older))
                self.start = told

    def position(self, event_id: str) -> Position:
        """The position of an event of this era."""
        number, _, place = event_id.partition("-")
        return self.era, int(number), int(place or 0)

    def _id_of(self, told: Position) -> str:
        era, number, place = told
        return f"{number}-{place}" if era == self.era else "0"
