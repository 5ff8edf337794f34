"""What is no finite number never leaves the web side as bare NaN, which browsers and other readers refuse."""

import json
import math
from typing import Any

from flask.testing import FlaskClient

from keepfit.shared.jobs.directory import open_jobdir
from keepfit.shared.settings import Settings
from tests.web.acting import Actor

ROW_OF_0_1 = (
    '{"type":"epoch","ms":1,"epoch":1,"step":226,"logs":{"loss":NaN,"accuracy":0.1,"val_loss":Infinity},"seconds":0.1}'
)


def strict(text: str) -> Any:
    """``text`` as a reader takes it that knows no NaN."""

    def refuse(word: str) -> None:
        raise AssertionError(f"bare {word}")

    return json.loads(text, parse_constant=refuse)


def test_numbers_that_are_none_are_null_in_the_api(
    client: FlaskClient, submitted: str, actor: Actor, settings: Settings
) -> None:
    """In the record, in the history (also of rows as version 0.1 wrote them) and on the page."""
    run = actor.claim(submitted)
    run.start()
    run.end_epoch(0)
    run.progress(200, loss=math.nan, accuracy=-math.inf)
    metrics = open_jobdir(settings.jobs_dir, submitted).attempt_dirs()[0].metrics
    metrics.write_text(metrics.read_text() + ROW_OF_0_1 + "\n")

    record = strict(client.get(f"/api/v1/jobs/{submitted}").text)
    history = strict(client.get(f"/api/v1/jobs/{submitted}/history").text)
    page = client.get(f"/jobs/{submitted}")

    assert record["progress"]["logs"] == {"loss": None, "accuracy": None}
    assert history["epochs"][-1] | {"step": 226} == {
        "step": 226, "epoch": 2.0, "loss": None, "accuracy": 0.1, "val_loss": None,
    }  # fmt: skip
    assert page.status_code == 200
