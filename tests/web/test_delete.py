"""A job is deleted for good: what is said before, what goes with it, what is refused, and that nothing comes back."""

from collections.abc import Callable
from typing import Any

import pytest
import redis
from flask import Flask
from flask.testing import FlaskClient

from keepfit.shared.jobs.deleting import bury, is_deleted, unfinished
from keepfit.shared.jobs.directory import JobDir, list_jobdirs, open_jobdir
from keepfit.shared.jobs.doctor import examine, mend
from keepfit.shared.jobs.mending import put_back
from keepfit.shared.jobs.states import JobState
from keepfit.shared.reasons import Reason
from keepfit.shared.settings import Settings
from keepfit.shared.store import LeaseState, Store, keys
from keepfit.shared.store.scripts import Adopt
from keepfit.web.jobs.reading import Seen
from keepfit.worker.keeper.bury import Burial
from keepfit.worker.keeper.rebuild import Rebuilder
from tests.harness.waiting import wait_until
from tests.web.acting import Actor, no_writes
from tests.web.conftest import SPEC


def delete(client: FlaskClient, job_id: str, **asked: str) -> tuple[int, dict[str, object]]:
    """The status and the JSON of a deletion."""
    answer = client.delete(f"/api/v1/jobs/{job_id}", query_string=asked)
    return answer.status_code, answer.get_json()


def listed(client: FlaskClient) -> list[str]:
    """The ids in the list of jobs."""
    return [job["id"] for job in client.get("/api/v1/jobs").get_json()["jobs"]]


def evaluation_of(client: FlaskClient, job_id: str) -> str:
    """A new evaluation of a job that is over."""
    return str(client.post(f"/api/v1/jobs/{job_id}/evaluations", json={}).get_json()["id"])


def keys_about(settings: Settings, job_id: str) -> list[str]:
    """What the server still has of a job."""
    client = redis.Redis.from_url(settings.broker_url, decode_responses=True)
    return [key for key in client.scan_iter() if job_id in key]


def test_a_deleted_job_is_gone_everywhere(client: FlaskClient, settings: Settings, store: Store, finished: str) -> None:
    """Page, list, API, directory and server: at once, and its address says what has become of it."""
    assert listed(client) == [finished]

    status, said = delete(client, finished)

    answer, page = client.get(f"/api/v1/jobs/{finished}"), client.get(f"/jobs/{finished}")
    assert (status, said["deleted"], said["freed"]) == (200, [finished], True)
    assert answer.status_code == page.status_code == 410
    assert answer.get_json()["error"]["message"] == f"The job {finished} was deleted."
    assert listed(client) == keys_about(settings, finished) == []
    assert store.jobs.counts()[JobState.SUCCEEDED] == 0
    assert not list(settings.data_dir.rglob(finished))


def test_deleting_again_says_the_same(client: FlaskClient, finished: str) -> None:
    """Whoever did not hear the answer asks again."""
    first = delete(client, finished)
    status, again = delete(client, finished)

    assert (status, again["deleted"]) == (200, first[1]["deleted"])
    assert isinstance(again["bytes"], int)
    assert again["bytes"] > 0


def test_what_never_was_cannot_be_deleted(client: FlaskClient) -> None:
    """Not found, in words; a mistyped option is named."""
    assert delete(client, "aaaaaaaaaaaa")[0] == 404
    assert delete(client, "aaaaaaaaaaaa", cancle="true")[0] == 422


def test_what_goes_with_it_is_said_before(client: FlaskClient, finished: str) -> None:
    """Its evaluations and the space; asking changes nothing."""
    evaluation = evaluation_of(client, finished)

    said = client.get(f"/api/v1/jobs/{finished}/deletion").get_json()

    assert [job["id"] for job in said["jobs"]] == [finished, evaluation]
    assert said["bytes"] > 0
    assert said["running"] == []
    assert set(listed(client)) == {finished, evaluation}


def test_evaluations_go_with_their_job(client: FlaskClient, settings: Settings, finished: str) -> None:
    """They measure a model that is not there any more; the jobs of others stay."""
    evaluation = evaluation_of(client, finished)
    other = client.post("/api/v1/jobs", json=SPEC).get_json()["id"]

    _, said = delete(client, finished)

    assert said["deleted"] == [finished, evaluation]
    assert listed(client) == [jobdir.id for jobdir in list_jobdirs(settings.jobs_dir)] == [other]


def test_an_evaluation_can_be_deleted_alone(client: FlaskClient, finished: str) -> None:
    """The job that it measures stays."""
    delete(client, evaluation_of(client, finished))

    assert listed(client) == [finished]
    assert client.get(f"/api/v1/jobs/{finished}").get_json()["evaluations"] == []


def test_a_running_job_is_only_deleted_if_told_to_cancel_it(
    client: FlaskClient, settings: Settings, store: Store, submitted: str, actor: Actor
) -> None:
    """The refusal says how; the attempt that ran finds no lease, and nothing to adopt."""
    run = actor.claim(submitted)
    jobdir = open_jobdir(settings.jobs_dir, submitted)
    _ = jobdir.spec

    refused = delete(client, submitted)
    status, _ = delete(client, submitted, cancel="true")

    assert refused[0] == 409
    assert "cancel=true" in str(refused[1])
    assert status == 200
    assert store.leases.renew(run.claim, lease_s=3.0).lease is LeaseState.MISSING
    assert store.leases.adopt(run.claim, jobdir, lease_s=3.0) is LeaseState.LOST
    assert keys_about(settings, submitted) == []


def test_a_running_evaluation_keeps_its_job(client: FlaskClient, finished: str, actor: Actor) -> None:
    """It reads the job's model."""
    actor.claim(evaluation_of(client, finished))

    status, said = delete(client, finished)

    assert (status, "An evaluation of this job is running" in str(said)) == (409, True)
    assert len(listed(client)) == 2


def test_the_key_of_a_deleted_job_is_used_up(client: FlaskClient) -> None:
    """A program that repeats its submit does not bring the job back; a new key makes another one."""
    job_id = client.post("/api/v1/jobs", json=SPEC, headers={"Idempotency-Key": "mine"}).get_json()["id"]
    delete(client, job_id)

    again = client.post("/api/v1/jobs", json=SPEC, headers={"Idempotency-Key": "mine"})
    anew = client.post("/api/v1/jobs", json=SPEC, headers={"Idempotency-Key": "another"})

    assert (again.status_code, anew.status_code) == (409, 201)
    assert "has been deleted" in again.get_json()["error"]["message"]
    assert listed(client) == [anew.get_json()["id"]]


def test_it_holds_while_the_server_is_away(
    stranded: FlaskClient, client: FlaskClient, settings: Settings, store: Store, finished: str
) -> None:
    """Accepted, and gone; the server hears of it from the keepers."""
    status, said = delete(stranded, finished)
    assert (status, said["freed"], store.jobs.count()) == (202, True, 1)
    assert stranded.get(f"/api/v1/jobs/{finished}").status_code == 410
    assert listed(stranded) == []

    keeper = Rebuilder(settings, store, "keeper")
    store.upkeep.mark_booted()

    def dropped() -> bool:
        keeper.tick()
        return store.jobs.count() == 0

    wait_until(dropped, "the keeper has dropped it", timeout_s=20)

    assert keys_about(settings, finished) == []
    assert listed(client) == []


def test_a_web_process_that_dies_right_after_the_move_has_deleted_it(
    client: FlaskClient, settings: Settings, store: Store, finished: str
) -> None:
    """A keeper tells the server and frees the space; the doctor names it until then."""
    bury(settings.jobs_dir, finished)
    found = [finding for finding in examine(settings.jobs_dir, store) if finding.problem]

    Burial(settings.jobs_dir, store).tick()

    assert {finding.job_id for finding in found} == {finished}
    assert (store.jobs.count(), list(unfinished(settings.jobs_dir))) == (0, [])
    assert not [finding for finding in examine(settings.jobs_dir, store) if finding.problem]
    assert delete(client, finished)[0] == 200


def test_the_doctor_finishes_a_deletion(settings: Settings, store: Store, finished: str) -> None:
    """Where no keeper lives."""
    bury(settings.jobs_dir, finished)

    assert all(mend(f, settings.jobs_dir, store) for f in examine(settings.jobs_dir, store) if f.problem)

    assert not [finding for finding in examine(settings.jobs_dir, store) if finding.problem]
    assert is_deleted(settings.jobs_dir, finished)


def test_a_full_disk_keeps_nobody_from_deleting(client: FlaskClient, settings: Settings, finished: str) -> None:
    """That is how people make room: the job is gone, a keeper puts up the tombstone when there is some."""
    with no_writes():
        status, said = delete(client, finished)

    assert (status, said["freed"]) == (200, False)
    assert client.get(f"/api/v1/jobs/{finished}").status_code == 410
    assert list(unfinished(settings.jobs_dir)) == [finished]


def test_a_wiped_server_is_rebuilt_without_it(
    client: FlaskClient, settings: Settings, store: Store, finished: str
) -> None:
    """The directories are the truth, and it has none."""
    other = client.post("/api/v1/jobs", json=SPEC).get_json()["id"]
    delete(client, finished)
    redis.Redis.from_url(settings.broker_url).flushall()

    Rebuilder(settings, store, "keeper").scan()

    assert store.jobs.ids() == [other]


def test_a_keeper_with_slow_hands_does_not_bring_it_back(
    client: FlaskClient, settings: Settings, store: Store, finished: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has read the directory, stood still while the job was deleted, and puts into the server what it has read."""
    jobdir = open_jobdir(settings.jobs_dir, finished)
    store.upkeep.remove(finished)
    honest = store.upkeep.put_back

    def slow(of: JobDir, state: JobState, reason: Reason, *, result: str) -> bool:
        restored = honest(of, state, reason, result=result)
        bury(settings.jobs_dir, finished)
        return restored

    monkeypatch.setattr(store.upkeep, "put_back", slow)
    assert not put_back(jobdir, store)

    assert store.jobs.ids() == []
    assert keys.job(finished) not in keys_about(settings, finished)


def test_an_owner_that_adopts_a_job_while_it_is_deleted_loses_it(
    client: FlaskClient, settings: Settings, store: Store, submitted: str, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has seen its directory, and makes the record anew just after the job was deleted."""
    run, jobdir = actor.claim(submitted), open_jobdir(settings.jobs_dir, submitted)
    _ = jobdir.spec
    store.upkeep.remove(submitted)
    honest = store.link.run

    def slow(call: Any) -> Any:
        if isinstance(call, Adopt):
            bury(settings.jobs_dir, submitted)
        return honest(call)

    monkeypatch.setattr(store.link, "run", slow)

    assert store.leases.adopt(run.claim, jobdir, lease_s=3.0) is LeaseState.LOST
    assert store.jobs.ids() == []


def test_the_page_asks_first_and_says_what_it_frees(
    client: FlaskClient, finished: str, token: Callable[[], str]
) -> None:
    """Name, evaluations and space; without the form's token nothing happens; then the list says what was done."""
    evaluation_of(client, finished)
    page = client.get(f"/jobs/{finished}/delete").text
    forged = client.post(f"/jobs/{finished}/delete", data={})

    done = client.post(f"/jobs/{finished}/delete", data={"csrf_token": token()}, follow_redirects=True)

    assert "Delete “first” for good?" in page
    assert "Evaluation on MNIST" in page
    assert f'href="/jobs/{finished}"' in page
    assert forged.status_code == 403
    assert "The job and 1 evaluation were deleted." in done.text
    assert "of space is free again." in done.text
    assert listed(client) == []


def test_the_page_of_a_running_job_says_that_it_is_cancelled(
    client: FlaskClient, submitted: str, actor: Actor, token: Callable[[], str]
) -> None:
    """One deed; but only for who has seen that it runs."""
    before = client.get(f"/jobs/{submitted}/delete").text
    actor.claim(submitted)
    behind = client.post(f"/jobs/{submitted}/delete", data={"csrf_token": token()})

    done = client.post(f"/jobs/{submitted}/delete", data={"csrf_token": token(), "cancel": "yes"})

    assert "Cancel and delete" not in before
    assert (behind.status_code, "Cancel and delete" in behind.text) == (409, True)
    assert done.status_code == 303
    assert listed(client) == []


def test_a_page_that_is_still_open_is_told(client: FlaskClient, finished: str) -> None:
    """Its stream ends with the word that the job is gone."""
    delete(client, finished)

    assert client.get(f"/api/v1/jobs/{finished}/events").status_code == 410


def test_a_form_whose_job_was_deleted_makes_another_when_pressed_again(
    client: FlaskClient, token: Callable[[], str]
) -> None:
    """Somebody has gone back to it: the first press says what has happened, and the form then has a new key."""
    typed = {"csrf_token": token(), "key": "ab" * 16, "name": "typed", "dataset": "mnist-5k", "model": "mlp"}
    typed |= {"epochs": "1", "batch_size": "32", "learning_rate": "0.001", "seed": "1", "validation_share": "0.1"}
    typed |= {"checkpoint_interval_s": "10"}
    first = client.post("/jobs/new", data=typed).headers["Location"].rsplit("/")[-1]
    delete(client, first)

    refused = client.post("/jobs/new", data=typed)
    key = refused.text.split('name="key" type="hidden" value="')[1].split('"')[0]
    accepted = client.post("/jobs/new", data=typed | {"key": key})

    assert (refused.status_code, accepted.status_code) == (409, 303)
    assert "The job of this form was deleted. Press the button again" in refused.text
    assert len(listed(client)) == 1


@pytest.mark.parametrize(
    ("action", "body"), [("resume", {}), ("cancel", {}), ("priority", {"priority": 3}), ("evaluations", {})]
)
def test_a_wish_that_meets_a_deletion_is_told_of_it(
    app: Flask, client: FlaskClient, submitted: str, monkeypatch: pytest.MonkeyPatch, action: str, body: dict[str, int]
) -> None:
    """The job was there when the person looked: it is said what has happened to it, and not that the disk is full."""
    client.post(f"/api/v1/jobs/{submitted}/pause", json={})
    desk = app.extensions["keepfit"]
    honest = desk.reader.get

    def slow(job_id: str) -> Seen:
        seen: Seen = honest(job_id)
        _ = seen.jobdir.job
        bury(desk.settings.jobs_dir, job_id)
        return seen

    monkeypatch.setattr(desk.reader, "get", slow)
    answer = client.post(f"/api/v1/jobs/{submitted}/{action}", json=body)

    assert answer.status_code == 410
    assert [path.name for path in desk.settings.jobs_dir.iterdir()] == ["deleted"]


def test_a_wish_that_is_kept_just_before_a_deletion_brings_nothing_back(
    app: Flask, client: FlaskClient, submitted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is on disk, and gone with it before the server hears of it: the job is not back in the list."""
    desk = app.extensions["keepfit"]
    honest = desk.store.jobs.request

    def slow(job_id: str, *wish: Any, **more: Any) -> Any:
        delete(client, job_id)
        return honest(job_id, *wish, **more)

    monkeypatch.setattr(desk.store.jobs, "request", slow)
    answer = client.post(f"/api/v1/jobs/{submitted}/pause", json={})

    assert answer.status_code == 410
    assert desk.feeder.index.page(10).records == []
