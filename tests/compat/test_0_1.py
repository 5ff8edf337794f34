"""What version 0.1 has left behind opens, shows, resumes to the same bits, evaluates and downloads. See make_0_1.py."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient

from keepfit.shared.checkpoints.manifest import newest_valid
from keepfit.shared.jobs.directory import JobDir, list_jobdirs, open_jobdir
from keepfit.shared.jobs.mending import put_back
from keepfit.shared.jobs.states import JobState, Wish
from keepfit.shared.jobs.truth import state_on_disk
from keepfit.shared.reasons import Code, read, said
from keepfit.shared.settings import Settings
from keepfit.shared.store import Budget, Store, open_store
from keepfit.web.app import create_app
from keepfit.web.cli.command import main
from tests.compat.make_0_1 import SPECS
from tests.harness.documents import record_of, write_wish
from tests.harness.processes import ROOT, Valkey

PAST = Path(__file__).resolve().parent / "0.1"
EXPECTED: dict[str, Any] = json.loads(PAST.with_name("expected-0.1.json").read_text())
JOBS: dict[str, dict[str, Any]] = EXPECTED["jobs"]
GO_ON = {"running": "queued"}
"""What a job is that nobody runs any more."""
UNFINISHED = sorted(role for role, job in JOBS.items() if job["state"] != "succeeded" and job["twin"])
LONG_AGO = 1_700_000_000


def copied(to: Path) -> Path:
    """The data directory, as it lay there for a while."""
    shutil.copytree(PAST, to)
    for path in to.rglob("*"):
        os.utime(path, (LONG_AGO, LONG_AGO))
    return to


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A copy of the data directory of 0.1."""
    return copied(tmp_path / "data")


@pytest.fixture
def old_store(data_dir: Path) -> Iterator[Store]:
    """A server that reads the append-only file of 0.1."""
    with Valkey(data_dir / "redis") as server, contextlib.closing(open_store(server.url)) as store:
        yield store


@pytest.fixture
def rebuilt(settings: Settings, store: Store) -> Store:
    """An empty server, rebuilt from the directories."""
    for jobdir in list_jobdirs(settings.jobs_dir):
        assert put_back(jobdir, store)
    return store


@contextlib.contextmanager
def client_of(settings: Settings) -> Iterator[FlaskClient]:
    """A client of the web side."""
    app = create_app(settings)
    yield app.test_client()
    desk = app.extensions["keepfit"]
    desk.closing.set()
    desk.feeder.join()


@pytest.fixture
def client(settings: Settings, rebuilt: Store) -> Iterator[FlaskClient]:
    """A client of the web side over the copy."""
    with client_of(settings) as client:
        yield client


@pytest.mark.parametrize("role", JOBS)
def test_each_job_opens_in_its_state(data_dir: Path, role: str) -> None:
    """By its directory alone."""
    jobdir = open_jobdir(data_dir / "jobs", JOBS[role]["id"])

    found = state_on_disk(jobdir)

    assert jobdir.spec.name == role
    assert found.state == GO_ON.get(JOBS[role]["state"], JOBS[role]["state"])
    if found.state in (JobState.FAILED, JobState.CANCELLED) or role == "full disk":
        assert found.reason == read(JOBS[role]["reason"])
        assert found.reason.code != Code.SAID


def test_all_are_listed(client: FlaskClient) -> None:
    """Each with its name and its state."""
    listed = {job["name"]: job["state"] for job in client.get("/api/v1/jobs").get_json()["jobs"]}

    assert listed == {role: GO_ON.get(job["state"], job["state"]) for role, job in JOBS.items()}
    assert all(role in client.get("/").text for role in JOBS)


@pytest.mark.parametrize("role", JOBS)
def test_each_is_shown(client: FlaskClient, settings: Settings, role: str) -> None:
    """Its page and its record, spec, attempts and history."""
    job_id = JOBS[role]["id"]
    attempts = len(open_jobdir(settings.jobs_dir, job_id).attempt_dirs())

    page, shown = client.get(f"/jobs/{job_id}"), client.get(f"/api/v1/jobs/{job_id}").get_json()
    history = client.get(f"/api/v1/jobs/{job_id}/history").get_json()

    assert (page.status_code, role in page.text) == (200, True)
    assert (shown["name"], len(shown["attempts"])) == (role, attempts)
    if shown["kind"] == "train":
        assert shown["spec"].items() >= SPECS[role].items() or shown["spec"]["training"]["seed"]
    if role in ("finished", "early stopping", "killed"):
        assert history["epochs"]
        assert all(row["loss"] > 0 for row in history["epochs"])


def test_the_append_only_file_is_read(old_store: Store) -> None:
    """Records, queue and leases of 0.1: what ran is taken over, and claimed by this version."""
    states = {record.name: record.state.value for record in old_store.jobs.list(100)}
    assert states == {role: job["state"] for role, job in JOBS.items()}

    old_store.leases.reap(Budget(5, 0.0), reason=said("its worker has gone"))
    claimed = {claim.job_id for _ in range(9) if (claim := old_store.leases.claim("worker", lease_s=60))}

    assert claimed == {job["id"] for job in JOBS.values() if job["state"] in ("running", "queued")}
    for job in JOBS.values():
        assert old_store.events.read(job["id"])


def test_the_same_key_is_the_same_job(client: FlaskClient) -> None:
    """A submit that is repeated after the upgrade finds the job of 0.1; another spec is refused."""
    for role in ("paused", "early stopping", "finished"):
        headers, spec = {"Idempotency-Key": f"compat-{role}"}, {"name": role, **SPECS[role]}
        again = client.post("/api/v1/jobs", json=spec, headers=headers)
        other = client.post("/api/v1/jobs", json=spec | {"name": "other"}, headers=headers)
        assert (again.status_code, again.get_json()["id"], other.status_code) == (200, JOBS[role]["id"], 409)


def test_models_download(client: FlaskClient, settings: Settings) -> None:
    """Byte for byte."""
    for name, path in (("model.keras", "model"), ("weights.h5", "weights")):
        kept = getattr(open_jobdir(settings.jobs_dir, JOBS["finished"]["id"]).attempt_dirs()[-1], path)
        with client.get(f"/api/v1/jobs/{JOBS['finished']['id']}/files/{name}") as answer:
            assert answer.data == kept.read_bytes()


def test_verify_finds_the_one_damaged_checkpoint(data_dir: Path) -> None:
    """And calls all others whole."""
    result = CliRunner().invoke(main, ["verify", "--data-dir", str(data_dir)], catch_exceptions=False)

    lines = [line for line in result.output.splitlines() if "DAMAGED" in line]
    assert (result.exit_code, len(lines)) == (1, 1)
    assert lines[0].startswith(JOBS["damaged checkpoint"]["id"])
    assert f"{len(JOBS)} jobs" in result.output
    assert "1 damaged" in result.output


def test_doctor_agrees(settings: Settings, rebuilt: Store) -> None:
    """With a server that was rebuilt from the directory."""
    where = ["--data-dir", str(settings.data_dir), "--redis-url", settings.broker_url]
    result = CliRunner().invoke(main, ["doctor", *where], catch_exceptions=False)

    assert result.exit_code == 0, result.output
    assert result.output.count("agree") == len(JOBS)


class Resumer:
    """Goes on with jobs in processes of their own."""

    def __init__(self, threads: int, root: Path = ROOT) -> None:
        """``root``: where the code is that goes on with them."""
        command = [sys.executable, "-m", "tests.compat.resuming", str(threads)]
        env = {**os.environ, "PYTHONPATH": str(root)}
        self._process = subprocess.Popen(
            command, cwd=root, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def resume(self, jobdir: JobDir) -> dict[str, Any]:
        """The result of one more attempt, and the fingerprint that it ran under."""
        written, read = self._process.stdin, self._process.stdout
        assert written is not None
        assert read is not None
        written.write(f"{jobdir.path}\n")
        written.flush()
        answer: dict[str, Any] | None = json.loads(read.readline())
        assert answer is not None, "the attempt ended with an error"
        return answer

    def close(self) -> None:
        """End it."""
        self._process.communicate()


@pytest.fixture(scope="module")
def resumer() -> Iterator[Resumer]:
    """With as many threads as the jobs of 0.1 had."""
    resumer = Resumer(EXPECTED["environment"]["threads"])
    yield resumer
    resumer.close()


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One copy for all that resumes."""
    return copied(tmp_path_factory.mktemp("past") / "data")


@pytest.mark.parametrize("role", UNFINISHED)
def test_each_unfinished_job_resumes_to_the_bits_of_0_1(past: Path, resumer: Resumer, role: str) -> None:
    """The sha256 that 0.1 itself came to, undisturbed; on another machine it resumes, and says what differs."""
    jobdir = open_jobdir(past / "jobs", JOBS[role]["id"])
    at, twin = newest_valid(jobdir), JOBS[role]["twin"]
    write_wish(jobdir, Wish.RUN, jobdir.status().wish_number + 1)  # a stop that was settled holds until then

    found = resumer.resume(jobdir)

    result, record = found["result"], record_of(jobdir.attempt_dirs()[-1])
    assert result["outcome"] == "finished", result["reason"]
    if jobdir.spec.kind == "train":
        assert (record.resumed and record.resumed.step) == (at.step if at else None)
    if found["environment"] == EXPECTED["environment"]:
        assert result["weights_sha256"] == twin["weights_sha256"]
        assert result["metrics"] == pytest.approx(twin["metrics"], rel=1e-9)
        assert record.exact
        assert record.differs == ()
    elif at is not None:
        assert not record.exact
        assert record.differs
    assert state_on_disk(open_jobdir(past / "jobs", jobdir.id)).state is JobState.SUCCEEDED


def test_the_damaged_checkpoint_was_set_aside(past: Path) -> None:
    """The attempt before has gone on from the one before it."""
    jobdir = open_jobdir(past / "jobs", JOBS["damaged checkpoint"]["id"])

    assert [path.name for path in jobdir.path.glob("attempts/000001/checkpoints/*.corrupt")]
