"""Headers, keys and downloads: what a browser is told, and what stays private."""

import stat
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from pydantic import SecretStr

from keepfit.shared.settings import Settings
from keepfit.web.app import create_app
from keepfit.web.jobs.downloads import slug
from keepfit.web.security import secret_key
from tests.web.acting import no_writes
from tests.web.conftest import SPEC


@pytest.mark.parametrize("path", ["/", "/jobs/new", "/nothing", "/health", "/static/keepfit.css", "/api/v1/jobs"])
def test_every_answer_carries_the_policy(client: FlaskClient, path: str) -> None:
    """No inline scripts, nothing from elsewhere, no framing; on errors and files as well."""
    with client.get(path) as answer:
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", ["/", "/jobs/new"])
def test_pages_obey_their_own_policy(client: FlaskClient, path: str) -> None:
    """Every script and style is a file of ours."""
    page = client.get(path).text

    assert "style=" not in page
    assert "onclick" not in page
    assert page.count("<script") == page.count('<script type="module" src="/static/')


def test_the_key_is_made_once_and_private(data_dir: Path) -> None:
    """It outlives a restart, and only its owner can read it."""
    settings = Settings(data_dir=data_dir)

    first, second = secret_key(settings), secret_key(settings)

    assert first == second
    assert len(first) >= 32
    assert stat.S_IMODE((data_dir / "secret-key").stat().st_mode) == 0o600


def test_a_given_key_is_used(data_dir: Path) -> None:
    """Then nothing is written."""
    assert secret_key(Settings(data_dir=data_dir, secret_key=SecretStr("given"))) == b"given"
    assert list(data_dir.iterdir()) == []


def test_a_full_disk_does_not_keep_the_pages_away(data_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The application starts with a key for this run, and says so in the log."""
    with no_writes():
        app = create_app(Settings(data_dir=data_dir))

    assert len(app.config["SECRET_KEY"]) >= 32
    assert "could not be kept" in caplog.text


def test_the_factory_opens_no_connection(data_dir: Path) -> None:
    """An application can be made where no server is."""
    app = create_app(Settings(data_dir=data_dir, redis_url="redis://127.0.0.1:1/0"))

    assert app.test_client().get("/").status_code == 200


@pytest.mark.parametrize(("name", "file"), [("model.keras", "first.keras"), ("weights.h5", "first.weights.h5")])
def test_downloads_have_names_that_keras_accepts(client: FlaskClient, finished: str, name: str, file: str) -> None:
    """Under the page and under the API."""
    for path in (f"/jobs/{finished}/files/{name}", f"/api/v1/jobs/{finished}/files/{name}"):
        with client.get(path) as answer:
            assert answer.headers["Content-Disposition"] == f"attachment; filename={file}"
            assert len(answer.data) > 0


def test_there_is_no_download_before_the_end(client: FlaskClient, submitted: str) -> None:
    """It says when there will be one."""
    answer = client.get(f"/api/v1/jobs/{submitted}/files/model.keras")

    assert answer.status_code == 409
    assert "written at the job's end" in answer.get_json()["error"]["message"]


def test_only_exports_can_be_downloaded(client: FlaskClient, finished: str) -> None:
    """Nothing else of the directory."""
    for name in ("job.json", "result.json", "..%2f..%2fjob.json", "attempts"):
        assert client.get(f"/api/v1/jobs/{finished}/files/{name}").status_code == 404


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("My first job!", "my-first-job"),
        ("../../etc/passwd", "etc-passwd"),
        ("  ", "model"),
        ("손글씨 1", "손글씨-1"),
        ("x" * 80, "x" * 60),
    ],
)
def test_a_jobs_name_becomes_a_file_name(name: str, stem: str) -> None:
    """Letters and digits of any script, nothing that a file system could misread."""
    assert slug(name) == stem


def test_a_new_version_of_the_record_is_json(client: FlaskClient, finished: str) -> None:
    """The API's answer for a job has what its clients rely on."""
    job = client.get(f"/api/v1/jobs/{finished}").get_json()
    listed = client.get("/api/v1/jobs?limit=1").get_json()

    assert job["result"]["metrics"]["accuracy"] == 0.95
    assert job["spec"]["name"] == SPEC["name"]
    assert set(job["files"]) == {"model.keras", "weights.h5"}
    assert [a["number"] for a in job["attempts"]] == [1]
    assert (listed["total"], listed["jobs"][0]["id"]) == (1, finished)
    assert client.get(f"/api/v1/jobs/{finished}/history").get_json()["epochs"][0]["val_loss"] == 0.45
