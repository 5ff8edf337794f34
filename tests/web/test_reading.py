"""Reading from a store that may be away, and what is remembered of it."""

import pytest
import redis

from keepfit.shared.errors import StoreUnavailable
from keepfit.shared.jobs.directory import open_jobdir
from keepfit.shared.jobs.states import JobState, Outcome
from keepfit.shared.settings import Settings
from keepfit.shared.store import Store, keys
from keepfit.web.desk import open_desk
from keepfit.web.jobs.history import read_history
from tests.harness.processes import free_port
from tests.web.acting import Actor


def test_a_server_that_is_away_is_not_asked_for_everything(settings: Settings) -> None:
    """After one failure the next questions of the same page are answered at once."""
    asked = []
    reader = open_desk(settings.model_copy(update={"redis_url": f"redis://127.0.0.1:{free_port()}/0"})).reader

    def question(store: Store) -> None:
        asked.append("once")
        store.ping()

    for _ in range(5):
        with pytest.raises(StoreUnavailable):
            reader.ask(question)

    assert asked == ["once"]


def test_why_attempts_ended_is_known_from_the_disk(
    settings: Settings, submitted: str, actor: Actor, valkey_url: str
) -> None:
    """A killed attempt could not write down its end; the one after it did, and a wipe does not make it forgotten."""
    actor.claim(submitted).end(Outcome.INTERRUPTED, "the worker was killed")
    actor.claim(submitted).end(Outcome.INTERRUPTED, "no word from its worker for 3 s")
    actor.claim(submitted)
    with redis.Redis.from_url(valkey_url) as server:
        server.flushall()

    attempts = read_history(open_jobdir(settings.jobs_dir, submitted)).attempts

    ended = ["", "the worker was killed", "no word from its worker for 3 s"]
    assert [str(a.previous_end) for a in attempts] == ended


def test_a_damaged_record_is_read_from_the_directory(settings: Settings, submitted: str, store: Store) -> None:
    """Whatever the server's record of a job holds, its page and the API say what the directory says."""
    harm = {"state": "banana", "progress": '["x"]'}
    store.link.ask(lambda r: r.hset(keys.job(submitted), mapping=harm))

    seen = open_desk(settings).reader.get(submitted)

    assert seen.record.state is JobState.QUEUED
    assert seen.notice
