"""Deleting a job in a real browser: asked first, the way back at hand, and gone from every open page."""

import re

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import PHONE, Complaints, Desk

pytestmark = pytest.mark.browser


def test_a_job_is_deleted_after_a_question(page: Page, desk: Desk) -> None:
    """The question has the focus, Keep it leads back, the list says what was done; by keyboard alone."""
    job_id = desk.submit("not needed")
    page.goto(f"{desk.url}/jobs/{job_id}")

    page.get_by_role("link", name="Delete…").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Delete “not needed” for good?")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Keep it")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{desk.url}/jobs/{job_id}")

    page.get_by_role("link", name="Delete…").click()
    page.get_by_role("button", name="Delete for good").click()
    expect(page.locator(".flash")).to_have_text(re.compile("The job was deleted. .* of space is free again."))
    expect(page.get_by_text("No jobs yet")).to_be_visible()


def test_a_job_that_runs_is_cancelled_with_it_and_no_script_is_needed(context: BrowserContext, desk: Desk) -> None:
    """One page, one button, and it says so; nothing is wider than a small screen."""
    browser = context.browser
    assert browser
    with browser.new_context(java_script_enabled=False, viewport=PHONE) as plain:
        page = plain.new_page()
        desk.claim(desk.submit("runs " + "and runs " * 8))
        page.goto(desk.url)
        page.get_by_role("link", name="runs").click()
        page.get_by_role("link", name="Delete…").click()

        expect(page.get_by_text("It is running now. Deleting it cancels it first.")).to_be_visible()
        page.get_by_role("button", name="Cancel and delete").click()

        expect(page.locator(".flash")).to_contain_text("The job was deleted.")
    assert httpx.get(f"{desk.url}/api/v1/jobs").json()["total"] == 0


def test_an_open_page_of_a_deleted_job_says_so(page: Page, desk: Desk, complaints: Complaints) -> None:
    """Somebody else has deleted it: the page comes to say what has become of the job, and leads on."""
    run = desk.claim(desk.submit("watched"))
    page.goto(f"{desk.url}/jobs/{run.claim.job_id}")
    expect(page.locator("[data-bind=label]")).to_have_text("Running")

    httpx.delete(f"{desk.url}/api/v1/jobs/{run.claim.job_id}?cancel=true").raise_for_status()

    expect(page.get_by_role("heading", level=1)).to_have_text("This job was deleted")
    page.get_by_role("link", name="To the jobs").click()
    expect(page.get_by_text("No jobs yet")).to_be_visible()
    assert complaints.said
    assert all("410" in said for said in complaints.said)
    complaints.said.clear()
