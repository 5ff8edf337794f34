"""The browser's Back: it leads to where one came from, and nothing that was typed is lost."""

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Complaints, Desk

pytestmark = pytest.mark.browser


def test_actions_add_nothing_to_go_back_through(page: Page, desk: Desk) -> None:
    """After a drill, a pause, a resume and a cancel one step back is the list."""
    run = desk.claim(desk.submit("acted on"))
    run.progress(339)
    page.goto(desk.url)
    page.get_by_role("link", name="acted on").click()
    expect(page.locator("[data-bind=label]")).to_have_text("Running")
    page.wait_for_load_state()  # a button pressed before its script is there is an ordinary form, and an entry
    entries = page.evaluate("history.length")

    page.get_by_role("button", name="Kill this worker").click()
    expect(page.get_by_text("The worker was told to die")).to_be_visible()
    expect(page.locator("[data-bind=headline]")).to_contain_text("Its worker was told to die")
    expect(page.get_by_role("button", name="Kill this worker")).to_have_count(0)
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("[data-bind=label]")).to_have_text("Pausing")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("[data-bind=label]")).to_have_text("Cancelling")

    assert page.evaluate("history.length") == entries
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("Jobs")


def test_an_action_that_is_refused_says_why_on_the_page(page: Page, desk: Desk, complaints: Complaints) -> None:
    """The page was behind the job; and where the session has ended, that is said."""
    run = desk.claim(desk.submit("too late"))
    page.goto(f"{desk.url}/jobs/{run.claim.job_id}")
    page.context.clear_cookies()

    page.get_by_role("button", name="Pause").click()

    expect(page.locator(".flash")).to_contain_text("This form was opened in another session.")
    assert "403" in complaints.said.pop()


def test_going_back_to_the_form_keeps_what_was_typed(page: Page, desk: Desk, complaints: Complaints) -> None:
    """A second run with one changed number is one press of Back and one change away, after a mistake too."""
    page.goto(f"{desk.url}/jobs/new")
    page.get_by_label("Name").fill("typed once")
    page.get_by_label("Epochs").fill("ten")
    page.get_by_label("Fashion-MNIST").check()
    page.get_by_role("button", name="Start training").click()
    expect(page.get_by_label("Epochs")).to_be_focused()
    page.get_by_label("Epochs").fill("12")
    page.get_by_role("button", name="Start training").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("typed once")

    page.go_back()
    expect(page.get_by_label("Name")).to_have_value("typed once")
    expect(page.get_by_label("Epochs")).to_have_value("12")
    expect(page.get_by_label("Fashion-MNIST")).to_be_checked()
    page.get_by_label("Seed").fill("2")
    page.get_by_role("button", name="Start training").click()
    expect(page.get_by_text("Waiting to start")).to_be_visible()

    assert httpx.get(f"{desk.url}/api/v1/jobs").json()["total"] == 2
    page.goto(f"{desk.url}/jobs/new")
    expect(page.get_by_label("Name")).to_have_value("")
    assert "422" in complaints.said.pop()
