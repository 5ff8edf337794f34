"""Submitting over the JSON API: what is taken, what is refused, and how it is said."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from keepfit.shared.catalog.library import builtin_library
from keepfit.shared.jobs.directory import list_jobdirs
from keepfit.shared.settings import Settings
from keepfit.shared.store import Store
from tests.web.acting import no_writes
from tests.web.conftest import SPEC


def test_a_submitted_job_is_on_disk_and_queued(client: FlaskClient, settings: Settings, store: Store) -> None:
    """201 means: the directory is there and the queue knows the job."""
    answer = client.post("/api/v1/jobs", json=SPEC)

    job = answer.get_json()
    assert answer.status_code == 201
    assert job["state"] == "queued"
    assert [d.id for d in list_jobdirs(settings.jobs_dir)] == [job["id"]]
    assert store.jobs.get(job["id"]).name == "first"
    assert job["waiting"]["reason"] == "no worker is alive"


def test_the_same_key_is_the_same_job(client: FlaskClient, settings: Settings) -> None:
    """A repeated submit with its idempotency key answers 200 with the job that it made before."""
    headers = {"Idempotency-Key": "monday-1"}

    first = client.post("/api/v1/jobs", json=SPEC, headers=headers)
    second = client.post("/api/v1/jobs", json=SPEC, headers=headers)

    assert (first.status_code, second.status_code) == (201, 200)
    assert first.get_json()["id"] == second.get_json()["id"]
    assert len(list(list_jobdirs(settings.jobs_dir))) == 1


def test_a_key_used_for_another_job_is_refused(client: FlaskClient) -> None:
    """The same key with another spec is a conflict, not a silent second job."""
    headers = {"Idempotency-Key": "monday-1"}
    client.post("/api/v1/jobs", json=SPEC, headers=headers)

    answer = client.post("/api/v1/jobs", json=SPEC | {"name": "second"}, headers=headers)

    assert answer.status_code == 409
    assert "Use a new key" in answer.get_json()["error"]["message"]


WRONG = [
    ({"name": ""}, "name", "Is needed."),
    ({"name": "x" * 81}, "name", "May have at most 80 characters."),
    ({"data": {"name": "cifar"}}, "data.name", "Must be one of 'mnist-5k', 'mnist' or 'fashion-mnist'."),
    ({"model": {"name": "resnet"}}, "model.name", "Must be one of 'mlp' or 'cnn'."),
    ({"model": {"name": ""}}, "model.name", "Is needed."),
    ({"data": {"id": "0" * 64}}, "data", "Needs a name beside its id."),
    ({"training": {"epochs": 0}}, "training.epochs", "Must be at least 1."),
    ({"training": {"epochs": "many"}}, "training.epochs", "Must be a whole number."),
    ({"training": {"epochs": 1.5}}, "training.epochs", "Must be a whole number."),
    ({"training": {"epochs": 100_001}}, "training.epochs", "Must be at most 100,000."),
    ({"training": {"batch_size": -3}}, "training.batch_size", "Must be at least 1."),
    ({"training": {"learning_rate": 0}}, "training.learning_rate", "Must be more than 0."),
    ({"training": {"learning_rate": "nan"}}, "training.learning_rate", "Must be a finite number."),
    ({"training": {"seed": -1}}, "training.seed", "Must be at least 0."),
    ({"training": {"validation_share": 1}}, "training.validation_share", "Must be less than 1."),
    ({"training": {"checkpoint_interval_s": 0}}, "training.checkpoint_interval_s", "Must be at least 0.1."),
    ({"training": {"momentum": 0.9}}, "training.momentum", "There is no such field."),
    ({"training": 5}, "training", "Must be an object."),
    ({"training": {"batch_size": True}}, "training.batch_size", "Must be a whole number."),
    ({"training": {"validation_share": True}}, "training.validation_share", "Must be a number."),
    (
        {"training": {"early_stopping": {"patience": False}}},
        "training.early_stopping.patience",
        "Must be a whole number.",
    ),
    ({"training": {"reduce_lr": {"min_lr": True}}}, "training.reduce_lr.min_lr", "Must be a number."),
    (
        {"training": {"checkpoint_every_steps": 10**10}},
        "training.checkpoint_every_steps",
        "Must be at most 1,000,000,000.",
    ),
    ({"kind": "dream"}, "kind", "Must be one of 'train', 'evaluate'."),
    ({"kind": None}, "kind", "Must be one of 'train', 'evaluate'."),
    ({"version": True}, "version", "Must be a whole number."),
]


@pytest.mark.parametrize(("wrong", "path", "message"), WRONG, ids=[f"{p}: {w}"[:60] for w, p, _ in WRONG])
def test_a_wrong_field_is_named(
    client: FlaskClient, settings: Settings, wrong: dict[str, Any], path: str, message: str
) -> None:
    """422 names the field and says what it may be, and no job is made."""
    answer = client.post("/api/v1/jobs", json=SPEC | wrong)

    error = answer.get_json()["error"]
    assert answer.status_code == 422
    assert error["fields"] == {path: message}
    assert message in error["message"]
    assert list(list_jobdirs(settings.jobs_dir)) == []


@pytest.mark.parametrize("version", [{"version": 1}, {"version": 2}, {}], ids=str)
def test_a_short_spec_of_either_version_is_completed(client: FlaskClient, version: dict[str, int]) -> None:
    """It is kept in today's form, with the name and the id of the data and the model that it gets."""
    data, model = builtin_library().datasets()[0], builtin_library().models()[0]

    answers = [
        client.post("/api/v1/jobs", json={"name": "first", **version, **named}, headers={"Idempotency-Key": "once"})
        for named in ({}, {"data": {"name": data.name}}, {"data": {"name": data.name, "id": data.id}})
    ]

    spec = answers[0].get_json()["spec"]
    assert (spec["version"], spec["data"]) == (2, {"name": data.name, "id": data.id})
    assert spec["model"] == {"name": model.name, "id": model.id}
    assert [answer.status_code for answer in answers] == [201, 200, 200]
    assert len({answer.get_json()["id"] for answer in answers}) == 1


def test_a_data_set_that_is_another_by_now_is_not_taken_for_the_one_that_is_meant(client: FlaskClient) -> None:
    """An id says exactly which: here is another one of that name."""
    answer = client.post("/api/v1/jobs", json=SPEC | {"data": {"name": "mnist", "id": "7" * 64}})

    assert answer.status_code == 422
    assert answer.get_json()["error"]["fields"]["data.id"].startswith("777777777777 is asked for, and here is ")


UNPRINTABLE = {
    "NUL": "\0",
    "line": "\n",
    "escape": "\x1b",
    "C1": "\x9b",
    "turned": "\u202e",
    "mark": "\ufeff",
    "LS": "\u2028",
}


@pytest.mark.parametrize("character", UNPRINTABLE.values(), ids=UNPRINTABLE.keys())
def test_a_name_holds_nothing_that_a_terminal_obeys(client: FlaskClient, settings: Settings, character: str) -> None:
    """Control characters and those that turn text around are refused, and named."""
    answer = client.post("/api/v1/jobs", json=SPEC | {"name": f"a{character}[31mb"})

    fields = answer.get_json()["error"]["fields"]
    assert answer.status_code == 422
    assert fields == {"name": f"May not hold control or invisible characters: take out U+{ord(character):04X}."}
    assert list(list_jobdirs(settings.jobs_dir)) == []


def test_half_a_character_is_refused_in_words(client: FlaskClient) -> None:
    """A lone surrogate, which JSON can spell but which is no text."""
    answer = client.post("/api/v1/jobs", data=b'{"name": "a\\ud800"}', content_type="application/json")

    assert answer.status_code == 422
    assert answer.get_json()["error"]["fields"] == {"name": "Holds half a character, such as \\ud800: take it out."}


@pytest.mark.parametrize("name", ["손글씨", "👩‍🔬 tries", "می‌خواهم", "a\u00a0b", "e\u0301"])
def test_a_name_may_be_of_any_script(client: FlaskClient, name: str) -> None:
    """What joins letters and pictures is a part of them."""
    answer = client.post("/api/v1/jobs", json=SPEC | {"name": name})

    assert answer.status_code == 201
    assert answer.get_json()["name"] == name


def test_what_is_wrong_with_the_spec_as_a_whole_is_said(client: FlaskClient) -> None:
    """Fields that are right each by itself but not together get a message of their own."""
    training = {"validation_share": 0, "early_stopping": {"monitor": "val_loss"}}

    answer = client.post("/api/v1/jobs", json=SPEC | {"training": training})

    assert answer.status_code == 422
    assert "A callback watches a validation metric" in answer.get_json()["error"]["message"]


def test_a_spec_of_an_unknown_kind_is_refused(client: FlaskClient) -> None:
    """A kind that does not exist is named, with those that do."""
    answer = client.post("/api/v1/jobs", json=SPEC | {"kind": "dream"})

    assert answer.status_code == 422
    assert "'train'" in answer.get_json()["error"]["message"]


@pytest.mark.parametrize("body", [b"{", b"nonsense", b"\xff\xfe", b'{"name": }', b"[" * 50_000])
def test_malformed_json_is_said_to_be(client: FlaskClient, body: bytes) -> None:
    """What is not JSON is answered with 400."""
    answer = client.post("/api/v1/jobs", data=body, content_type="application/json")

    assert answer.status_code == 400
    assert answer.get_json()["error"]["message"] == "The body is not valid JSON."


@pytest.mark.parametrize("body", ["[]", '"text"', "5", "null"])
def test_json_that_is_no_object_is_refused(client: FlaskClient, body: str) -> None:
    """A list or a number is no spec."""
    answer = client.post("/api/v1/jobs", data=body, content_type="application/json")

    assert answer.status_code == 422
    assert answer.get_json()["error"]["message"] == "The body must be a JSON object."


def test_only_json_is_taken(client: FlaskClient) -> None:
    """A foreign page can send forms but not JSON, so forms are refused."""
    answer = client.post("/api/v1/jobs", data={"name": "sneaky"})

    assert answer.status_code == 415
    assert "application/json" in answer.get_json()["error"]["message"]


def test_a_huge_body_is_refused(client: FlaskClient) -> None:
    """More than a spec can need is answered with 413."""
    answer = client.post("/api/v1/jobs", json=SPEC | {"name": "x" * 200_000})

    assert answer.status_code == 413
    assert "larger" in answer.get_json()["error"]["message"]


def test_a_data_directory_that_takes_no_writes_is_said_to(client: FlaskClient, settings: Settings) -> None:
    """When the jobs cannot be kept the answer says which directory, and nothing is left behind."""
    with no_writes():
        answer = client.post("/api/v1/jobs", json=SPEC)

    assert answer.status_code == 507
    assert "the data directory takes no writes" in answer.get_json()["error"]["message"]
    assert list(settings.jobs_dir.iterdir()) == []


@pytest.mark.parametrize("path", ["/api/v1/jobs/aaaaaaaaaaaa", "/api/v1/jobs/..%2fetc", "/api/v1/nothing", "/api/"])
def test_what_is_not_there_is_said_in_json(client: FlaskClient, path: str) -> None:
    """An unknown job or address is a 404 with a message."""
    answer = client.get(path)

    assert answer.status_code == 404
    assert answer.get_json()["error"]["message"].startswith("There is no")
