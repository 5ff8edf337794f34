"""The form at /jobs/new: its defaults, its errors beside their fields, and that nothing typed is lost."""

import io
from collections.abc import Callable
from html import escape

import pytest
from flask.testing import FlaskClient

from keepfit.shared.jobs.directory import list_jobdirs
from keepfit.shared.settings import Settings
from keepfit.shared.store import Store
from keepfit.web.jobs.form import EXPIRED

TYPED = {
    "key": "k1",
    "name": "My digits",
    "dataset": "mnist-5k",
    "model": "cnn",
    "epochs": "3",
    "batch_size": "64",
    "learning_rate": "0.01",
    "seed": "7",
    "validation_share": "0.2",
    "checkpoint_interval_s": "5",
}


def jobs(settings: Settings) -> list[str]:
    """The ids of all jobs on disk."""
    return [jobdir.id for jobdir in list_jobdirs(settings.jobs_dir)]


def test_the_form_opens_with_defaults_that_work(client: FlaskClient, settings: Settings) -> None:
    """Each field has a label and a sane default; only the name is the person's own."""
    page = client.get("/jobs/new").text

    for field, value in {"epochs": "10", "batch_size": "32", "learning_rate": "0.001", "seed": "1"}.items():
        assert f'<label for="{field}">' in page
        assert f'id="{field}" inputmode' in page or f'id="{field}"' in page
        assert f'value="{value}"' in page
    assert 'value="mnist-5k" checked' in page
    assert 'value="mlp" checked' in page
    assert jobs(settings) == []


def test_a_filled_form_makes_the_job_that_was_typed(
    client: FlaskClient, token: Callable[[], str], store: Store, settings: Settings
) -> None:
    """Sending the form leads to the page of a job with exactly these values."""
    answer = client.post("/jobs/new", data=TYPED | {"csrf_token": token()})

    [job_id] = jobs(settings)
    assert answer.status_code == 303
    assert answer.headers["Location"] == f"/jobs/{job_id}"
    record = store.jobs.get(job_id)
    spec = client.get(f"/api/v1/jobs/{job_id}").get_json()["spec"]
    assert (record.name, record.model) == ("My digits", "cnn")
    assert spec["training"]["epochs"] == 3
    assert spec["training"]["validation_share"] == 0.2
    assert spec["training"]["checkpoint_interval_s"] == 5


WRONG = [
    ("name", "", "Is needed."),
    ("name", "n" * 81, "May have at most 80 characters."),
    ("name", "a\x1b[31mb", "May not hold control or invisible characters: take out U+001B."),
    ("dataset", "cifar", "Must be one of"),
    ("model", "resnet", "Must be one of"),
    ("epochs", "", "Must be a whole number."),
    ("epochs", "ten", "Must be a whole number."),
    ("epochs", "-1", "Must be at least 1."),
    ("batch_size", "0", "Must be at least 1."),
    ("batch_size", "1e9", "Must be a whole number."),
    ("learning_rate", "fast", "Must be a number."),
    ("learning_rate", "inf", "Must be a finite number."),
    ("learning_rate", "-0.1", "Must be more than 0."),
    ("seed", "4294967296", "Must be at most 4,294,967,295."),
    ("validation_share", "1", "Must be less than 1."),
    ("checkpoint_interval_s", "0", "Must be at least 0.1."),
]


@pytest.mark.parametrize(("field", "value", "message"), WRONG, ids=[f"{f}={v[:12]}" for f, v, _ in WRONG])
def test_a_wrong_field_has_its_reason_beside_it(
    client: FlaskClient, token: Callable[[], str], settings: Settings, field: str, value: str, message: str
) -> None:
    """The page comes back with the reason at the field and everything that was typed, and makes no job."""
    typed = TYPED | {field: value}

    answer = client.post("/jobs/new", data=typed | {"csrf_token": token()})

    beside = answer.text.split(f'id="{field}-problem">')[1].split("</p>")[0]
    assert answer.status_code == 422
    assert beside.startswith(message)
    for name in set(TYPED) - {"dataset", "model", field}:
        assert f'value="{escape(typed[name])}"' in answer.text
    if field not in {"dataset", "model"}:
        assert f'value="{escape(value)}"' in answer.text
        assert 'value="cnn" checked' in answer.text
    assert jobs(settings) == []


def test_several_wrong_fields_are_told_at_once(client: FlaskClient, token: Callable[[], str]) -> None:
    """Nobody has to send the form twice to learn of a second mistake."""
    answer = client.post("/jobs/new", data=TYPED | {"epochs": "0", "seed": "x", "csrf_token": token()})

    assert 'id="epochs-problem"' in answer.text
    assert 'id="seed-problem"' in answer.text


def test_sending_the_form_twice_makes_one_job(
    client: FlaskClient, token: Callable[[], str], settings: Settings
) -> None:
    """A double click, or a reload of the answer, leads to the same job."""
    typed = TYPED | {"csrf_token": token()}

    first = client.post("/jobs/new", data=typed)
    second = client.post("/jobs/new", data=typed)

    assert first.headers["Location"] == second.headers["Location"]
    assert len(jobs(settings)) == 1


def test_the_form_sent_again_with_other_values_makes_another_job(
    client: FlaskClient, token: Callable[[], str], settings: Settings
) -> None:
    """After "back" and a change one press is enough, and two presses are still one job."""
    typed = TYPED | {"csrf_token": token()}
    first = client.post("/jobs/new", data=typed)

    again, twice = (client.post("/jobs/new", data=typed | {"name": "Another"}) for _ in range(2))

    assert again.headers["Location"] == twice.headers["Location"] != first.headers["Location"]
    assert len(jobs(settings)) == 2


@pytest.mark.parametrize("field", [*TYPED, "csrf_token"])
def test_a_field_sent_as_a_file_is_no_field(
    client: FlaskClient, token: Callable[[], str], settings: Settings, field: str
) -> None:
    """It is named; never an error of ours."""
    typed = TYPED | {"csrf_token": token(), field: (io.BytesIO(b"\x00\xff" * 9), "x.bin")}

    answer = client.post("/jobs/new", data=typed, content_type="multipart/form-data")

    assert answer.status_code == 422
    assert f"send {field} as text" in answer.text
    assert jobs(settings) == []


@pytest.mark.parametrize(
    "body", [b"", b"--", b"--x\r\n\r\n", b"--x--", b"--x\r\nContent-Disposition: form-data\r\n\r\n\xff"]
)
@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=x", "text/plain", "*/*;;"])
def test_a_body_that_is_no_form_is_refused(client: FlaskClient, settings: Settings, body: bytes, kind: str) -> None:
    """As a form in which everything is missing."""
    assert client.post("/jobs/new", data=body, content_type=kind).status_code in {400, 413, 422}
    assert jobs(settings) == []


def test_an_evaluation_of_a_file_is_refused(client: FlaskClient, token: Callable[[], str], finished: str) -> None:
    """The other form takes fields only, too."""
    typed = {"csrf_token": token(), "dataset": (io.BytesIO(b"x"), "mnist-5k")}

    answer = client.post(f"/jobs/{finished}/evaluations", data=typed, content_type="multipart/form-data")

    assert answer.status_code == 422


def test_a_form_without_its_token_makes_nothing_and_loses_nothing(client: FlaskClient, settings: Settings) -> None:
    """A foreign page cannot submit; a person whose session has ended only has to press again."""
    answer = client.post("/jobs/new", data=TYPED)

    assert answer.status_code == 422
    assert EXPIRED in answer.text
    assert 'value="My digits"' in answer.text
    assert jobs(settings) == []


@pytest.mark.parametrize("action", ["pause", "resume", "cancel", "drill", "evaluations"])
def test_a_button_without_its_token_does_nothing(
    client: FlaskClient, store: Store, submitted: str, action: str
) -> None:
    """Every form post needs the session's token."""
    answer = client.post(f"/jobs/{submitted}/{action}")

    assert answer.status_code == 403
    assert "another session" in answer.text
    assert store.jobs.get(submitted).wish_number == 0


def test_what_people_type_is_shown_as_text(client: FlaskClient, token: Callable[[], str], settings: Settings) -> None:
    """A name with markup in it stays a name."""
    client.post("/jobs/new", data=TYPED | {"name": "<script>alert(1)</script>", "csrf_token": token()})
    [job_id] = jobs(settings)

    for page in ("/", f"/jobs/{job_id}"):
        assert "<script>alert" not in client.get(page).text
        assert "&lt;script&gt;alert" in client.get(page).text
