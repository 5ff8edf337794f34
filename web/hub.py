"""One reader of what happens, many listeners: a page that is open costs no thread and no connection to the server.

    hub = Hub(store, messages, closing)
    listener = hub.listen(job_id, after_id="1764-0")    # to a job; hub.listen() to the list
    listener.take()                  # the messages that it has not been told yet; waits for nothing
    for message in listener: ...     # the same, waiting for more
    listener.close()

A listener holds no messages, only its position among those that its topic keeps (``topics``): whoever takes nothing
costs nothing, and goes on where it was. The hub's thread lives while somebody listens: it waits at the stream of
changes, then reads the streams of those jobs alone that are listened to.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator

from keepfit.shared.errors import StoreRefused, StoreUnavailable
from keepfit.shared.store import Store, StoredChange
from keepfit.web.messages import BACK, NOTHING_NEW, OPENING, Message, Messages, paused
from keepfit.web.topics import JobTopic, ListTopic, Position, Topic

MOST_LISTENERS = 1000
"""Some connections must stay free for the pages; ``web.serve`` may lower it."""
BEAT_S = 1.0
"""How often the moving parts of a page are told, whatever happens; what a stopping process may have to wait for."""
GAP_S = 0.04
"""The least time between two rounds: what happens within it is told together."""

log = logging.getLogger(__name__)


class TooManyListeners(Exception):
    """There are as many listeners as there may be."""


class Listener:
    """One open stream. Its messages are taken by one thread at a time."""

    def __init__(self, hub: "Hub", topic: Topic, language: str) -> None:
        self.topic, self.language = topic, language
        self.told: Position | None = None
        """What it was told last; None while it is to hear what comes from now on, and nobody knows where that is."""
        self.more, self.ended = False, False
        """Whether there is more to take at once; whether nothing will come any more."""
        self._hub, self._opened, self._seen = hub, False, 0
        self._rung = threading.Event()
        self.ring: Callable[[], None] = self._rung.set
        """Called when there is something to take."""

    def take(self) -> list[bytes]:
        """The next messages."""
        self.ended = self.ended or self._hub.closing.is_set()
        if self.ended:
            return []
        found = [] if self._opened else [OPENING]
        self._opened = True
        topic = self.topic
        heard: list[Message] = []
        if (told := self.told or topic.last) is not None:
            heard, self.told = topic.after(told) or topic.missed(told)
        with topic.lock:
            self.more = bool(heard and self.told and topic.last and self.told < topic.last)
            if not self.more and self._seen != topic.looks:
                heard, self._seen, self.ended = [*heard, *topic.look], topic.looks, topic.gone
        return [message.said(self.language) for message in (*found, *heard)]

    def __iter__(self) -> Iterator[bytes]:
        while not self.ended:
            self._rung.clear()
            yield from self.take()
            if not self.more and not self.ended:
                self._rung.wait(BEAT_S)

    def close(self) -> None:
        """Listen no more."""
        self.ended = True
        self._hub.leave(self)


class Hub:
    """The one reader, and everybody who listens."""

    def __init__(self, store: Store, messages: Messages, closing: threading.Event) -> None:
        self.closing = closing
        self.most = MOST_LISTENERS
        self._events, self._messages = store.events, messages
        self._lock = threading.Lock()
        self._list = ListTopic()
        self._jobs: dict[str, JobTopic] = {}
        self._listeners: dict[Topic, set[Listener]] = {}
        self._thread: threading.Thread | None = None
        self._last = ""
        """Up to where the stream of changes was read; empty while nobody knows where that is."""
        self._away = False
        self._beat_at = 0.0

    def listen(self, job_id: str = "", *, after_id: str = "", language: str = "en") -> Listener:
        """A listener to a job, or to the list, from now on or after an event. Raises TooManyListeners."""
        with self._lock:
            if sum(map(len, self._listeners.values())) >= self.most:
                raise TooManyListeners
            topic: Topic = self._list
            if job_id:
                topic = self._jobs.setdefault(job_id, JobTopic(job_id, self._events, self._messages))
            listener = Listener(self, topic, language)
            self._listeners.setdefault(topic, set()).add(listener)
        if isinstance(topic, JobTopic):
            topic.begin()
            listener.told = topic.told_up_to(after_id) if after_id else None
        listener.told = listener.told or topic.last
        with self._lock:
            if self._thread is None and not self.closing.is_set():
                self._thread = threading.Thread(target=self._run, name="hub", daemon=True)
                self._thread.start()
        return listener

    def leave(self, listener: Listener) -> None:
        """Forget a listener, and its topic if nobody else listens. May be called again."""
        topic = listener.topic
        with self._lock:
            others = self._listeners.get(topic, set())
            others.discard(listener)
            if not others:
                self._listeners.pop(topic, None)
                if isinstance(topic, JobTopic) and self._jobs.get(topic.job_id) is topic:
                    del self._jobs[topic.job_id]

    def ring_all(self) -> None:
        """Tell everybody that there is something to take: the end, when the process stops."""
        with self._lock:
            topics = list(self._listeners)
        self._ring(topics)

    def _run(self) -> None:
        self._last, self._beat_at = "", 0.0
        while self._is_wanted():
            try:
                self._round()
            except Exception:
                log.exception("the live pages stumbled, and go on")
            self.closing.wait(GAP_S)
        if self.closing.is_set():
            self.ring_all()

    def _is_wanted(self) -> bool:
        with self._lock:
            wanted = bool(self._listeners) and not self.closing.is_set()
            if not wanted:
                self._thread = None
        return wanted

    def _round(self) -> None:
        """Hear what has happened, see what there is to be seen, and tell those who listen to it."""
        changes = self._hear()
        beat = time.monotonic() >= self._beat_at
        with self._lock:
            begun = {job_id: topic for job_id, topic in self._jobs.items() if topic.begun}
        named = begun if beat else {each.job_id for each in changes} & begun.keys()
        jobs = [begun[job_id] for job_id in named]
        moved = self._take_in(jobs)
        self._see(jobs if beat else moved)
        self._list.take_in(changes)
        if beat:
            self._beat_at = time.monotonic() + BEAT_S
            self._list.show((paused(),) if self._away else (NOTHING_NEW,))
        self._ring([*jobs, self._list] if beat or changes else jobs)

    def _hear(self) -> list[StoredChange]:
        """The changes since the last time; waits for one until the next beat."""
        try:
            if not self._last:
                self._last = self._events.last_change_id()
                self._beat_at = 0.0  # whatever came before is not among the changes: every stream is read
                if self._away:
                    self._come_back()
            changes = self._events.read_all(after_id=self._last, block_ms=self._until_beat_ms() or None)
        except (StoreUnavailable, StoreRefused) as exc:
            self._last = ""
            if isinstance(exc, StoreUnavailable) and not self._away:
                self._away, self._beat_at = True, 0.0
            self.closing.wait(self._until_beat_ms() / 1000)
            return []
        self._last = changes[-1].id if changes else self._last
        return changes

    def _until_beat_ms(self) -> int:
        return max(0, round((self._beat_at - time.monotonic()) * 1000))

    def _come_back(self) -> None:
        """The server answers again. Raises StoreUnavailable, StoreRefused."""
        with self._lock:
            jobs = list(self._jobs.values())
        for topic in jobs:
            topic.find()
        self._away = False
        self._list.say(BACK)

    def _take_in(self, jobs: Iterable[JobTopic]) -> list[JobTopic]:
        """Read what has happened to these jobs. Those that show another state now."""
        positions = {}
        for topic in jobs:
            with contextlib.suppress(StoreUnavailable, StoreRefused):
                positions[topic.job_id] = topic.last_id()
        try:
            news = self._events.read_of(positions)
        except StoreUnavailable:
            return []
        except StoreRefused:  # the key of one is damaged, which costs that one
            news = {}
            for job_id, after in positions.items():
                with contextlib.suppress(StoreUnavailable, StoreRefused):
                    news |= self._events.read_of({job_id: after})
        return [topic for topic in jobs if topic.job_id in news and topic.take_in(*news[topic.job_id])]

    def _see(self, jobs: Collection[JobTopic]) -> None:
        looks = self._messages.looks([topic.job_id for topic in jobs])
        for topic in jobs:
            if topic.job_id in looks:
                topic.show(looks[topic.job_id])

    def _ring(self, topics: Iterable[Topic]) -> None:
        with self._lock:
            listeners = [listener for topic in topics for listener in self._listeners.get(topic, ())]
        for listener in listeners:
            try:
                listener.ring()
            except Exception:
                log.exception("a listener could not be told")
                listener.close()
