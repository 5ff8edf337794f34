"""The web side was cut off from the queue server alone: no keeper has noticed, so it passes things on itself."""

from collections.abc import Iterator

import pytest
import redis
from flask.testing import FlaskClient

from keepfit.shared.jobs.states import JobState
from keepfit.shared.settings import Settings
from keepfit.shared.store import Store
from keepfit.web.app import create_app
from tests.chaos.proxy import Proxy
from tests.harness.waiting import wait_until
from tests.web.conftest import SPEC


@pytest.fixture
def line(settings: Settings) -> Iterator[Proxy]:
    """The line between the web side and the server."""
    proxy = Proxy(int(settings.broker_url.split(":")[2].split("/")[0])).start()
    yield proxy
    proxy.close()


@pytest.fixture
def behind_line(settings: Settings, line: Proxy) -> FlaskClient:
    """A client of an application that reaches the server over ``line``."""
    url = f"redis://127.0.0.1:{line.port}/0"
    return create_app(settings.model_copy(update={"redis_url": url})).test_client()


def test_a_submit_and_a_wish_are_passed_on_when_the_line_is_back(
    behind_line: FlaskClient, line: Proxy, store: Store
) -> None:
    """Accepted while it was cut; queued and then paused as soon as it is not."""
    line.reset()
    accepted = behind_line.post("/api/v1/jobs", json=SPEC)
    job_id = accepted.get_json()["id"]
    paused = behind_line.post(f"/api/v1/jobs/{job_id}/pause", json={})

    line.heal()
    wait_until(lambda: store.jobs.count() == 1, "the server has heard of the job")
    wait_until(lambda: store.jobs.get(job_id).state is JobState.PAUSED, "it has heard of the wish")

    assert (accepted.status_code, paused.status_code) == (202, 202)


def test_a_repeated_submit_after_a_wipe_does_not_queue_what_is_over(
    client: FlaskClient, settings: Settings, store: Store
) -> None:
    """The same key is the same job, in the state that its directory says."""
    headers = {"Idempotency-Key": "mine"}
    job_id = client.post("/api/v1/jobs", json=SPEC, headers=headers).get_json()["id"]
    client.post(f"/api/v1/jobs/{job_id}/cancel", json={})
    redis.Redis.from_url(settings.broker_url).flushall()

    client.post("/api/v1/jobs", json=SPEC, headers=headers)

    assert store.jobs.get(job_id).state is JobState.CANCELLED
