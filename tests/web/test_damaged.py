"""A job of which a file is damaged costs itself, in words: on the pages, in the API, after a wipe."""

import contextlib
import json
import os
from pathlib import Path

import pytest
import redis
from flask.testing import FlaskClient

from keepfit.shared.durable import write_json
from keepfit.shared.jobs.directory import JobDir, open_jobdir
from keepfit.shared.jobs.mending import put_back
from keepfit.shared.jobs.states import JobState, Outcome, Wish
from keepfit.shared.reasons import NONE
from keepfit.shared.settings import Settings
from keepfit.shared.spec import READS
from keepfit.shared.store import Budget, LeaseState, Store
from tests.harness.waiting import wait_until
from tests.web.acting import Actor

FORMS = {"torn": b'{"vers', "empty": b"", "object": b"{}", "list": b"[]", "types": b'{"spec": {"name": 3}}'}


def damage(path: Path, form: str) -> None:
    """Put something else in the place of a file."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    if form == "pipe":
        os.mkfifo(path)
    elif form == "directory":
        path.mkdir()
    elif form == "link":
        path.symlink_to("nowhere")
    else:
        path.write_bytes(FORMS[form])


EVERY_FORM = pytest.mark.parametrize("form", [*FORMS, "pipe", "directory", "link"])


@EVERY_FORM
def test_a_damaged_job_is_shown_with_what_to_do(
    client: FlaskClient, settings: Settings, submitted: str, finished: str, form: str
) -> None:
    """Its page and the API say what is wrong; a wish is refused in those words; the other jobs are as they were."""
    damage(settings.jobs_dir / submitted / "job.json", form)

    page, api = client.get(f"/jobs/{submitted}"), client.get(f"/api/v1/jobs/{submitted}")

    assert (page.status_code, api.status_code) == (200, 200)
    assert "its job.json cannot be read" in page.text
    assert "Restore it from a backup" in api.get_json()["reason"]
    for wish in ("pause", "cancel", "resume", "evaluations"):
        answer = client.post(f"/api/v1/jobs/{submitted}/{wish}", json={})
        assert answer.status_code == 409
        assert "its job.json cannot be read" in answer.get_json()["error"]["message"]

    def listed() -> set[str]:
        return {row["id"] for row in client.get("/api/v1/jobs").get_json()["jobs"]}

    wait_until(lambda: listed() == {submitted, finished}, "the index has heard of both")
    assert finished in client.get("/").text


def test_a_damaged_job_is_not_evaluated(client: FlaskClient, settings: Settings, finished: str) -> None:
    """Nor on a data set that is named: nobody can say how its model is built, so the evaluation would only fail."""
    damage(settings.jobs_dir / finished / "job.json", "torn")
    before = sorted(settings.jobs_dir.rglob("*"))

    answer = client.post(f"/api/v1/jobs/{finished}/evaluations", json={"data": {"name": "mnist-5k"}})

    assert answer.status_code == 409
    assert "its job.json cannot be read" in answer.get_json()["error"]["message"]
    assert sorted(settings.jobs_dir.rglob("*")) == before


@EVERY_FORM
def test_a_wipe_brings_a_damaged_job_back_and_runs_nothing(
    client: FlaskClient, settings: Settings, store: Store, valkey_url: str, submitted: str, form: str
) -> None:
    """It is restored as paused, by its id."""
    damage(settings.jobs_dir / submitted / "job.json", form)
    with contextlib.closing(redis.Redis.from_url(valkey_url)) as server:
        server.flushdb()

    put_back(open_jobdir(settings.jobs_dir, submitted), store)

    record = store.jobs.get(submitted)
    assert (record.state, record.name) == (JobState.PAUSED, submitted)
    assert "its job.json cannot be read" in str(record.reason)
    assert store.leases.claim("worker", hint=submitted, lease_s=60) is None
    assert client.get("/").status_code == 200


@EVERY_FORM
def test_a_cancelled_job_whose_wish_is_damaged_stays_stopped(
    client: FlaskClient, settings: Settings, store: Store, valkey_url: str, submitted: str, form: str
) -> None:
    """After a wipe it is paused and says why; a person has it go on, with a wish that can be read again."""
    client.post(f"/api/v1/jobs/{submitted}/cancel", json={})
    damage(settings.jobs_dir / submitted / "wish.json", form)
    with contextlib.closing(redis.Redis.from_url(valkey_url)) as server:
        server.flushdb()

    put_back(open_jobdir(settings.jobs_dir, submitted), store)
    shown = client.get(f"/api/v1/jobs/{submitted}").get_json()

    assert (shown["state"], "wish.json is damaged" in shown["reason"]) == ("paused", True)
    if form != "directory":  # which nobody can write over
        assert client.post(f"/api/v1/jobs/{submitted}/resume", json={}).get_json()["state"] == "queued"
        assert open_jobdir(settings.jobs_dir, submitted).status().wish is Wish.RUN


def test_a_running_job_whose_wish_is_damaged_stops_after_a_wipe(
    client: FlaskClient, settings: Settings, store: Store, submitted: str, actor: Actor
) -> None:
    """Its owner takes it back, and is asked to stop; people read why."""
    run = actor.claim(submitted)
    jobdir = open_jobdir(settings.jobs_dir, submitted)
    damage(jobdir.path / "wish.json", "torn")
    store.link.ask(lambda r: r.flushdb())

    assert store.leases.adopt(run.claim, jobdir, lease_s=60) is LeaseState.HELD
    assert store.leases.renew(run.claim, lease_s=60).wish is Wish.PAUSE
    store.leases.finish(run.claim, Outcome.STOPPED, reason=NONE, budget=Budget(5, 1.0))

    shown = client.get(f"/api/v1/jobs/{submitted}").get_json()
    assert (shown["state"], "wish.json is damaged" in shown["reason"]) == ("paused", True)


@pytest.mark.parametrize("name", ["claim.json", "attempt.json", "result.json", "metrics.jsonl", "log.txt"])
@EVERY_FORM
def test_a_damaged_file_of_an_attempt_costs_no_page(
    client: FlaskClient, settings: Settings, finished: str, name: str, form: str
) -> None:
    """The page and the API answer."""
    damage(JobDir(settings.jobs_dir / finished, settings.datasets_dir).attempt_dirs()[-1].path / name, form)

    for address in (f"/jobs/{finished}", f"/api/v1/jobs/{finished}", f"/api/v1/jobs/{finished}/history"):
        assert client.get(address).status_code == 200


def test_a_stray_file_among_the_attempts_costs_nothing(
    client: FlaskClient, settings: Settings, submitted: str, actor: Actor
) -> None:
    """Nor does a line of the history that is nested without end."""
    run = actor.claim(submitted)
    run.start()
    metrics = run.directory.metrics
    metrics.write_text(metrics.read_text() + "[" * 100_000 + "\n" + '{"type": "epoch"}\n')
    (settings.jobs_dir / submitted / "attempts" / "000099").write_text("stray")

    assert client.get(f"/jobs/{submitted}").status_code == 200
    assert len(client.get(f"/api/v1/jobs/{submitted}").get_json()["attempts"]) == 1


@pytest.mark.parametrize(
    "newer", [{"version": READS + 1, "model": {"layers": []}}, {"kind": "script", "file": "train.py"}]
)
def test_a_job_of_a_newer_version_is_shown_as_what_it_is(
    client: FlaskClient, settings: Settings, store: Store, submitted: str, newer: dict[str, object]
) -> None:
    """By its name and its state, with what it needs; wishes work on it, what must understand it says why not."""
    path = settings.jobs_dir / submitted / "job.json"
    job = json.loads(path.read_text())
    write_json(path, job | {"spec": job["spec"] | newer})
    assert store.upkeep.forget(submitted)
    put_back(open_jobdir(settings.jobs_dir, submitted), store)

    page, shown = client.get(f"/jobs/{submitted}"), client.get(f"/api/v1/jobs/{submitted}").get_json()

    assert "first" in client.get("/").text
    assert page.status_code == 200
    assert "needs a newer version of Keepfit" in page.text
    assert (shown["name"], shown["state"], shown["spec"]["name"]) == ("first", "queued", "first")
    assert "newer version" in shown["waiting"]["reason"]
    for wish, state in (("pause", "paused"), ("resume", "queued"), ("cancel", "cancelled")):
        assert client.post(f"/api/v1/jobs/{submitted}/{wish}", json={}).get_json()["state"] == state
    refused = client.post(f"/api/v1/jobs/{submitted}/evaluations", json={})
    assert refused.status_code == 409


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("result.json", {"outcome": "finished", "metrics": {"accuracy": "x"}, "step": "7", "weights_sha256": [1]}),
        ("result.json", {"outcome": "finished", "metrics": [], "reason": {}}),
        ("result.json", {"outcome": "failed", "reason": ["x"], "step": 1e300}),
        ("result.json", {"outcome": "bogus"}),
        ("claim.json", {"after": [1], "wish_number": "x", "owner": {}}),
        ("attempt.json", {"host": [1], "pid": {}, "started_ms": "x", "resumed": [], "environment": 3}),
        ("attempt.json", {"pid": 10**30, "started_ms": 10**30}),
        ("metrics.jsonl", {"type": "attempt", "step": -5, "attempt": 10**30, "differs": [{}, None]}),
        ("metrics.jsonl", {"type": "progress", "step": 1, "logs": {"loss": 1e308}, "batches": 0, "eta_s": -1}),
        ("metrics.jsonl", {"type": "epoch", "step": 10**30, "epoch": -1, "logs": {"": None, "accuracy": None}}),
        ("metrics.jsonl", {"type": ["epoch"]}),
        ("log.txt", "0001-01-01 first\n9999-12-31T23:59:59 last\n"),
    ],
)
def test_odd_values_in_a_file_of_an_attempt_cost_no_page(
    client: FlaskClient, stranded: FlaskClient, settings: Settings, finished: str, name: str, content: object
) -> None:
    """JSON as it should be, values as nobody would write them; also while the server is away."""
    path = open_jobdir(settings.jobs_dir, finished).attempt_dirs()[-1].path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content) + "\n")

    for browser in (client, stranded):
        for address in (f"/jobs/{finished}", f"/api/v1/jobs/{finished}", f"/api/v1/jobs/{finished}/history", "/"):
            assert browser.get(address).status_code == 200
