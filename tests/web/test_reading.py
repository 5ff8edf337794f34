"""Reading from a store that may be away, and what is remembered of it."""

import pytest
import redis

from shared.errors import StoreUnavailable
from shared.settings import Settings
from shared.states import Outcome
from shared.store import Store, open_store
from tests.processes import free_port
from tests.web.acting import Actor
from web.endings import Endings
from web.reading import JobReader


def test_a_server_that_is_away_is_not_asked_for_everything(settings: Settings) -> None:
    """After one failure the next questions of the same page are answered at once."""
    asked = []
    reader = JobReader(settings.jobs_dir, open_store(f"redis://127.0.0.1:{free_port()}/0"))

    def question(store: Store) -> None:
        asked.append("once")
        store.ping()

    for _ in range(5):
        with pytest.raises(StoreUnavailable):
            reader.ask(question)

    assert asked == ["once"]


def test_the_reasons_of_endings_are_read_once_and_kept(
    store: Store, submitted: str, actor: Actor, valkey_url: str
) -> None:
    """Each attempt's reason is known, the later ones too, and a wipe does not make them forgotten."""
    endings = Endings(store)
    actor.claim(submitted).end(Outcome.INTERRUPTED, "the worker was killed")
    first = endings.of(submitted)
    actor.claim(submitted).end(Outcome.INTERRUPTED, "no word from its worker for 3 s")
    second = endings.of(submitted)
    with redis.Redis.from_url(valkey_url) as server:
        server.flushall()

    assert first == {1: "the worker was killed"}
    assert second == {1: "the worker was killed", 2: "no word from its worker for 3 s"}
    assert endings.of(submitted) == second
