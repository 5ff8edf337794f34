"""What is drawn and shown can be read: labels of large numbers, a single point, a page whose server is gone."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Complaints, Desk

pytestmark = pytest.mark.browser

NOTE_WHAT_IS_DRAWN = """
  window.drawn = [];
  const { fillText } = CanvasRenderingContext2D.prototype;
  CanvasRenderingContext2D.prototype.fillText = function (text, x, y, ...rest) {
    const width = this.measureText(text).width;
    const left = x - ({ right: width, end: width, center: width / 2 }[this.textAlign] ?? 0);
    window.drawn.push([String(text), left + this.getTransform().e]);
    return fillText.call(this, text, x, y, ...rest);
  };
"""


@pytest.mark.parametrize("loss", [4e-5, 0.4, 123.5, 250_000.0, 7e12])
def test_no_label_of_an_axis_is_cut(page: Page, desk: Desk, loss: float) -> None:
    """However large or small the numbers are, each label begins within its chart."""
    run = desk.claim(desk.submit("wide numbers"))
    for epoch in range(3):
        run.end_epoch(epoch, loss=loss / (epoch + 1), val_loss=loss)
    page.add_init_script(NOTE_WHAT_IS_DRAWN)

    page.goto(f"{desk.url}/jobs/{run.claim.job_id}")
    expect(page.locator("#chart-loss canvas")).to_be_visible()
    page.wait_for_function("window.drawn.some(([text]) => text === 'epoch')")

    drawn: list[Any] = page.evaluate("window.drawn")
    assert [text for text, left in drawn if left < 0] == []
    assert max(len(text) for text, _ in drawn) <= len("attempt 1")


def test_a_single_point_is_seen(page: Page, desk: Desk) -> None:
    """A line of one point is none: empty axes would say that there is nothing."""
    run = desk.claim(desk.submit("just begun"))
    page.goto(f"{desk.url}/jobs/{run.claim.job_id}")
    expect(page.locator("#chart-loss.blank")).to_be_visible()

    run.progress(20)
    expect(page.locator("#chart-loss canvas")).to_be_visible()

    teal = "((d) => [0, 1, 2].every((i) => Math.abs(d[i] - [15, 118, 110][i]) < 8) && d[3] > 200)"
    page.wait_for_function(
        f"""() => {{
          const canvas = document.querySelector("#chart-loss canvas");
          const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
          for (let at = 0; at < data.length; at += 4) if ({teal}(data.subarray(at, at + 4))) return true;
          return false;
        }}"""
    )


def test_a_page_without_its_server_keeps_its_contrast(page: Page, desk: Desk, complaints: Complaints) -> None:
    """It is marked as last known by its colours and borders, not by fading what must be read."""
    run = desk.claim(desk.submit("read on"))
    run.progress(339)
    page.goto(f"{desk.url}/jobs/{run.claim.job_id}")
    expect(page.locator("[data-bind=label]")).to_be_visible()

    desk.close()
    expect(page.locator("body.lost")).to_be_visible()

    faded = """[...document.querySelectorAll("main *")].filter(
      (element) => !element.closest("button") && getComputedStyle(element).opacity !== "1").length"""
    assert page.evaluate(faded) == 0
    complaints.said.clear()
