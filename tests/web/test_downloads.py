"""Downloads by name: a file that a person finds again, whatever the job is called."""

import pytest
from flask.testing import FlaskClient

from tests.web.acting import Actor

NAMES = [
    "손글씨 숫자 — 실험 1",
    "\u1112\u1161\u11ab\u1100\u1173\u11af 이름",
    "../../etc/x",
    "🐣🔥",
    "-rf .",
    "plain name",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_download_is_named_for_every_reader(client: FlaskClient, actor: Actor, name: str) -> None:
    """By the job's name where it is read, else by its id; never hidden, and never an option of a command."""
    job_id = client.post("/api/v1/jobs", json={"name": name}).get_json()["id"]
    actor.claim(job_id).finish()

    with client.get(f"/jobs/{job_id}/files/weights.h5") as answer:
        header = answer.headers["Content-Disposition"]

    plain = header.split("filename=")[1].split(";")[0].strip('"')
    assert header.startswith("attachment; ")
    assert plain.isascii()
    assert plain.endswith(".weights.h5")
    assert plain[0] not in "-."
    assert plain.startswith((job_id, "etc-x", "rf", "plain-name", "model"))


def test_two_jobs_with_korean_names_are_two_files(client: FlaskClient, actor: Actor) -> None:
    """For who reads ASCII only, too."""
    headers = []
    for name in NAMES[:2]:
        job_id = client.post("/api/v1/jobs", json={"name": name}).get_json()["id"]
        actor.claim(job_id).finish()
        with client.get(f"/api/v1/jobs/{job_id}/files/weights.h5") as answer:
            headers.append(answer.headers["Content-Disposition"])

    assert headers[0].split(";")[1] != headers[1].split(";")[1]
    assert all("filename*=UTF-8''%" in header for header in headers)


def test_the_whole_log_is_a_file(client: FlaskClient, submitted: str, actor: Actor) -> None:
    """All attempts, from the page and from the API; the page says when it shows only its end."""
    run = actor.claim(submitted)
    run.start()
    for number in range(450):
        run.log(f"line {number}")

    page = client.get(f"/jobs/{submitted}").text
    for path in (f"/jobs/{submitted}/log.txt", f"/api/v1/jobs/{submitted}/log.txt"):
        with client.get(path) as answer:
            lines = answer.get_data(as_text=True).splitlines()
            assert answer.mimetype == "text/plain"
            assert lines[0] == "# attempt 1"
            assert [line.split(" ", 1)[1] for line in lines[1:]] == [f"line {number}" for number in range(450)]

    assert "Earlier lines are left out here." in page
    assert f'href="/jobs/{submitted}/log.txt"' in page
    assert "The numbers are in the log below" not in page
    assert client.get("/jobs/aaaaaaaaaaaa/log.txt").status_code == 404
