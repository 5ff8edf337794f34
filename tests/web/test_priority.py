"""Priority: moved by a person, kept on disk, in effect at once and after a wipe."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from keepfit.shared.actors import How, local
from keepfit.shared.jobs.directory import open_jobdir
from keepfit.shared.jobs.states import JobState, Outcome
from keepfit.shared.jobs.truth import state_on_disk
from keepfit.shared.reasons import said
from keepfit.shared.settings import Settings
from keepfit.shared.spec import parse_spec
from keepfit.shared.store import Budget, Store, open_store
from keepfit.shared.store.records import Lost
from tests.harness.documents import write_claim
from tests.harness.waiting import wait_until
from tests.web.acting import Actor, Run


@pytest.fixture
def queue(app: Flask) -> list[str]:
    """Two queued jobs, the older one first."""
    submissions = app.extensions["keepfit"].submissions
    return [submissions.submit(local(How.PAGE), parse_spec({"name": name})).jobdir.id for name in ("first", "second")]


def test_a_higher_priority_goes_first(client: FlaskClient, store: Store, queue: list[str]) -> None:
    """The API moves a queued job to the front."""
    answer = client.post(f"/api/v1/jobs/{queue[1]}/priority", json={"priority": 5})

    claim = store.leases.claim("worker", lease_s=60)

    assert answer.status_code == 200
    assert claim
    assert claim.job_id == queue[1]


def test_a_priority_survives_a_wipe(
    client: FlaskClient, settings: Settings, store: Store, queue: list[str], valkey_url: str
) -> None:
    """It is on disk beside the wish, and pausing does not lose it."""
    client.post(f"/api/v1/jobs/{queue[1]}/priority", json={"priority": 5})
    client.post(f"/api/v1/jobs/{queue[1]}/pause", json={})
    client.post(f"/api/v1/jobs/{queue[1]}/resume", json={})
    with redis.Redis.from_url(valkey_url) as server:
        server.flushall()

    store.jobs.create(open_jobdir(settings.jobs_dir, queue[1]))

    assert store.jobs.get(queue[1]).priority == 5


@pytest.mark.parametrize("wrong", [10, -10, 1.5, "5", True, None])
def test_a_wrong_priority_is_a_message(client: FlaskClient, queue: list[str], wrong: object) -> None:
    """It says what a priority may be."""
    answer = client.post(f"/api/v1/jobs/{queue[0]}/priority", json={"priority": wrong})

    assert answer.status_code == 422
    assert answer.get_json()["error"]["fields"] == {"priority": "Must be a whole number from -9 to 9."}


def test_an_ended_job_has_no_place_in_the_queue(client: FlaskClient, queue: list[str]) -> None:
    """A cancelled job cannot be moved."""
    client.post(f"/api/v1/jobs/{queue[0]}/cancel", json={})

    answer = client.post(f"/api/v1/jobs/{queue[0]}/priority", json={"priority": 1})

    assert answer.status_code == 409


def test_a_new_priority_keeps_a_resume_that_the_server_has_not_heard(
    client: FlaskClient, stranded: FlaskClient, store: Store, queue: list[str]
) -> None:
    """Paused, resumed while the server was away, then moved in the queue: it goes on."""
    client.post(f"/api/v1/jobs/{queue[0]}/pause", json={})
    stranded.post(f"/api/v1/jobs/{queue[0]}/resume", json={})

    client.post(f"/api/v1/jobs/{queue[0]}/priority", json={"priority": 5})

    assert store.jobs.get(queue[0]).state is JobState.QUEUED


def test_a_job_that_backs_off_takes_its_new_place_when_its_time_has_come(
    client: FlaskClient, store: Store, queue: list[str]
) -> None:
    """The higher priority does not cut its pause short; after it, the job goes first."""
    for _ in range(2):
        claim = store.leases.claim("worker", hint=queue[1], lease_s=60)
        assert claim
        store.leases.finish(claim, Outcome.INTERRUPTED, reason=said("it crashed"), budget=Budget(9, 1.0))

    client.post(f"/api/v1/jobs/{queue[1]}/priority", json={"priority": 5})

    assert "a pause of" in str(store.jobs.waiting(queue[1]).reason)
    assert store.jobs.waiting(queue[0]).place == 0
    wait_until(lambda: store.upkeep.top_up(gap_s=0.001, most=2) == 2, "its time has come", timeout_s=5)
    claim = store.leases.claim("worker", lease_s=60)
    assert claim
    assert claim.job_id == queue[1]


def fail(run: Run) -> object:
    """The attempt ends with an error."""
    return run.end(Outcome.FAILED, "no", {"outcome": "failed", "reason": "no"})


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the server holds writes back on purpose, however slow the machine is, nobody takes that for an outage."""
    monkeypatch.setattr(open_store, "__defaults__", (5.0,))


def crossing(
    client: FlaskClient,
    store: Store,
    run: Run,
    end: Callable[[], object],
    meanwhile: Callable[[], object] = lambda: None,
) -> TestResponse:
    """The answer to a priority for a job whose attempt ends between the look at it and the request.

    The server holds all writes back, in the order of their arrival: first the end, then the priority.
    """

    def held_back(count: int) -> bool:
        return bool(store.link.ask(lambda r: r.info("clients"))["blocked_clients"] == count)

    with ThreadPoolExecutor() as pool:
        store.link.ask(lambda r: r.client_pause(5_000, all=False))
        ended = pool.submit(end)
        wait_until(lambda: held_back(1), "the end has arrived")
        answer = pool.submit(client.post, f"/api/v1/jobs/{run.claim.job_id}/priority", json={"priority": 5})
        wait_until(lambda: held_back(2), "the priority has arrived")
        meanwhile()
        store.link.ask(lambda r: r.client_unpause())
        assert ended.result()
        return answer.result()


@pytest.fixture
def run(client: FlaskClient, actor: Actor, finished: str, queue: list[str]) -> Run:
    """A running attempt, on a server that has run every script before."""
    client.post(f"/api/v1/jobs/{queue[1]}/pause", json={})
    return actor.claim(queue[0])


def test_a_priority_that_meets_a_failure_does_not_resume_the_job(
    client: FlaskClient, settings: Settings, store: Store, run: Run
) -> None:
    """It ran when the person looked; it has failed, on both sides, and the answer says so."""
    answer = crossing(client, store, run, lambda: fail(run))

    assert answer.status_code == 409
    assert "A job that has failed" in answer.get_data(as_text=True)
    assert store.jobs.get(run.claim.job_id).state is JobState.FAILED
    assert state_on_disk(open_jobdir(settings.jobs_dir, run.claim.job_id)).state is JobState.FAILED


def test_a_priority_that_meets_a_full_disk_does_not_resume_the_job(client: FlaskClient, store: Store, run: Run) -> None:
    """It has been paused meanwhile; it keeps the priority for later."""

    def full() -> JobState | Lost:
        return store.leases.finish(
            run.claim, Outcome.STOPPED, reason=said("full"), budget=Budget(5, 1.0), pause_with_reason=True
        )

    answer = crossing(client, store, run, full)

    record = store.jobs.get(run.claim.job_id)
    assert answer.status_code == 200
    assert (record.state, record.priority) == (JobState.PAUSED, 5)


def test_a_refused_wish_takes_nothing_from_the_next_one(
    client: FlaskClient, settings: Settings, store: Store, run: Run
) -> None:
    """The attempt has seen the wish that met its failure; the resume after it is a later one, on disk too."""
    jobdir = open_jobdir(settings.jobs_dir, run.claim.job_id)
    see_wish = lambda: write_claim(run.directory, run.claim.owner, jobdir.status().wish_number)  # noqa: E731
    crossing(client, store, run, lambda: fail(run), meanwhile=see_wish)

    client.post(f"/api/v1/jobs/{jobdir.id}/resume", json={})

    assert store.jobs.get(jobdir.id).state is JobState.QUEUED
    assert state_on_disk(jobdir).state is JobState.QUEUED
