"""Fixtures for the web side: the application on a real server, a client, and someone who acts as a worker."""

from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient

from keepfit.shared.settings import Settings
from keepfit.shared.store import Store
from keepfit.web.app import create_app
from tests.harness.processes import free_port
from tests.web.acting import Actor

SPEC = {"name": "first", "training": {"epochs": 10, "batch_size": 32}}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings with drills on, as `make run` has them."""
    return settings.model_copy(update={"drills": True})


def closed(app: Flask) -> None:
    """End what an application has begun."""
    desk = app.extensions["keepfit"]
    desk.closing.set()
    desk.feeder.join()


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    """The application."""
    app = create_app(settings)
    yield app
    closed(app)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A browser without JavaScript, so to speak."""
    return app.test_client()


@pytest.fixture
def stranded(settings: Settings) -> Iterator[FlaskClient]:
    """A client of the same data directory whose queue server does not answer."""
    nowhere = f"redis://127.0.0.1:{free_port()}/0"
    app = create_app(settings.model_copy(update={"redis_url": nowhere}))
    yield app.test_client()
    closed(app)


@pytest.fixture
def actor(settings: Settings, store: Store) -> Actor:
    """Acts as a worker."""
    return Actor(settings, store)


@pytest.fixture
def submitted(client: FlaskClient) -> str:
    """The id of a job that was just submitted."""
    answer = client.post("/api/v1/jobs", json=SPEC)
    assert answer.status_code == 201
    return str(answer.get_json()["id"])


@pytest.fixture
def finished(submitted: str, actor: Actor) -> str:
    """The id of a job that has succeeded in one attempt."""
    run = actor.claim(submitted)
    run.start()
    run.progress(113)
    run.end_epoch(0)
    run.finish()
    return submitted


@pytest.fixture
def token(client: FlaskClient) -> Callable[[], str]:
    """Fetches a form token for this client's session."""

    def fetch() -> str:
        page = client.get("/jobs/new").text
        return page.split('name="csrf_token" type="hidden" value="')[1].split('"')[0]

    return fetch
