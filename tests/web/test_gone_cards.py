"""A job whose data set and model are in no catalogue any more is still opened, listed, shown and obeyed."""

from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from keepfit.shared.jobs.directory import JobDir, open_jobdir
from keepfit.shared.jobs.doctor import examine
from keepfit.shared.jobs.mending import put_back
from keepfit.shared.settings import Settings
from keepfit.shared.store import Store

OLD = {"version": 1, "data": {"name": "gone-digits"}, "model": {"name": "gone-model"}}
NEW = {"data": {"name": "gone-digits", "id": "1" * 64}, "model": {"name": "gone-model", "id": "2" * 64}}


def forgotten(jobs_dir: Path, job_id: str, store: Store, cards: dict[str, Any]) -> JobDir:
    """The job as one that was accepted when the catalogue was another; the server has been rebuilt since."""
    jobdir = open_jobdir(jobs_dir, job_id)
    jobdir.job.model_copy(update={"spec": jobdir.job.spec | cards}).write(jobdir.job_file)
    store.link.ask(lambda r: r.flushdb())
    jobdir = open_jobdir(jobs_dir, job_id)
    assert put_back(jobdir, store)
    return jobdir


@pytest.mark.parametrize("cards", [OLD, NEW], ids=["version 1", "version 2"])
def test_a_job_whose_cards_are_gone_is_shown(
    client: FlaskClient, settings: Settings, store: Store, finished: str, cards: dict[str, Any]
) -> None:
    """By the names that it was given; nothing is damaged, and it takes wishes."""
    jobdir = forgotten(settings.jobs_dir, finished, store, cards)

    page, shown = client.get(f"/jobs/{finished}"), client.get(f"/api/v1/jobs/{finished}").get_json()

    assert page.status_code == 200
    assert all(name in page.text for name in ("gone-digits", "gone-model"))
    assert "gone-model on gone-digits" in client.get("/").text
    assert (shown["data"], shown["model"], shown["spec"]["data"]) == ("gone-digits", "gone-model", cards["data"])
    assert not str(jobdir.damage)
    assert [finding.problem for finding in examine(settings.jobs_dir, store)] == [""]


@pytest.mark.parametrize("cards", [OLD, NEW], ids=["version 1", "version 2"])
def test_it_is_evaluated_on_data_that_are_there(
    client: FlaskClient, settings: Settings, store: Store, finished: str, cards: dict[str, Any]
) -> None:
    """Not on its own, which are not: the answer says what there is."""
    forgotten(settings.jobs_dir, finished, store, cards)

    own = client.post(f"/api/v1/jobs/{finished}/evaluations", json={})
    other = client.post(f"/api/v1/jobs/{finished}/evaluations", json={"data": {"name": "mnist"}})

    assert own.status_code == 422
    assert own.get_json()["error"]["fields"]["data.name"].startswith("Must be one of 'mnist-5k', ")
    assert other.status_code == 201
