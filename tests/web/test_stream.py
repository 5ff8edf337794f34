"""The live streams: what they send, from where they go on, and that they end when they should."""

import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from keepfit.shared.jobs.events import CheckpointSaved, EpochEnded
from keepfit.shared.settings import Settings
from keepfit.shared.store import Store
from keepfit.web.app import create_app
from keepfit.web.hub import MOST_LISTENERS
from keepfit.web.words.wording import OUTAGE, REBUILDING
from tests.harness.processes import Household, Valkey, free_port
from tests.web.acting import Actor
from tests.web.conftest import closed

WEB = (sys.executable, "-m", "keepfit.web.serve")
Message = tuple[str, str, dict[str, Any]]


def messages(answer: TestResponse) -> Iterator[Message]:
    """The kind, id and content of each message of a stream."""
    for block in answer.response:
        text = block if isinstance(block, str) else block.decode()
        fields = dict(line.split(": ", 1) for line in text.strip().split("\n"))
        if "event" in fields:
            yield fields["event"], fields.get("id", ""), json.loads(fields["data"])


def until(answer: TestResponse, kind: str) -> list[Message]:
    """All messages up to the first of ``kind``, that one included; then the reader goes away."""
    found = []
    for message in messages(answer):
        found.append(message)
        if message[0] == kind:
            break
    answer.close()
    return found


def test_a_stream_begins_with_where_the_job_is(client: FlaskClient, submitted: str) -> None:
    """Without a position it sends the moving parts of the page at once."""
    answer = client.get(f"/api/v1/jobs/{submitted}/events")

    [(kind, event_id, view)] = until(answer, "now")
    assert answer.mimetype == "text/event-stream"
    assert (kind, event_id) == ("now", "")
    assert view["label"] == "Queued"
    assert view["live"] is True


def test_a_stream_goes_on_after_the_last_event_id(
    client: FlaskClient, store: Store, submitted: str, actor: Actor
) -> None:
    """Who comes back misses nothing and gets nothing twice."""
    run = actor.claim(submitted)
    run.start()
    seen = store.events.last_id(submitted)
    run.progress(100)
    run.log("a line")

    answer = client.get(f"/api/v1/jobs/{submitted}/events", headers={"Last-Event-ID": seen})

    events = until(answer, "now")[:-1]
    assert [kind for kind, _, _ in events] == ["progress", "log"]
    assert events[0][2]["step"] == 100
    assert events[1][1] == store.events.last_id(submitted)


def test_a_stream_says_what_the_log_says(client: FlaskClient, store: Store, submitted: str, actor: Actor) -> None:
    """An open page adds these lines to its log; they are the words that the file has."""
    run = actor.claim(submitted)
    after = store.events.last_id(submitted)
    run.start()
    run.end_epoch(0)
    run.report(CheckpointSaved(113, 1, 0, 1_200_000, 0.25))
    run.report(EpochEnded(1, 226, {"loss": None}, 0.5))  # type: ignore[dict-item] # what was not finite
    run.progress(100)
    run.log("a line")

    answer = client.get(f"/api/v1/jobs/{submitted}/events?after={after}")

    assert [content.get("line") for _, _, content in until(answer, "now")[:-1]] == [
        "attempt 1 starts from the beginning",
        "epoch 1: loss 0.4000, accuracy 0.9000, val_loss 0.4500, val_accuracy 0.8800 (0.40 s)",
        "checkpoint at step 113 (1.2 MB in 0.25 s)",
        "epoch 2: loss not a number (0.50 s)",
        None,
        "a line",
    ]


def test_a_stream_tells_the_whole_story_from_the_start(client: FlaskClient, finished: str) -> None:
    """Asked for everything, it sends every event in order, each with its id."""
    answer = client.get(f"/api/v1/jobs/{finished}/events?after=0")

    events = until(answer, "now")[:-1]
    ids = [event_id for _, event_id, _ in events]
    assert [kind for kind, _, _ in events] == ["state", "state", "attempt", "progress", "epoch", "state"]
    assert events[-1][2]["state"] == "succeeded"
    assert all(ids)
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("nonsense", ["abc", "1-2-3", "$", "-1", "9" * 40, "9" * 20, "1-" + "9" * 20, "١٢٣", "9" * 15])
def test_a_position_that_is_none_is_ignored(client: FlaskClient, submitted: str, nonsense: str) -> None:
    """A made-up id starts the stream from now on."""
    answer = client.get(f"/api/v1/jobs/{submitted}/events", headers={"Last-Event-ID": nonsense})

    assert [kind for kind, _, _ in until(answer, "now")] == ["now"]


def test_a_stream_that_began_in_an_outage_goes_on_from_now(settings: Settings, tmp_path: Path) -> None:
    """A moment without the server is no reason to tell a job's whole history to each new reader."""
    with Valkey(tmp_path / "own") as server:
        app = create_app(settings.model_copy(update={"redis_url": server.url}))
        job_id = str(app.test_client().post("/api/v1/jobs", json={"name": "long history"}).get_json()["id"])
        server.stop()
        page = app.test_client().get(f"/jobs/{job_id}").text
        stream = messages(app.test_client().get(f"/api/v1/jobs/{job_id}/events"))
        assert next(stream)[0] == "paused"

        server.start()
        heard = list(itertools.takewhile(lambda message: not message[2].get("live"), stream))

        assert 'data-after=""' in page
        assert [event_id for _, event_id, _ in heard if event_id] == []
        closed(app)


def test_the_moving_parts_come_once_a_second(client: FlaskClient, submitted: str, actor: Actor) -> None:
    """However many events there are."""
    run = actor.claim(submitted)
    run.start()
    answer = client.get(f"/api/v1/jobs/{submitted}/events")
    stream = messages(answer)
    assert next(stream)[0] == "now"

    kinds = []
    for step in range(1, 30):
        run.progress(step)
        kinds.append(next(stream)[0])
    answer.close()

    assert kinds.count("now") < 5


def test_no_nan_is_sent(client: FlaskClient, submitted: str, actor: Actor) -> None:
    """No browser reads it: what is no number is null."""
    run = actor.claim(submitted)
    run.start()
    run.progress(1, loss=float("nan"))

    answer = client.get(f"/api/v1/jobs/{submitted}/events?after=0")
    blocks = [block for block in map(str, itertools.islice(answer.response, 6)) if "progress" in block]
    answer.close()

    assert any('"loss":null' in block for block in blocks)
    assert not any("NaN" in block for block in blocks)


def test_a_stream_of_an_unknown_job_is_not_found(client: FlaskClient) -> None:
    """The status says it before anything is streamed."""
    assert client.get("/api/v1/jobs/aaaaaaaaaaaa/events").status_code == 404


def test_an_open_stream_hears_what_happens(client: FlaskClient, submitted: str, actor: Actor) -> None:
    """Events arrive while it is open, and the words with them."""
    answer = client.get(f"/api/v1/jobs/{submitted}/events")
    stream = messages(answer)
    next(stream)

    run = actor.claim(submitted)
    run.start()
    run.progress(565, accuracy=0.91)
    heard = list(itertools.takewhile(lambda message: message[2].get("primary") != "0.9100", stream))
    answer.close()

    kinds = [kind for kind, _, _ in heard]
    assert {"state", "attempt", "progress"} <= set(kinds)


def test_without_the_server_a_stream_says_why_it_is_quiet(stranded: FlaskClient, finished: str) -> None:
    """It goes on with what the disk says."""
    answer = stranded.get(f"/api/v1/jobs/{finished}/events")

    paused, now = until(answer, "now")
    assert paused[2] == {"message": OUTAGE}
    assert now[2]["label"] == "Succeeded"
    assert now[2]["live"] is False


def test_after_a_wipe_a_stream_says_that_it_is_rebuilt(client: FlaskClient, valkey_url: str, finished: str) -> None:
    """The record is gone, the directory is not."""
    with redis.Redis.from_url(valkey_url) as server:
        server.flushall()

    answer = client.get(f"/api/v1/jobs/{finished}/events")

    assert until(answer, "now")[0][2] == {"message": REBUILDING}


def test_the_list_hears_of_every_job(client: FlaskClient, app: Flask) -> None:
    """One stream tells that something happened to some job."""
    answer = client.get("/api/v1/events")
    blocks = iter(answer.response)
    assert "retry" in str(next(blocks))
    assert "nothing new" in str(next(blocks))

    job = app.test_client().post("/api/v1/jobs", json={"name": "heard"}).get_json()
    heard = next(block for block in map(str, blocks) if "event: change" in block)
    answer.close()

    assert job["id"] in heard


def test_streams_end_when_the_process_is_told_to_stop(client: FlaskClient, app: Flask, submitted: str) -> None:
    """Otherwise it could not stop while a page is open."""
    answer = client.get(f"/api/v1/jobs/{submitted}/events")
    stream = messages(answer)
    next(stream)

    app.extensions["keepfit"].closing.set()

    assert list(stream) == []
    answer.close()


def test_the_web_server_stops_with_pages_open(household: Household, settings: Settings, submitted: str) -> None:
    """SIGTERM ends the web server while streams are being read, and the readers see the end."""
    port = free_port()
    env = {
        "KEEPFIT_DATA_DIR": str(settings.data_dir),
        "KEEPFIT_REDIS_URL": settings.broker_url,
        "KEEPFIT_PORT": str(port),
    }
    part = household.start(WEB, env)
    client = httpx.Client(transport=httpx.HTTPTransport(retries=10), base_url=f"http://127.0.0.1:{port}", timeout=10)
    with client, client.stream("GET", f"/api/v1/jobs/{submitted}/events") as answer:
        lines = answer.iter_lines()
        assert next(line for line in lines if line.startswith("event:")) == "event: now"

        part.process.terminate()
        rest = list(lines)

    assert part.wait(timeout_s=10) == 0
    assert rest


def test_streams_leave_room_for_the_pages(client: FlaskClient, submitted: str) -> None:
    """There are only so many at a time; one more is told to wait, and one that ends makes room."""
    url = f"/api/v1/jobs/{submitted}/events"
    opened = [client.get(url) for _ in range(MOST_LISTENERS)]

    refused = client.get(url)
    opened.pop().close()
    accepted = client.get(url)

    assert refused.status_code == 503
    assert "Too many pages" in refused.get_json()["error"]["message"]
    assert accepted.status_code == 200
    for answer in [*opened, accepted]:
        answer.close()
