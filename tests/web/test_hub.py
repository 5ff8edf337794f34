"""One reader, many listeners: each is told everything once, in order, whoever is slow, comes late, or comes back."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import redis
from flask import Flask

from keepfit.shared.errors import StoreUnavailable
from keepfit.shared.settings import Settings
from keepfit.shared.store import Store, keys
from keepfit.web import topics
from keepfit.web.app import create_app
from keepfit.web.hub import Hub, Listener
from keepfit.web.messages import Message
from keepfit.web.words.catalogue import spoken
from keepfit.web.words.wording import OUTAGE
from tests.harness.processes import Valkey
from tests.harness.waiting import wait_until
from tests.web.acting import Actor, Run
from tests.web.conftest import closed

Heard = list[tuple[str, str, Any]]
LOOK_AGAIN = {"job_id": "", "type": "back"}


def read(messages: list[bytes]) -> Heard:
    """The kind, id and content of messages."""
    found = []
    for message in messages:
        fields = dict(line.split(": ", 1) for line in message.decode().strip().split("\n"))
        if "event" in fields:
            found.append((fields["event"], fields.get("id", ""), json.loads(fields["data"])))
    return found


class Ear:
    """A listener, and all that it has been told."""

    def __init__(self, listener: Listener) -> None:
        self.listener, self.heard = listener, Heard()

    def take(self) -> "Ear":
        """Take what there is, all of it."""
        while messages := read(self.listener.take()):
            self.heard += messages
        return self

    def ids(self) -> list[str]:
        """The ids of the events heard so far, once there is nothing more."""
        return [event_id for _, event_id, _ in self.take().heard if event_id]

    def has(self, kind: str) -> bool:
        """Whether it has heard a message of this kind."""
        return any(heard == kind for heard, _, _ in self.take().heard)


@pytest.fixture
def hub(app: Flask) -> Hub:
    """The hub of the application."""
    hub: Hub = app.extensions["keepfit"].hub
    return hub


@pytest.fixture
def run(submitted: str, actor: Actor) -> Run:
    """A running attempt of the job."""
    return actor.claim(submitted)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A topic keeps very few messages, and reads very few at a time."""
    monkeypatch.setattr(topics, "KEPT", 5)
    monkeypatch.setattr(topics, "TOGETHER", 3)


def ids_of(store: Store, job_id: str, after: str = "0") -> list[str]:
    """What the server has."""
    return [event.id for event in store.events.read(job_id, after_id=after, count=10_000)]


def serves(store: Store) -> bool:
    """Whether the server answers."""
    try:
        store.ping()
    except StoreUnavailable:
        return False
    return True


def test_whoever_comes_back_hears_the_rest_once(few: None, hub: Hub, store: Store, run: Run) -> None:
    """From any position, kept or not, while more happens, each event comes once and in order."""
    job_id = run.claim.job_id
    ears: dict[str, Ear] = {}
    for step in range(1, 40):
        run.progress(step)
        after = store.events.last_id(job_id)
        ears[after] = Ear(hub.listen(job_id, after_id=after))
        if step % 3:
            ears[after].take()
    late = {after: Ear(hub.listen(job_id, after_id=after)) for after in ["0", *ids_of(store, job_id)]}

    for after, ear in [*ears.items(), *late.items()]:
        wait_until(lambda: ear.ids() == ids_of(store, job_id, after), f"all after {after}")  # noqa: B023
        ear.listener.close()


def test_what_is_read_again_for_one_is_there_for_all(hub: Hub, store: Store, run: Run) -> None:
    """After a restart all pages come back at once: the server is asked, and each message is made, only once."""
    job_id = run.claim.job_id
    for step in range(1, 30):
        run.progress(step)
    ids = ids_of(store, job_id)
    first, second = Ear(hub.listen(job_id, after_id=ids[9])), Ear(hub.listen(job_id, after_id=ids[9]))

    told = [first.listener.take(), second.listener.take()]
    assert all(one is other for one, other in zip(*told, strict=True))
    assert [event_id for _, event_id, _ in read(told[0]) if event_id] == ids[10:]

    run.progress(30)
    wait_until(lambda: len(first.ids()) == 1, "more is heard")
    earlier = Ear(hub.listen(job_id, after_id=ids[4]))
    assert earlier.ids() == ids_of(store, job_id, ids[4])
    assert Ear(hub.listen(job_id, after_id=ids[4])).ids() == earlier.ids()


def test_one_who_takes_nothing_costs_nothing_and_misses_nothing(few: None, hub: Hub, store: Store, run: Run) -> None:
    """Others hear at once; what the slow one has missed is read from the server when it takes something again."""
    job_id = run.claim.job_id
    start = store.events.last_id(job_id)
    quick, slow = Ear(hub.listen(job_id, after_id=start)), Ear(hub.listen(job_id, after_id=start))
    for step in range(1, 60):
        run.progress(step)
        wait_until(lambda: len(quick.ids()) == step, "the quick one hears it")  # noqa: B023

    assert slow.ids() == quick.ids() == ids_of(store, job_id, start)


def test_what_is_to_be_seen_is_told_as_it_is_now(hub: Hub, run: Run) -> None:
    """Of the moving parts of a page only the latest counts: one who was slow is not told of each second."""
    slow = Ear(hub.listen(run.claim.job_id))
    looks = slow.listener.topic.looks
    wait_until(lambda: slow.listener.topic.looks > looks + 2, "some seconds have passed")

    assert [kind for kind, _, _ in slow.take().heard] == ["now"]


def test_a_message_is_made_once_for_each_language(hub: Hub, run: Run) -> None:
    """However many listen, they are given the very same bytes."""
    listeners = [hub.listen(run.claim.job_id, language=language) for language in ("en", "en", "ko", "ko")]
    for listener in listeners:
        listener.take()
    run.progress(100)
    wait_until(
        lambda: listeners[0].topic.after(listeners[0].told or (0, 0, 0)) != ([], listeners[0].told), "it is there"
    )

    told = [next(part for part in listener.take() if b"event: progress" in part) for listener in listeners]
    assert told[0] is told[1]
    assert told[2] is told[3]


def test_a_message_speaks_the_language_of_its_listener() -> None:
    """Its words are made when they are first asked for."""
    made = []

    def make() -> bytes:
        made.append(spoken())
        return spoken().encode()

    message = Message(make)

    assert [message.said(language) for language in ("ko", "en", "ko", "en")] == [b"ko", b"en", b"ko", b"en"]
    assert made == ["ko", "en"]


def test_a_list_that_was_not_looked_at_for_long_is_told_to_look_again(few: None, hub: Hub, app: Flask) -> None:
    """Not of each of the changes that it has missed."""
    ear = Ear(hub.listen())
    wait_until(lambda: ear.listener.topic.looks, "it listens")
    ear.take()
    ids = [app.test_client().post("/api/v1/jobs", json={"name": "new"}).get_json()["id"] for _ in range(8)]
    other = Ear(hub.listen())
    wait_until(lambda: (other.listener.topic.last or (0, 0, 0))[1] >= len(ids), "the hub has heard of them")
    wait_until(lambda: ear.has("change"), "it is told")

    assert ear.heard[0][2] == LOOK_AGAIN


def test_a_job_that_was_removed_ends_its_streams(hub: Hub, settings: Settings, store: Store, submitted: str) -> None:
    """The page is told that there is nothing any more."""
    ear = Ear(hub.listen(submitted))
    ear.take()
    shutil.rmtree(settings.jobs_dir / submitted)
    store.upkeep.forget(submitted)

    wait_until(lambda: ear.has("gone"), "it is told")
    assert ear.listener.ended
    assert ear.listener.take() == []


def test_a_damaged_stream_costs_no_other(hub: Hub, store: Store, app: Flask, actor: Actor) -> None:
    """Where something else is in the place of one job's events, the others are told theirs."""
    ids = [app.test_client().post("/api/v1/jobs", json={"name": "one"}).get_json()["id"] for _ in range(2)]
    ears = [Ear(hub.listen(job_id)) for job_id in ids]
    store.link.ask(lambda r: (r.delete(keys.events(ids[0])), r.set(keys.events(ids[0]), "no stream")))

    actor.claim(ids[1]).progress(7)

    wait_until(lambda: ears[1].has("progress"), "the other hears it")
    assert ears[0].take().listener.ended is False
    store.link.ask(lambda r: r.delete(keys.events(ids[0])))


def test_an_outage_is_told_and_nothing_is_lost_or_told_twice(settings: Settings, tmp_path: Path) -> None:
    """A server that comes back with what it had is followed on; a list is told to look again."""
    with Valkey(tmp_path / "own") as server:
        given = settings.model_copy(update={"redis_url": server.url})
        app = create_app(given)
        desk = app.extensions["keepfit"]
        job_id = app.test_client().post("/api/v1/jobs", json={"name": "outlives"}).get_json()["id"]
        run = Actor(given, desk.store).claim(job_id)
        start = desk.store.events.last_id(job_id)
        ear, listed = Ear(desk.hub.listen(job_id, after_id=start)), Ear(desk.hub.listen())
        run.progress(1)
        wait_until(lambda: len(ear.ids()) == 1, "it listens")

        server.stop()
        wait_until(lambda: ear.has("paused") and listed.has("paused"), "both are told")
        server.start()
        wait_until(lambda: serves(desk.store), "the server has read what it had")
        run.progress(2)
        run.progress(3)

        wait_until(lambda: len(ear.ids()) == 3, "it goes on")
        wait_until(
            lambda: ("change", "", {"job_id": "", "type": "back"}) in listed.take().heard, "the list looks again"
        )
        wait_until(lambda: ear.take().heard[-1][2].get("live"), "it is live again")
        assert ear.ids() == ids_of(desk.store, job_id, start)
        assert next(content for kind, _, content in ear.heard if kind == "paused") == {"message": OUTAGE}
        closed(app)


def test_a_wiped_server_whose_clock_is_behind(settings: Settings, tmp_path: Path) -> None:
    """Its ids are lower than those that were told; what it says is new all the same, also to one who comes back."""
    with Valkey(tmp_path / "own") as server:
        app = create_app(settings.model_copy(update={"redis_url": server.url}))
        desk = app.extensions["keepfit"]
        job_id = app.test_client().post("/api/v1/jobs", json={"name": "wiped"}).get_json()["id"]
        ear = Ear(desk.hub.listen(job_id, after_id="0"))
        before = ear.ids()
        server.stop()
        wait_until(lambda: ear.has("paused"), "it is told")
        shutil.rmtree(tmp_path / "own")
        server.start()
        wait_until(lambda: serves(desk.store), "the server answers")
        with redis.Redis.from_url(server.url) as client:
            for number in (1, 2, 3):
                entry = {"type": "log", "attempt": "1", "data": json.dumps({"text": f"line {number}"})}
                client.xadd(keys.events(job_id), entry, id=f"{number}-1")

        wait_until(lambda: len(ear.ids()) > len(before) + 2, "it hears of it")
        again = Ear(desk.hub.listen(job_id, after_id=before[-1]))
        assert before
        assert ear.ids() == [*before, "1-1", "2-1", "3-1"]
        wait_until(lambda: again.ids() == ["1-1", "2-1", "3-1"], "so does it")
        closed(app)


def test_who_leaves_is_forgotten(hub: Hub, app: Flask, submitted: str) -> None:
    """Its place is free, its topic is dropped with the last listener, and the reader ends when nobody listens."""
    hub.most = 3
    client = app.test_client()
    for _ in range(5):
        client.head(f"/api/v1/jobs/{submitted}/events").close()
        listeners = [hub.listen(submitted), hub.listen(submitted), hub.listen()]
        for listener in [*listeners, listeners[0]]:
            listener.close()

    assert hub._jobs == {}
    wait_until(lambda: hub._thread is None, "the reader has ended")
