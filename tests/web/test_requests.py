"""Requests about a job, before anything is done: bodies, content types and methods, and what is said of wrong ones."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from keepfit.shared.jobs.directory import list_jobdirs
from keepfit.shared.jobs.states import Wish
from keepfit.shared.settings import Settings
from keepfit.shared.store import Store

ACTIONS = ["pause", "resume", "cancel", "drill", "priority", "evaluations"]
NO_SUCH = "There is no such field."


@pytest.mark.parametrize("action", ACTIONS)
def test_a_field_that_does_not_exist_is_named(
    client: FlaskClient, settings: Settings, store: Store, finished: str, action: str
) -> None:
    """A mistyped field is refused, never passed over; nothing is done."""
    body: dict[str, Any] = {"dta": {"name": "mnist"}} | ({"priority": 1} if action == "priority" else {})

    answer = client.post(f"/api/v1/jobs/{finished}/{action}", json=body)

    error = answer.get_json()["error"]
    assert (answer.status_code, error) == (422, {"message": f"dta: {NO_SUCH}", "fields": {"dta": NO_SUCH}})
    assert [d.id for d in list_jobdirs(settings.jobs_dir)] == [finished]
    assert store.jobs.get(finished).wish_number == 0


def test_each_wrong_field_of_a_priority_is_named(client: FlaskClient, submitted: str) -> None:
    """All of them in one answer."""
    answer = client.post(f"/api/v1/jobs/{submitted}/priority", json={"prio": 1})

    assert answer.get_json()["error"]["fields"] == {
        "prio": NO_SUCH,
        "priority": "Must be a whole number from -9 to 9.",
    }


@pytest.mark.parametrize("field", ["kind", "source", "version"])
def test_an_evaluation_is_always_of_the_job_in_the_address(client: FlaskClient, finished: str, field: str) -> None:
    """Fields of a spec that the address decides are no fields of the request."""
    answer = client.post(f"/api/v1/jobs/{finished}/evaluations", json={field: 1})

    assert answer.get_json()["error"]["fields"] == {field: NO_SUCH}


@pytest.mark.parametrize("action", ["pause", "resume", "cancel", "drill", "evaluations"])
def test_a_request_without_its_content_type_is_told_what_to_send(
    client: FlaskClient, store: Store, submitted: str, action: str
) -> None:
    """A foreign page can send an empty post, so the type stays needed; the answer can be pasted into a shell."""
    answer = client.post(f"/api/v1/jobs/{submitted}/{action}")

    message = answer.get_json()["error"]["message"]
    assert answer.status_code == 415
    assert "-H 'Content-Type: application/json'" in message
    assert "the body may be empty" in message
    assert store.jobs.get(submitted).wish is Wish.RUN


def test_a_content_type_without_a_body_is_enough(client: FlaskClient, store: Store, submitted: str) -> None:
    """As the message about a missing type says."""
    answer = client.post(f"/api/v1/jobs/{submitted}/pause", content_type="application/json")

    assert answer.status_code == 200
    assert store.jobs.get(submitted).wish is Wish.PAUSE


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("sent", [{}, {"json": {"no": 1}}, {"json": []}], ids=["nothing", "wrong field", "list"])
def test_an_unknown_job_comes_before_what_is_wrong_with_the_body(
    client: FlaskClient, action: str, sent: dict[str, Any]
) -> None:
    """Who mistypes the id hears of the id first."""
    answer = client.post(f"/api/v1/jobs/aaaaaaaaaaaa/{action}", **sent)

    assert answer.status_code == 404
    assert answer.get_json()["error"]["message"] == "There is no job aaaaaaaaaaaa."


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/api/v1/jobs", {"GET", "HEAD", "POST"}),
        ("PATCH", "/api/v1/jobs/aaaaaaaaaaaa", {"GET", "HEAD", "DELETE"}),
        ("GET", "/api/v1/jobs/aaaaaaaaaaaa/pause", {"POST"}),
        ("POST", "/health", {"GET", "HEAD"}),
        ("PUT", "/", {"GET", "HEAD"}),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(client: FlaskClient, method: str, path: str, allowed: set[str]) -> None:
    """405 carries the header that HTTP asks for."""
    answer = client.open(path, method=method)

    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) - {"OPTIONS"} == allowed


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_a_mistyped_address_is_not_found_by_any_method(client: FlaskClient, method: str) -> None:
    """It is the address that is wrong, not the method."""
    answer = client.open("/api/v1/jobs/aaaaaaaaaaaa/puase", method=method)

    assert answer.status_code == 404
    assert answer.get_json()["error"]["message"].startswith("There is no /api/v1/jobs/aaaaaaaaaaaa/puase.")
