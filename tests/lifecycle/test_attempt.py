"""One attempt, claimed on a real server: what becomes of it before it trains."""

import json

import pytest

from keepfit.shared.durable import write_json
from keepfit.shared.errors import StoreUnavailable
from keepfit.shared.jobs.directory import JobDir, create_jobdir
from keepfit.shared.jobs.states import JobState, Wish
from keepfit.shared.settings import Settings
from keepfit.shared.spec import READS, Needs
from keepfit.shared.store import Store, open_store
from keepfit.worker.attempt import _Attempt, run_one
from tests.harness.processes import free_port
from tests.harness.specs import accepted


@pytest.fixture
def jobdir(settings: Settings, store: Store) -> JobDir:
    """A job that was just submitted."""
    jobdir, _ = create_jobdir(settings.jobs_dir, accepted({"name": "claimed"}))
    store.jobs.create(jobdir)
    return jobdir


def test_a_server_that_does_not_answer_is_no_failure_of_the_job(
    settings: Settings, store: Store, jobdir: JobDir
) -> None:
    """The disk holds the end that the server had lost; it cannot be told now, so the attempt says nothing."""
    write_json(jobdir.new_attempt(1).result, {"outcome": "finished", "reason": "", "step": 7})
    claim = store.leases.claim("owner", hint=jobdir.id, lease_s=60)
    assert claim
    away = open_store(f"redis://127.0.0.1:{free_port()}/0", timeout_s=0.2)

    with pytest.raises(StoreUnavailable):
        _Attempt(settings, away, claim).run()

    assert store.jobs.get(jobdir.id).state is JobState.RUNNING
    away.close()


def test_the_end_that_the_server_had_lost_is_reported_from_disk(
    settings: Settings, store: Store, jobdir: JobDir
) -> None:
    """It does not train again."""
    write_json(jobdir.new_attempt(1).result, {"outcome": "finished", "reason": "", "step": 7})

    run_one(settings, jobdir.id)

    record = store.jobs.get(jobdir.id)
    assert (record.state, record.result["step"]) == (JobState.SUCCEEDED, 7)
    assert len(jobdir.attempt_dirs()) == 1


def write(jobdir: JobDir, **changes: object) -> None:
    """Change the kept spec by hand."""
    job = json.loads((jobdir.path / "job.json").read_text())
    write_json(jobdir.path / "job.json", job | {"spec": job["spec"] | changes})


def test_a_damaged_job_is_paused_and_never_failed(settings: Settings, store: Store, jobdir: JobDir) -> None:
    """A person can restore its file, and have it go on."""
    for content in ("", json.dumps({"spec": {"training": {"epochs": -1}}, "spec_sha256": "0"})):
        (jobdir.path / "job.json").write_text(content)

        run_one(settings, jobdir.id)

        record = store.jobs.get(jobdir.id)
        assert record.state is JobState.PAUSED
        assert "its job.json cannot be read" in str(record.reason)
        assert not jobdir.attempt_dirs()
        store.jobs.request(jobdir.id, Wish.RUN, number=record.wish_number + 1)


@pytest.mark.parametrize("newer", [{"version": READS + 1}, {"kind": "script", "file": "train.py"}])
def test_a_job_that_needs_a_newer_version_is_given_back(
    settings: Settings, store: Store, jobdir: JobDir, newer: dict[str, object]
) -> None:
    """Its record does not say so; after one look it does, and nobody of this version claims it again."""
    write(jobdir, **newer)

    run_one(settings, jobdir.id)

    record = store.jobs.get(jobdir.id)
    assert (record.state, record.name, record.attempt) == (JobState.QUEUED, "claimed", 0)
    assert not Needs(record.needs, record.kind).met
    assert store.leases.claim("owner", hint=jobdir.id, lease_s=60) is None
    assert not jobdir.attempt_dirs()
