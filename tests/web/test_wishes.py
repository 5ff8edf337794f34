"""Pause, resume, cancel, evaluate and the drill, over the API: what holds, what is refused, and why."""

import json
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from keepfit.shared.catalog.library import builtin_library
from keepfit.shared.jobs.directory import open_jobdir
from keepfit.shared.jobs.states import JobState, Outcome, Wish
from keepfit.shared.settings import Settings
from keepfit.shared.store import Store
from tests.web.acting import Actor, no_writes


def post(client: FlaskClient, job_id: str, action: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
    """The status and the JSON of a request about a job."""
    answer = client.post(f"/api/v1/jobs/{job_id}/{action}", json=body or {})
    return answer.status_code, answer.get_json()


def test_a_wish_is_on_disk_and_in_the_queue(
    client: FlaskClient, settings: Settings, store: Store, submitted: str
) -> None:
    """Each wish has a number that grows, the same in both places."""
    for number, (action, state) in enumerate([("pause", "paused"), ("resume", "queued"), ("cancel", "cancelled")], 1):
        status, job = post(client, submitted, action)

        on_disk = json.loads((settings.jobs_dir / submitted / "wish.json").read_text())
        assert (status, job["state"]) == (200, state)
        assert on_disk["number"] == number == store.jobs.get(submitted).wish_number
        assert on_disk["wish"] == job["wish"]


def test_a_running_job_is_asked_and_shown_to_obey(
    client: FlaskClient, store: Store, submitted: str, actor: Actor
) -> None:
    """The wish is a flag: the job runs until its attempt has written a checkpoint, and the page says so."""
    run = actor.claim(submitted)
    run.start()

    status, job = post(client, submitted, "pause")
    page = client.get(f"/jobs/{submitted}").text
    run.end(Outcome.STOPPED, "")

    assert (status, job["state"], job["wish"]) == (200, "running", "pause")
    assert "Pausing: it writes a checkpoint first" in page
    assert "Keep running" in page
    assert store.jobs.get(submitted).state is JobState.PAUSED


@pytest.mark.parametrize("action", ["pause", "cancel", "resume"])
def test_a_finished_job_takes_no_wish(client: FlaskClient, settings: Settings, finished: str, action: str) -> None:
    """Ends are final; the refusal leaves no trace on disk."""
    status, answer = post(client, finished, action)

    assert status == 409
    assert answer["error"]["message"].startswith("A job that has succeeded cannot be")
    assert not (settings.jobs_dir / finished / "wish.json").exists()


def test_a_wish_about_an_unknown_job_is_not_found(client: FlaskClient) -> None:
    """There is nothing to wish of."""
    status, answer = post(client, "aaaaaaaaaaaa", "pause")

    assert status == 404
    assert answer["error"]["message"] == "There is no job aaaaaaaaaaaa."


def test_a_wish_needs_json(client: FlaskClient, store: Store, submitted: str) -> None:
    """A form of a foreign page cannot pause a job."""
    answer = client.post(f"/api/v1/jobs/{submitted}/pause", data={"any": "thing"})

    assert answer.status_code == 415
    assert store.jobs.get(submitted).wish is Wish.RUN


def test_a_wish_that_cannot_be_kept_is_refused(client: FlaskClient, settings: Settings, submitted: str) -> None:
    """What is not on disk was not promised."""
    with no_writes():
        status, answer = post(client, submitted, "pause")

    assert status == 507
    assert "not kept" in answer["error"]["message"]
    assert [p.name for p in (settings.jobs_dir / submitted).iterdir()] == ["job.json"]


def test_an_evaluation_is_a_job_of_its_own(
    client: FlaskClient, store: Store, settings: Settings, finished: str
) -> None:
    """It is queued, knows its source, and its source lists it with its result."""
    status, evaluation = post(client, finished, "evaluations", {"data": {"name": "mnist-5k"}})
    run = Actor(settings, store).claim(evaluation["id"])
    run.finish(accuracy=0.9312, loss=0.25)

    record = store.jobs.get(evaluation["id"])
    page = client.get(f"/jobs/{finished}").text
    own_page = client.get(f"/jobs/{evaluation['id']}").text
    assert (status, record.kind, record.source) == (201, "evaluate", finished)
    assert open_jobdir(settings.jobs_dir, finished).status().wish_number == 0
    assert f'href="/jobs/{evaluation["id"]}"' in page
    assert "93.12\N{NO-BREAK SPACE}%" in page
    assert "93.12\N{NO-BREAK SPACE}%" in own_page
    assert "Evaluation of first" in own_page
    assert client.get(f"/api/v1/jobs/{finished}").get_json()["evaluations"] == [evaluation["id"]]


def test_an_evaluation_measures_on_the_jobs_own_data_by_default(client: FlaskClient, finished: str) -> None:
    """An empty body is enough."""
    status, evaluation = post(client, finished, "evaluations")

    assert status == 201
    card = builtin_library().datasets()[0]
    assert evaluation["spec"]["data"] == {"name": card.name, "id": card.id}


def test_a_paused_job_can_be_evaluated(client: FlaskClient, submitted: str, actor: Actor) -> None:
    """Its latest checkpoint stands still."""
    run = actor.claim(submitted)
    run.start()
    post(client, submitted, "pause")
    run.end(Outcome.STOPPED, "")

    status, _ = post(client, submitted, "evaluations")

    assert status == 201


def test_a_job_that_moves_cannot_be_evaluated(client: FlaskClient, settings: Settings, submitted: str) -> None:
    """The refusal says what to do."""
    status, answer = post(client, submitted, "evaluations")

    assert status == 409
    assert "Pause it first" in answer["error"]["message"]
    assert not (settings.jobs_dir / submitted / "evaluations").exists()


def test_an_evaluation_has_no_model_to_evaluate(client: FlaskClient, finished: str) -> None:
    """Evaluations of evaluations are refused."""
    _, evaluation = post(client, finished, "evaluations")

    status, answer = post(client, evaluation["id"], "evaluations")

    assert status == 409
    assert "no model of its own" in answer["error"]["message"]


@pytest.mark.parametrize("data", [{"name": "cifar"}, "cifar", 5, {}])
def test_an_evaluation_on_unknown_data_is_refused(client: FlaskClient, finished: str, data: Any) -> None:
    """The field is named, or the default is taken where nothing was said."""
    status, answer = post(client, finished, "evaluations", {"data": data})

    if data == {}:
        assert (status, answer["data"]) == (201, "mnist-5k")
    else:
        assert status == 422
        assert any(path.startswith("data") for path in answer["error"]["fields"])


def test_the_drill_tells_the_worker_to_die(client: FlaskClient, store: Store, submitted: str, actor: Actor) -> None:
    """The request is left where the keeper of the job's worker looks for it."""
    run = actor.claim(submitted)

    status, _ = post(client, submitted, "drill")

    assert status == 202
    assert store.upkeep.drilled(run.claim.owner)


def test_there_is_no_drill_where_nobody_runs(client: FlaskClient, submitted: str) -> None:
    """No worker, nothing to kill."""
    status, answer = post(client, submitted, "drill")

    assert status == 409
    assert "No worker runs this job now" in answer["error"]["message"]


def test_drills_that_are_off_are_refused(settings: Settings, submitted: str, actor: Actor) -> None:
    """The API does not do what the page does not offer."""
    from keepfit.web.app import create_app

    actor.claim(submitted)
    careful = create_app(settings.model_copy(update={"drills": False})).test_client()

    status, answer = post(careful, submitted, "drill")

    assert status == 409
    assert "KEEPFIT_DRILLS" in answer["error"]["message"]


def test_a_wish_that_meets_the_end_leaves_no_trace(
    app: Flask, client: FlaskClient, settings: Settings, submitted: str, finished: str
) -> None:
    """The page still showed the job at work; the server knows better, and the disk keeps nothing."""
    reader = app.extensions["keepfit"].reader
    (settings.jobs_dir / finished / "attempts" / "000001" / "result.json").unlink()
    reader._away_until = float("inf")  # it reads the disk, which says that the job is not over

    status, answer = post(client, finished, "cancel")

    assert (status, answer["error"]["message"]) == (409, "A job that is succeeded cannot be asked to be cancelled.")
    wish = json.loads((settings.jobs_dir / finished / "wish.json").read_text())
    assert (wish["wish"], wish["number"]) == ("run", 0)


def test_a_new_priority_keeps_a_wish_that_the_server_has_not_heard(
    client: FlaskClient, stranded: FlaskClient, store: Store, submitted: str
) -> None:
    """Cancelled while the server was away, then moved in the queue: still cancelled."""
    stranded.post(f"/api/v1/jobs/{submitted}/cancel", json={})

    post(client, submitted, "priority", {"priority": 3})

    assert store.jobs.get(submitted).state is JobState.CANCELLED
