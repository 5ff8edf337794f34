"""While the queue server is away, or was wiped, the pages show what is on disk, and promises are kept there."""

import json

import redis
from flask.testing import FlaskClient

from keepfit.shared.jobs.directory import list_jobdirs, open_jobdir
from keepfit.shared.jobs.states import JobState, Outcome, Wish
from keepfit.shared.reasons import said
from keepfit.shared.settings import Settings
from keepfit.shared.spec import READS
from keepfit.shared.store import Store
from keepfit.web.jobs.ondisk import record_on_disk
from keepfit.web.words.wording import OUTAGE, REBUILDING
from tests.web.acting import Actor
from tests.web.conftest import SPEC

HALF_AN_HOUR_MS = 30 * 60 * 1000


def test_the_pages_show_what_is_on_disk(stranded: FlaskClient, finished: str) -> None:
    """State, accuracy, curves and downloads do not need the queue server."""
    listed, page = stranded.get("/"), stranded.get(f"/jobs/{finished}")

    for answer in (listed, page):
        assert answer.status_code == 200
        assert OUTAGE in answer.text
        assert ">Succeeded<" in answer.text
        assert "95.00\N{NO-BREAK SPACE}%" in answer.text
    with stranded.get(f"/jobs/{finished}/files/model.keras") as download:
        assert download.data == b"a model"


def test_a_submit_is_accepted_and_kept(stranded: FlaskClient, settings: Settings) -> None:
    """202: the directory is written, and the answer says when it will start."""
    answer = stranded.post("/api/v1/jobs", json=SPEC)

    job = answer.get_json()
    assert answer.status_code == 202
    assert "when the queue server is back" in job["message"]
    assert job["state"] == "queued"
    assert [d.id for d in list_jobdirs(settings.jobs_dir)] == [job["id"]]


def test_a_form_is_accepted_and_says_so(stranded: FlaskClient, settings: Settings) -> None:
    """The person lands on the job's page with the same promise."""
    page = stranded.get("/jobs/new").text
    token = page.split('name="csrf_token" type="hidden" value="')[1].split('"')[0]
    fields = {"key": "k", "name": "n", "dataset": "mnist-5k", "model": "mlp", "epochs": "1", "batch_size": "32"}
    rest = {"learning_rate": "0.1", "seed": "1", "validation_share": "0", "checkpoint_interval_s": "1"}

    answer = stranded.post("/jobs/new", data=fields | rest | {"csrf_token": token}, follow_redirects=True)

    assert answer.status_code == 200
    assert "Accepted. It will start when the queue server is back." in answer.text
    assert len(list(list_jobdirs(settings.jobs_dir))) == 1


def test_a_wish_is_kept_on_disk(stranded: FlaskClient, settings: Settings, submitted: str) -> None:
    """202, and the wish is durable."""
    answer = stranded.post(f"/api/v1/jobs/{submitted}/pause", json={})

    status = open_jobdir(settings.jobs_dir, submitted).status()
    assert answer.status_code == 202
    assert (status.wish, status.wish_number) == (Wish.PAUSE, 1)
    assert answer.get_json()["state"] == "paused"


def test_what_needs_the_server_says_that_it_is_away(stranded: FlaskClient, submitted: str) -> None:
    """The drill goes over the queue server, so it cannot be done."""
    answer = stranded.post(f"/api/v1/jobs/{submitted}/drill", json={})

    assert answer.status_code == 503
    assert answer.get_json()["error"]["message"]


def test_a_wiped_server_is_being_rebuilt(client: FlaskClient, valkey_url: str, finished: str) -> None:
    """Between the wipe and the rebuild the pages come from the disk and say so."""
    with redis.Redis.from_url(valkey_url) as server:
        server.flushall()

    listed, page = client.get("/"), client.get(f"/jobs/{finished}")

    for answer in (listed, page):
        assert REBUILDING in answer.text
        assert ">Succeeded<" in answer.text


def test_what_a_wipe_has_taken_comes_from_the_disk(
    client: FlaskClient, valkey_url: str, settings: Settings, store: Store, submitted: str, actor: Actor
) -> None:
    """A restored job has no progress in the queue server; its page has it from the files."""
    run = actor.claim(submitted)
    run.start()
    run.progress(452, loss=0.1234)
    checkpoint = run.directory.checkpoints / "step-00000452"
    checkpoint.mkdir(parents=True)
    (checkpoint / "manifest.json").write_text("{}")
    with redis.Redis.from_url(valkey_url) as server:
        server.flushall()
    store.upkeep.put_back(open_jobdir(settings.jobs_dir, submitted), JobState.PAUSED, said("paused by a person"))

    page = client.get(f"/jobs/{submitted}").text

    assert REBUILDING not in page
    assert "0.1234" in page
    assert ">40 %<" in page


def test_an_empty_service_has_nothing_to_rebuild(client: FlaskClient) -> None:
    """No jobs, no notice."""
    assert REBUILDING not in client.get("/").text


def test_a_training_attempt_is_seen_by_its_files(settings: Settings, submitted: str, actor: Actor) -> None:
    """An attempt that writes is running; one that has been silent for long waits to be recovered."""
    run = actor.claim(submitted)
    run.start()
    run.progress(226, accuracy=0.75)
    jobdir = open_jobdir(settings.jobs_dir, submitted)

    now = record_on_disk(jobdir)
    later = record_on_disk(jobdir, now_ms=now.heartbeat_ms + HALF_AN_HOUR_MS)

    assert (now.state, now.progress["step"], now.progress["logs"]["accuracy"]) == ("running", 226, 0.75)
    assert (later.state, later.recovering) == ("queued", True)


def test_a_checkpoint_that_was_set_aside_hides_nothing(
    client: FlaskClient, stranded: FlaskClient, settings: Settings, submitted: str, actor: Actor
) -> None:
    """It is no checkpoint any more, and no reason for an error."""
    run = actor.claim(submitted)
    run.start()
    for name in ("step-00000000.corrupt", "step-00000113", "step-x"):
        folder = run.directory.checkpoints / name
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text("{}")

    for asked in (client, stranded):
        assert asked.get(f"/api/v1/jobs/{submitted}").get_json()["checkpoint_step"] == 113
        assert asked.get("/").status_code == 200


def test_no_answer_carries_what_is_no_number(
    client: FlaskClient, stranded: FlaskClient, submitted: str, actor: Actor
) -> None:
    """`response.json()` of a browser refuses a NaN, wherever it stands."""
    run = actor.claim(submitted)
    run.start()
    run.progress(1, loss=float("inf"))
    with run.directory.metrics.open("a") as file:
        file.write(
            '{"type":"progress","step":2,"steps":9,"epoch":0,"epochs":1,"batch":2,"batches":9,"logs":{"loss":NaN}}\n'
        )

    for asked in (client, stranded):
        for path in ("", "/history"):
            text = asked.get(f"/api/v1/jobs/{submitted}{path}").text
            assert "NaN" not in text
            assert "Infinity" not in text
            assert '"loss":null' in text


def test_a_failed_job_is_failed_on_disk(stranded: FlaskClient, submitted: str, actor: Actor) -> None:
    """The reason comes from the attempt's own result."""
    run = actor.claim(submitted)
    run.end(Outcome.FAILED, "bad data", {"outcome": "failed", "reason": "bad data"})

    page = stranded.get(f"/jobs/{submitted}").text

    assert "Failed: bad data." in page


def test_a_job_of_another_version_does_not_hide_the_rest(
    stranded: FlaskClient, settings: Settings, finished: str, client: FlaskClient
) -> None:
    """A spec that this version cannot read is listed by its name, and its page says what it needs."""
    other = str(client.post("/api/v1/jobs", json=SPEC | {"name": "from the future"}).get_json()["id"])
    path = settings.jobs_dir / other / "job.json"
    job = json.loads(path.read_text())
    newer = {"version": READS + 1, "model": {"name": "transformer"}}
    path.write_text(json.dumps(job | {"spec": job["spec"] | newer}))

    listed, page = stranded.get("/").text, stranded.get(f"/jobs/{other}").text

    assert "from the future" in listed
    assert f"/jobs/{finished}" in listed
    assert "needs a newer version of Keepfit" in page
