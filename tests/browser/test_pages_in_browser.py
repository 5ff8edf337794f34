"""The pages in a real browser: double clicks, the live list, small screens, dark mode, a queue server that is away."""

import re
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from keepfit.shared.jobs.states import Outcome
from keepfit.web.hub import MOST_LISTENERS
from keepfit.web.words.wording import NOTHING, OUTAGE
from tests.browser.conftest import PHONE, Complaints, Desk

pytestmark = pytest.mark.browser


def test_a_double_click_makes_one_job(page: Page, desk: Desk) -> None:
    """Two presses, one job, and the browser is on its page."""
    page.goto(f"{desk.url}/jobs/new")
    page.get_by_label("Name").fill("clicked twice")

    page.get_by_role("button", name="Start training").dblclick()

    expect(page.get_by_role("heading", level=1)).to_have_text("clicked twice")
    assert httpx.get(f"{desk.url}/api/v1/jobs").json()["total"] == 1


def test_what_was_typed_is_kept_and_the_mistake_is_focused(page: Page, desk: Desk) -> None:
    """The reason is at the field, the field has the cursor, the rest is as it was."""
    page.goto(f"{desk.url}/jobs/new")
    page.get_by_label("Name").fill("mistyped")
    page.get_by_label("Epochs").fill("ten")
    page.get_by_label("Fashion-MNIST").check()

    page.get_by_role("button", name="Start training").click()

    expect(page.get_by_text("Must be a whole number.")).to_be_visible()
    expect(page.get_by_label("Epochs")).to_be_focused()
    expect(page.get_by_label("Epochs")).to_have_value("ten")
    expect(page.get_by_label("Name")).to_have_value("mistyped")
    expect(page.get_by_label("Fashion-MNIST")).to_be_checked()


@pytest.fixture
def complaints(complaints: Complaints) -> Iterator[Complaints]:
    """Here a refused form and an absent server are provoked; the browser reports them as failed requests."""
    yield complaints
    provoked = ("Failed to load resource: the server responded with a status of 422", "Failed to load resource: net::")
    complaints.said = [said for said in complaints.said if not said.startswith(provoked)]


def test_the_list_is_live(page: Page, desk: Desk) -> None:
    """New jobs, their progress and their end appear without a reload."""
    page.goto(desk.url)
    expect(page.get_by_text("No jobs yet")).to_be_visible()

    job_id = desk.submit("seen at once")
    expect(page.get_by_role("link", name="seen at once")).to_be_visible()
    expect(page.get_by_text("Queued")).to_be_visible()
    run = desk.claim(job_id)
    run.progress(565, accuracy=0.9)
    expect(page.get_by_text("50 %")).to_be_visible()
    expect(page.get_by_text("90.00\N{NO-BREAK SPACE}%")).to_be_visible()
    run.finish(accuracy=0.9512)
    expect(page.get_by_text("Succeeded")).to_be_visible()
    expect(page.get_by_text("95.12\N{NO-BREAK SPACE}%")).to_be_visible()


def test_the_job_page_follows_its_stream(page: Page, desk: Desk) -> None:
    """Numbers, curves, log lines and the end arrive on the open page."""
    job_id = desk.submit("watched")
    page.goto(f"{desk.url}/jobs/{job_id}")
    expect(page.locator("[data-bind=headline]")).to_have_text("Waiting to start: no worker is alive.")

    run = desk.claim(job_id)
    run.progress(226, loss=0.321, accuracy=0.91)
    expect(page.locator("[data-bind=loss]")).to_have_text("0.3210")
    expect(page.locator("[data-bind=batch]")).to_have_text("0 of 113")
    run.log("a line that a person reads")
    expect(page.locator("#log")).to_contain_text("a line that a person reads")
    run.finish()
    expect(page.locator("[data-bind=label]")).to_have_text("Succeeded")
    expect(page.get_by_role("link", name="Download weights.h5")).to_be_visible()


def test_without_the_queue_server_the_page_says_so_and_comes_back(page: Page, desk: Desk) -> None:
    """Live updates pause with a reason, the content stays, and all goes on when the server is back."""
    job_id = desk.submit("patient")
    run = desk.claim(job_id)
    run.progress(113, accuracy=0.7)
    page.goto(f"{desk.url}/jobs/{job_id}")
    expect(page.locator("[data-bind=primary]")).to_have_text("0.7000")

    desk.valkey.stop()
    expect(page.locator("#notice")).to_have_text(OUTAGE)
    expect(page.locator("[data-bind=primary]")).to_have_text("0.7000")
    page.goto(desk.url)
    expect(page.locator("#notice")).to_have_text(OUTAGE)
    expect(page.get_by_role("link", name="patient")).to_be_visible()

    desk.valkey.start()
    expect(page.locator("#notice")).to_be_hidden()


def test_a_page_outlives_a_restart_of_the_web_server(page: Page, desk: Desk) -> None:
    """It says that nobody answers, and follows the job again when somebody does."""
    job_id = desk.submit("outlived")
    page.goto(f"{desk.url}/jobs/{job_id}")
    expect(page.locator("[data-bind=label]")).to_have_text("Queued")

    desk.close()
    expect(page.locator("#notice")).to_contain_text("the web server does not answer")
    run = desk.claim(job_id)
    run.progress(339, accuracy=0.8123)
    desk.open()

    expect(page.locator("[data-bind=primary]")).to_have_text("0.8123")
    expect(page.locator("#notice")).to_be_hidden()


def test_a_page_whose_curves_did_not_come_is_live(page: Page, desk: Desk, complaints: Complaints) -> None:
    """The server went while the page was opened: the page follows its job, and draws when it can."""
    run = desk.claim(desk.submit("half a page"))
    run.end_epoch(0)
    page.route("**/history", lambda route: route.abort(), times=1)
    page.goto(f"{desk.url}/jobs/{run.claim.job_id}")
    run.progress(339, accuracy=0.8123)

    expect(page.locator("[data-bind=primary]")).to_have_text("0.8123")
    run.end(Outcome.FAILED, "the loss is not a number", {"outcome": "failed"})
    expect(page.locator("[data-bind=label]")).to_have_text("Failed")
    expect(page.locator("#chart-loss.blank")).to_have_count(0)
    assert all("ERR_FAILED" in said for said in complaints.said)
    complaints.said.clear()


def test_without_the_web_server_nothing_looks_live(page: Page, desk: Desk) -> None:
    """Heartbeat, speed and time left are blank, the rest is marked as last known, the buttons wait."""
    run = desk.claim(desk.submit("forsaken"))
    run.progress(339, accuracy=0.8123)
    page.goto(f"{desk.url}/jobs/{run.claim.job_id}")
    expect(page.locator("[data-bind=heartbeat]")).to_contain_text("s ago")
    expect(page.locator("[data-bind=speed]")).to_have_text("900 steps/s")

    desk.close()
    expect(page.locator("#notice")).to_contain_text("This page shows what was last known.")
    for figure in ("heartbeat", "speed", "time_left"):
        expect(page.locator(f"[data-bind={figure}]")).to_have_text(NOTHING)
    expect(page.locator("[data-bind=primary]")).to_have_text("0.8123")
    expect(page.locator("body.lost")).to_be_visible()
    expect(page.get_by_role("button", name="Pause")).to_be_disabled()
    expect(page).to_have_title("forsaken · Keepfit")
    run.end(Outcome.FAILED, "the loss is not a number", {"outcome": "failed"})
    desk.open()

    expect(page.locator("body.lost")).to_have_count(0)
    expect(page.locator("[data-bind=label]")).to_have_text("Failed")
    expect(page.get_by_role("button", name="Try again")).to_be_enabled()


def test_a_page_that_gets_no_stream_is_still_of_use(page: Page, desk: Desk, complaints: Complaints) -> None:
    """Where too many pages are open, one more is fetched again and again, and its buttons work."""
    job_id = desk.submit("one too many")
    with ExitStack() as others:
        client = others.enter_context(httpx.Client(limits=httpx.Limits(max_connections=None), timeout=30))
        for _ in range(MOST_LISTENERS):
            others.enter_context(client.stream("GET", f"{desk.url}/api/v1/events"))
        page.goto(f"{desk.url}/jobs/{job_id}")
        expect(page.locator("#notice")).to_have_text("Live updates are paused. Trying again.")
        desk.claim(job_id).progress(339)

        expect(page.locator("[data-bind=label]")).to_have_text(re.compile("Running|Stalled"))
        expect(page.locator("body.lost")).to_have_count(0)
        expect(page.get_by_role("button", name="Pause")).to_be_enabled()
    complaints.said = [said for said in complaints.said if "503" not in said]


def test_what_was_said_goes_when_the_job_has_moved_on(page: Page, desk: Desk) -> None:
    """The answer to a press is of that moment; afterwards the headline tells the story."""
    run = desk.claim(desk.submit("drilled"))
    run.progress(339)
    page.goto(f"{desk.url}/jobs/{run.claim.job_id}")
    said = page.get_by_text("The worker was told to die")

    page.get_by_role("button", name="Kill this worker").click()
    expect(said).to_be_visible()
    run.end(Outcome.INTERRUPTED, "the worker was killed")

    expect(page.locator("[data-bind=headline]")).to_contain_text("Recovering: the worker was killed")
    expect(said).to_have_count(0)


WHAT_WAS_SHOWN = """() => {
  window.shown = [];
  new MutationObserver(() => {
    const label = document.querySelector("[data-bind=label]").textContent;
    const buttons = [...document.querySelectorAll("[data-part=actions] button")].map((button) => button.textContent);
    const end = document.querySelector("[data-part=attempts] [data-label='How it ended']").textContent;
    window.shown.push([label, buttons.join(), end]);
  }).observe(document.body, { subtree: true, childList: true, characterData: true });
}"""


def test_state_buttons_and_table_change_together(page: Page, desk: Desk) -> None:
    """Whatever the page shows after any change of it, the badge, the buttons and the attempts are of one moment."""
    run = desk.claim(desk.submit("given up"))
    run.progress(339)
    job_url = f"{desk.url}/api/v1/jobs/{run.claim.job_id}"
    page.goto(f"{desk.url}/jobs/{run.claim.job_id}")
    expect(page.locator("[data-bind=heartbeat]")).to_contain_text("s ago")
    page.evaluate(WHAT_WAS_SHOWN)

    httpx.post(f"{job_url}/cancel", json={}).raise_for_status()
    expect(page.locator("[data-bind=label]")).to_have_text("Cancelling")
    run.end(Outcome.STOPPED, "cancelled by a person")
    expect(page.locator("[data-bind=label]")).to_have_text("Cancelled")
    expect(page.get_by_role("button", name="Resume")).to_be_visible()

    shown = {tuple(moment) for moment in page.evaluate("window.shown")}
    before = ("Running", "Pause,Cancel,Kill this worker", "running")
    stalled = {
        moment for moment in shown if moment[:2] == ("Stalled", "Pause,Cancel") and moment[2].startswith("no word")
    }
    assert shown - {before} - stalled == {
        ("Cancelling", "Kill this worker", "running"),
        ("Cancelled", "Resume", "Cancelled by a person at step 339"),
    }


def test_pages_fit_a_phone(desk: Desk, chromium: Browser) -> None:
    """At 360 pixels nothing has to be scrolled sideways."""
    done = desk.submit("a name that is quite long, as names of experiments are" + "x" * 20)
    running = desk.submit("runs")
    desk.claim(done).finish()
    desk.claim(running).progress(500)
    context = chromium.new_context(viewport=PHONE)
    page = context.new_page()

    for path in ("/", "/jobs/new", f"/jobs/{done}", f"/jobs/{running}", "/nothing"):
        page.goto(desk.url + path)
        expect(page.locator("main")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], path

    context.close()


def test_dark_mode_is_dark(desk: Desk, chromium: Browser) -> None:
    """The page follows the system's preference."""
    shades = {}
    for scheme in ("light", "dark"):
        context: BrowserContext = chromium.new_context(color_scheme=scheme)
        page = context.new_page()
        page.goto(desk.url)
        shades[scheme] = page.evaluate("getComputedStyle(document.body).backgroundColor")
        context.close()

    def brightness(shade: str) -> int:
        return sum(int(part) for part in shade.removeprefix("rgb(").removesuffix(")").split(","))

    assert brightness(shades["dark"]) < 200 < 600 < brightness(shades["light"])


def test_pages_work_without_javascript(desk: Desk, chromium: Browser) -> None:
    """State, form and buttons need none."""
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{desk.url}/jobs/new")
    page.get_by_label("Name").fill("by hand")

    page.get_by_role("button", name="Start training").click()
    expect(page.get_by_text("Waiting to start: no worker is alive.")).to_be_visible()
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("Paused by a person.")).to_be_visible()

    context.close()
