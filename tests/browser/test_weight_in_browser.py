"""What an open page costs while its job trains: the stream alone, and no page again and again."""

import pytest
from playwright.sync_api import CDPSession, Page, expect

from keepfit.shared.jobs.events import CheckpointSaved
from tests.browser.conftest import Desk
from tests.web.acting import STEPS_AN_EPOCH

pytestmark = pytest.mark.browser

LONG, MORE = 500, 20
"""Epochs before the page is opened, and while it is open."""


class Traffic:
    """The bytes that come over the wire to a page, and what was asked for."""

    def __init__(self, session: CDPSession) -> None:
        self.asked: list[str] = []
        self._over: dict[str, int] = {}
        self._open: dict[str, int] = {}
        session.send("Network.enable")
        session.on("Network.requestWillBeSent", lambda event: self.asked.append(event["request"]["url"]))
        session.on("Network.dataReceived", self._came)
        session.on("Network.loadingFinished", self._ended)

    def _came(self, event: dict[str, int]) -> None:
        self._open[str(event["requestId"])] = self._open.get(str(event["requestId"]), 0) + event["dataLength"]

    def _ended(self, event: dict[str, int]) -> None:
        self._open.pop(str(event["requestId"]), None)
        self._over[str(event["requestId"])] = event["encodedDataLength"]

    @property
    def bytes(self) -> int:
        """All of them; of a stream, which does not end, what has come so far."""
        return sum(self._over.values()) + sum(self._open.values())


def test_a_page_of_a_long_job_is_cheap(page: Page, desk: Desk) -> None:
    """Twenty more epochs of a job of hundreds reach the open page, which is fetched once."""
    run = desk.claim(desk.submit("long"))
    for epoch in range(LONG):
        run.end_epoch(epoch)
        run.log(f"epoch {epoch + 1}: accuracy 0.9012 loss 0.4123 val_accuracy 0.8812 val_loss 0.4512")
    address = f"{desk.url}/jobs/{run.claim.job_id}"
    traffic = Traffic(page.context.new_cdp_session(page))
    page.goto(address)
    expect(page.locator("#chart-loss canvas")).to_be_visible()
    opened = traffic.bytes

    for epoch in range(LONG, LONG + MORE):
        run.progress((epoch + 1) * STEPS_AN_EPOCH - 1)
        run.end_epoch(epoch)
        expect(page.locator("#log li").last).to_contain_text(f"epoch {epoch + 1}: loss 0.4000, accuracy 0.9000")
        run.report(CheckpointSaved((epoch + 1) * STEPS_AN_EPOCH, epoch, 0, 1000, 0.1))
        run.log(f"epoch {epoch + 1}: a line that a person reads")
        expect(page.locator("#log li").last).to_contain_text(f"epoch {epoch + 1}: a line")
    expect(page.locator("[data-bind=checkpoint]")).to_contain_text(f"{(LONG + MORE) * STEPS_AN_EPOCH:,}")

    lines = page.locator("#log li").all_inner_texts()
    assert len(lines) == len(set(lines)) == 400
    # While nobody renews the lease of this attempt the page may find it stalled, once.
    assert traffic.asked.count(address) <= 2, traffic.asked
    assert opened < 100_000
    assert traffic.bytes - opened < 40_000
