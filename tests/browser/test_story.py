"""The story that Keepfit is about, as a person lives it in a browser."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Service
from tests.harness.processes import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]

OPENED_ELSEWHERE = Path(__file__).with_name("opened_elsewhere.py")
LONG_MS = 180_000
"""Training on a busy machine takes what it takes."""


def submit(page: Page, service: Service, name: str, **fields: str) -> None:
    """Fill the form and press the button; the browser is on the job's page afterwards."""
    page.goto(f"{service.url}/jobs/new")
    page.get_by_label("Name").fill(name)
    if model := fields.pop("model", ""):
        page.get_by_label(model).check()
    for label, value in fields.items():
        page.get_by_label(label.replace("_", " ").capitalize()).fill(value)
    page.get_by_role("button", name="Start training").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(name)


def state(page: Page) -> str:
    """The job's state, as the page says it."""
    return page.locator("[data-bind=label]").inner_text()


def test_train_kill_recover_evaluate_download(page: Page, service: Service, pictures: Path, tmp_path: Path) -> None:
    """Fill the form, watch it train, kill its worker, see it recover, read the accuracy, evaluate, open the model."""
    submit(page, service, "Digits, killed once", model="Small CNN", epochs="25", checkpoint_interval="1")

    watch_it_train(page)
    page.get_by_role("button", name="Kill this worker").click()
    see_it_recover(page)
    accuracy = read_the_result(page)
    page.set_viewport_size({"width": 1280, "height": 1010})
    page.screenshot(path=pictures / "job.png")
    evaluate(page, accuracy)
    assert open_elsewhere(page, tmp_path) == accuracy


def watch_it_train(page: Page) -> None:
    """Without a reload: the state, the epoch, the numbers and the curves come by themselves."""
    expect(page.locator("[data-bind=label]")).to_have_text("Running", timeout=LONG_MS)
    expect(page.locator("[data-bind=epoch]")).to_have_text(re.compile(r"^[4-9] of 25"), timeout=LONG_MS)
    expect(page.locator("[data-bind=primary]")).to_have_text(re.compile(r"^0\.\d{4}$"))
    expect(page.locator("[data-bind=heartbeat]")).to_have_text(re.compile(r"s ago$"))
    expect(page.locator("#chart-loss canvas")).to_be_visible()
    expect(page.locator("#log")).to_contain_text("epoch 2:")
    expect(page.locator("[data-bind=checkpoint]")).to_have_text(re.compile(r"^step [\d,]+$"))


def see_it_recover(page: Page) -> None:
    """The page says in words what happened, and goes on from the checkpoint, exactly."""
    expect(page.locator("[data-part=recovered]")).to_contain_text("Recovered:", timeout=LONG_MS)
    expect(page.locator("[data-part=recovered]")).to_contain_text(re.compile(r"attempt 2 went on from step [\d,]+"))
    rows = page.locator("[data-part=attempts] tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.nth(0)).to_contain_text("exact")
    expect(rows.nth(1)).to_contain_text("was killed")


def read_the_result(page: Page) -> str:
    """At the end there are accuracy, loss, exactness and downloads."""
    expect(page.locator("[data-bind=label]")).to_have_text("Succeeded", timeout=LONG_MS)
    expect(page.locator("#test-primary")).to_have_text(re.compile(r"^9\d\.\d\d\s%$"))
    expect(page.get_by_text("Exact: the same bits as uninterrupted")).to_be_visible()
    return page.locator("#test-primary").inner_text()


def evaluate(page: Page, accuracy: str) -> None:
    """An evaluation is a job of its own, listed here with the same result on the same data."""
    page.get_by_role("button", name="Evaluate").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Evaluation of Digits, killed once")
    expect(page.locator("#test-primary")).to_have_text(accuracy, timeout=LONG_MS)
    page.get_by_role("link", name="Digits, killed once").click()
    expect(page.locator("#evaluations tbody tr")).to_contain_text(accuracy)


def open_elsewhere(page: Page, tmp_path: Path) -> str:
    """The accuracy that plain Keras, in a process that has not heard of Keepfit, gives the downloaded model."""
    with page.expect_download() as download:
        page.get_by_role("link", name="Download model.keras").click()
    assert download.value.suggested_filename == "digits-killed-once.keras"
    target = tmp_path / download.value.suggested_filename
    download.value.save_as(target)
    command = [sys.executable, str(OPENED_ELSEWHERE), str(target), str(ROOT / "worker/data/builtin/mnist-5k.npz")]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    return f"{float(ran.stdout.split()[0]) * 100:.2f}\N{NO-BREAK SPACE}%"


def test_pause_and_resume(page: Page, service: Service) -> None:
    """The buttons do what they say, and the page follows."""
    submit(page, service, "Paused for lunch", model="Small CNN", epochs="12", checkpoint_interval="1")
    expect(page.locator("[data-bind=epoch]")).to_have_text(re.compile(r"^[2-9] of 12"), timeout=LONG_MS)

    page.get_by_role("button", name="Pause").click()
    expect(page.locator("[data-bind=label]")).to_have_text("Paused", timeout=LONG_MS)
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("[data-bind=label]")).to_have_text("Succeeded", timeout=LONG_MS)

    rows = page.locator("[data-part=attempts] tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.nth(1)).to_contain_text("Stopped with a checkpoint")
