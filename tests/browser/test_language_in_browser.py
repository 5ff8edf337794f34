"""A reader of Korean: pages and their live parts in Korean, the switch by keyboard and without scripts, nothing cut."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, expect

from tests.browser.conftest import PHONE, WIDE, Complaints, Desk

pytestmark = pytest.mark.browser


def reader(chromium: Browser, viewport: ViewportSize = WIDE, **more: object) -> BrowserContext:
    """The browser of somebody who reads Korean."""
    context = chromium.new_context(viewport=viewport, locale="ko-KR", reduced_motion="reduce", **more)  # type: ignore[arg-type]
    context.set_default_timeout(30_000)
    return context


@pytest.fixture
def korean(chromium: Browser, desk: Desk, complaints: Complaints) -> Iterator[Page]:
    """A page in that browser."""
    context = reader(chromium)
    page = context.new_page()
    complaints.listen(page)
    yield page
    context.close()


def test_what_the_stream_brings_is_korean_too(korean: Page, desk: Desk) -> None:
    """State, headline, buttons and what scripts say change in the page's language."""
    job_id = desk.submit("live")
    korean.goto(f"{desk.url}/jobs/{job_id}")
    expect(korean.locator("[data-bind=label]")).to_have_text("대기 중")

    run = desk.claim(job_id)
    expect(korean.locator("#action-drill")).to_have_text("이 워커 강제 종료")
    run.progress(20)

    expect(korean.locator("[data-bind=label]")).to_have_text("실행 중")
    expect(korean.locator("[data-bind=headline]")).to_have_text("학습 중입니다.")
    expect(korean.locator("[data-bind=epoch]")).to_have_text("10 중 1")
    korean.locator("#action-pause").click()
    expect(korean.locator("[data-bind=headline]")).to_have_text(
        "일시 정지하는 중입니다. 체크포인트를 남긴 뒤 멈춥니다."
    )


def test_a_page_without_its_server_says_so_in_korean(korean: Page, desk: Desk, complaints: Complaints) -> None:
    """These words come from the page itself: nobody is left to ask."""
    desk.claim(desk.submit("alone"))
    korean.goto(desk.url)
    expect(korean.locator(".job-row")).to_have_count(1)

    desk.close()

    expect(korean.locator("#notice")).to_contain_text("웹 서버가 응답하지 않습니다")
    complaints.said.clear()


def test_the_switch_works_by_keyboard(korean: Page, desk: Desk) -> None:
    """From the end of the page backwards; it leads back to where it was pressed, and the choice is kept."""
    korean.goto(f"{desk.url}/jobs/new")
    expect(korean.locator("html")).to_have_attribute("lang", "ko")
    expect(korean.get_by_role("button", name="한국어")).to_have_attribute("aria-current", "true")

    korean.get_by_role("button", name="English").focus()
    korean.keyboard.press("Enter")

    expect(korean.locator("h1")).to_have_text("New job")
    assert korean.url == f"{desk.url}/jobs/new"
    korean.goto(desk.url)
    expect(korean.locator("html")).to_have_attribute("lang", "en")


def test_the_switch_works_without_scripts(chromium: Browser, desk: Desk) -> None:
    """It is a form."""
    context = reader(chromium, java_script_enabled=False)
    page = context.new_page()
    page.goto(desk.url)

    page.get_by_role("button", name="English").click()

    expect(page.locator("h1")).to_have_text("Jobs")
    context.close()


@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_nothing_is_cut_in_korean(chromium: Browser, desk: Desk, viewport: ViewportSize) -> None:
    """List, form, a job, a wrong address: no page is wider than its window, no word is torn apart."""
    run = desk.claim(desk.submit("이름이 조금 긴 작업, 띄어쓰기까지 있는"))
    run.progress(339)
    run.end_epoch(0)
    context = reader(chromium, viewport)
    page = context.new_page()

    for path in ("/", "/jobs/new", f"/jobs/{run.claim.job_id}", "/nowhere"):
        page.goto(desk.url + path)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        assert page.evaluate("getComputedStyle(document.body).wordBreak") == "keep-all"
    context.close()
