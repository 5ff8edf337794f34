"""Priority: moved by a person, kept on disk, in effect at once and after a wipe."""

import threading

import pytest
import redis
from flask.testing import FlaskClient

from shared.jobdir import open_jobdir
from shared.settings import Settings
from shared.spec import parse_spec
from shared.store import Store
from web.actions import Actions
from web.reading import JobReader
from web.reminder import Reminder


@pytest.fixture
def queue(settings: Settings, store: Store) -> list[str]:
    """Two queued jobs, the older one first."""
    actions = Actions(settings, store, JobReader(settings.jobs_dir, store), Reminder(store, threading.Event()))
    return [actions.submit(parse_spec({"name": name})).jobdir.id for name in ("first", "second")]


def test_a_higher_priority_goes_first(client: FlaskClient, store: Store, queue: list[str]) -> None:
    """The API moves a queued job to the front."""
    answer = client.post(f"/api/v1/jobs/{queue[1]}/priority", json={"priority": 5})

    claim = store.leases.claim("worker", "", 60)

    assert answer.status_code == 200
    assert claim
    assert claim.job_id == queue[1]


def test_a_priority_survives_a_wipe(
    client: FlaskClient, settings: Settings, store: Store, queue: list[str], valkey_url: str
) -> None:
    """It is on disk beside the wish, and pausing does not lose it."""
    client.post(f"/api/v1/jobs/{queue[1]}/priority", json={"priority": 5})
    client.post(f"/api/v1/jobs/{queue[1]}/pause", json={})
    client.post(f"/api/v1/jobs/{queue[1]}/resume", json={})
    with redis.Redis.from_url(valkey_url) as server:
        server.flushall()

    store.jobs.create(open_jobdir(settings.jobs_dir, queue[1]))

    assert store.jobs.get(queue[1]).priority == 5


@pytest.mark.parametrize("wrong", [10, -10, 1.5, "5", True, None])
def test_a_wrong_priority_is_a_message(client: FlaskClient, queue: list[str], wrong: object) -> None:
    """It says what a priority may be."""
    answer = client.post(f"/api/v1/jobs/{queue[0]}/priority", json={"priority": wrong})

    assert answer.status_code == 422
    assert "from -9 to 9" in answer.get_data(as_text=True)


def test_an_ended_job_has_no_place_in_the_queue(client: FlaskClient, queue: list[str]) -> None:
    """A cancelled job cannot be moved."""
    client.post(f"/api/v1/jobs/{queue[0]}/cancel", json={})

    answer = client.post(f"/api/v1/jobs/{queue[0]}/priority", json={"priority": 1})

    assert answer.status_code == 409
