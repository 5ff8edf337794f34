"""Fixtures for the web side: the application on a real server, a client, and someone who acts as a worker."""

import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx
import pytest
from flask import Flask
from flask.testing import FlaskClient

from keepfit.shared.settings import Settings
from keepfit.shared.store import Store
from keepfit.web.app import create_app
from tests.harness.processes import Household, Part, environment_of, free_port
from tests.harness.waiting import wait_until
from tests.web.acting import Actor

WEB = ("-m", "keepfit.web.serve")
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


@dataclass
class Web:
    """A web side in its own process."""

    part: Part
    port: int
    host: str = "127.0.0.1"

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    def health(self) -> httpx.Response | None:
        """The answer, if there is one soon."""
        try:
            return httpx.get(f"{self.url}/health", timeout=3)
        except httpx.TransportError:
            return None

    def connect(self, sent: bytes = b"") -> socket.socket:
        """A connection on which ``sent`` was sent."""
        connection = socket.create_connection((self.host, self.port), timeout=10)
        connection.sendall(sent)
        return connection


@pytest.fixture
def start(household: Household, settings: Settings) -> Callable[..., Web]:
    """Starts a web side of this test's data directory."""

    def started(host: str = "127.0.0.1", limits: str = "", **given: object) -> Web:
        port = free_port()
        asked = settings.model_copy(update={"port": port, "host": host, "drills": False, **given})
        shell = ["sh", "-c", f'ulimit {limits}; exec "$@"', "sh"] if limits else []
        command = [*shell, sys.executable, *WEB]
        reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        web = Web(household.start(command, environment_of(asked)), port, reached)
        wait_until(lambda: web.health() or not web.part.running(), "the web side answers", poll_s=0.02)
        return web

    return started


@pytest.fixture
def web(start: Callable[..., Web]) -> Web:
    """One web side."""
    return start()


@pytest.fixture
def held() -> Iterator[list[socket.socket]]:
    """Connections that are closed at the end."""
    connections: list[socket.socket] = []
    yield connections
    for connection in connections:
        connection.close()
