"""/health and /metrics: what machines are told of the service."""

import os

import redis
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from keepfit.shared.jobs.states import Outcome
from keepfit.shared.store import Store
from tests.harness.waiting import wait_until
from tests.web.acting import Actor


def numbers(client: FlaskClient) -> dict[str, float]:
    """Each sample by its name and labels."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.mimetype == "text/plain"
    found = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sample.labels.items())
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def beat(store: Store, takes: bool = True) -> None:
    """A worker says that it lives."""
    store.workers.beat("w1", host="lab", pid=os.getpid(), slots=2, busy=0, takes=takes)


def test_health_says_what_is_missing(stranded: FlaskClient, client: FlaskClient) -> None:
    """The web side answers in any case, and tells no address."""
    away, there = stranded.get("/health"), client.get("/health")

    assert (away.status_code, there.status_code) == (200, 200)
    assert away.get_json()["web"] == "ok"
    assert away.get_json()["redis"] == "The queue server does not answer."
    assert "127.0.0.1" not in away.text
    assert there.get_json() | {"listed": None} == {
        "status": "degraded",
        "web": "ok",
        "redis": "ok",
        "workers": 0,
        "problem": "no worker is alive",
        "listed": None,
        "rebuild": None,
    }


def test_a_worker_that_takes_no_jobs_is_no_health(client: FlaskClient, store: Store) -> None:
    """It beats, and nothing would ever start."""
    beat(store, takes=False)
    deaf = client.get("/health").get_json()
    beat(store)
    well = client.get("/health").get_json()

    assert (deaf["status"], deaf["workers"], deaf["problem"]) == ("degraded", 1, "no worker takes jobs")
    assert (well["status"], well["problem"]) == ("ok", "")


def test_health_tells_how_far_a_rebuild_is(client: FlaskClient, valkey_url: str, submitted: str) -> None:
    """Of what was known before the wipe."""
    assert client.get("/").status_code == 200
    with redis.Redis.from_url(valkey_url) as server:
        server.flushall()

    assert client.get("/health").get_json()["rebuild"] == {"done": 0, "total": 1}
    assert numbers(client)["keepfit_rebuild_total_jobs"] == 1


def test_the_numbers_of_a_service_at_work(client: FlaskClient, store: Store, submitted: str, actor: Actor) -> None:
    """Jobs by state, the oldest in the queue, beats, recoveries, free disk."""
    client.post("/api/v1/jobs", json={"name": "waits"})
    actor.claim(submitted).end(Outcome.INTERRUPTED, "the worker was killed")
    actor.claim(submitted)
    beat(store)

    wait_until(lambda: numbers(client)["keepfit_oldest_queued_seconds"] > 0, "the second job has waited")
    found = numbers(client)

    assert found["keepfit_oldest_queued_seconds"] < 60
    assert found["keepfit_jobs{state=running}"] == 1
    assert found["keepfit_jobs{state=queued}"] == 1
    assert found["keepfit_jobs{state=failed}"] == 0
    assert 0 <= found["keepfit_worker_beat_age_seconds{worker=w1}"] < 5
    assert found["keepfit_worker_takes_jobs{worker=w1}"] == 1
    assert found["keepfit_recoveries_total"] == 1
    assert found["keepfit_free_disk_bytes"] > 0
    assert found["keepfit_queue_server_up"] == 1


def test_the_numbers_without_the_server(stranded: FlaskClient, submitted: str) -> None:
    """What only the server knows is left out, and that it is away is a number too."""
    assert submitted
    found = numbers(stranded)

    assert found["keepfit_queue_server_up"] == 0
    assert found["keepfit_free_disk_bytes"] > 0
    assert "keepfit_jobs{state=queued}" not in found
