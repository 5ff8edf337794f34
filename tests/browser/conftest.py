"""A real Chromium in front of the real service: `keepfit up`, started once for all browser tests."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, ViewportSize, sync_playwright

from keepfit.shared.settings import Settings
from keepfit.shared.store import Store, open_store
from tests.harness.processes import ROOT, Household, Part, Valkey, environment_of, free_port
from tests.harness.waiting import wait_until
from tests.web.acting import Actor, Run

PICTURES = ROOT / ("docs/images" if os.environ.get("KEEPFIT_SCREENSHOTS") else "tests/output")
"""Where screenshots go; into the documentation only when asked to."""

WIDE: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 360, "height": 740}


@dataclass
class Desk:
    """A web server alone, on a queue server of its own; the test acts as the worker."""

    household: Household
    valkey: Valkey
    settings: Settings
    store: Store
    web: Part | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.settings.port}"

    def open(self) -> None:
        """Start the web server and wait until it answers."""
        command = [sys.executable, "-m", "keepfit.web.serve"]
        self.web = self.household.start(command, environment_of(self.settings))
        wait_until(lambda: _answers(self.url), "the web server answers")

    def close(self) -> None:
        """Stop the web server."""
        assert self.web is not None
        self.web.stop()

    def submit(self, name: str) -> str:
        """The id of a new job."""
        answer = httpx.post(f"{self.url}/api/v1/jobs", json={"name": name})
        return str(answer.raise_for_status().json()["id"])

    def claim(self, job_id: str) -> Run:
        """An attempt of the job, begun."""
        run = Actor(self.settings, self.store).claim(job_id)
        run.start()
        return run


@pytest.fixture
def desk(household: Household, tmp_path: Path, data_dir: Path) -> Iterator[Desk]:
    """The web side and its queue server."""
    with Valkey(tmp_path / "valkey") as valkey:
        settings = Settings(data_dir=data_dir, redis_url=valkey.url, port=free_port(), drills=True)
        store = open_store(settings.broker_url)
        desk = Desk(household, valkey, settings, store)
        desk.open()
        yield desk
        store.close()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health").status_code == 200
    except httpx.TransportError:
        return False


@dataclass(frozen=True)
class Service:
    """A running `keepfit up`."""

    url: str
    data_dir: Path


@dataclass
class Complaints:
    """What the browser has complained about: script errors, broken policies, failed requests."""

    said: list[str] = field(default_factory=list)

    def listen(self, page: Page) -> None:
        """Collect what ``page`` complains about from now on."""
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("console", self._console)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.said.append(message.text)


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service, ready, with drills on."""
    directory = tmp_path_factory.mktemp("browser")
    port, data_dir = free_port(), directory / "data"
    options = ["--data-dir", str(data_dir), "--port", str(port), "--redis-port", str(free_port()), "--drills"]
    with Household(directory / "household") as household:
        household.start_service(*options)
        yield Service(f"http://127.0.0.1:{port}", data_dir)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The browser, the one that `make test` finds or installs."""
    found = subprocess.run([ROOT / "requirements" / "chromium.sh"], capture_output=True, text=True, check=True)
    path = found.stdout.strip().splitlines()[-1]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def complaints() -> Iterator[Complaints]:
    """The browser must have nothing to complain about; a test that provokes errors clears them."""
    complaints = Complaints()
    yield complaints
    assert complaints.said == []


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    """A fresh profile."""
    context = chromium.new_context(viewport=WIDE, reduced_motion="reduce")
    context.set_default_timeout(30_000)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext, complaints: Complaints) -> Page:
    """A page of a fresh profile."""
    page = context.new_page()
    complaints.listen(page)
    return page


@pytest.fixture(scope="session")
def pictures() -> Path:
    """The folder for screenshots."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    return PICTURES
