"""What is done is done by somebody: kept with the job and its wish, in the audit file, shown, and refused to some."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from keepfit.shared.actors import Actor as Somebody
from keepfit.shared.actors import How, Role, local
from keepfit.shared.durable import write_json
from keepfit.shared.errors import NotAllowed
from keepfit.shared.jobs.directory import open_jobdir
from keepfit.shared.jobs.states import JobState, Wish
from keepfit.shared.settings import Settings
from keepfit.shared.spec import parse_spec
from keepfit.shared.store import JobRecord, Store
from keepfit.web.desk import Desk
from keepfit.web.errors import status_of
from keepfit.web.words import wording
from tests.harness.waiting import wait_until
from tests.web.acting import Actor
from tests.web.conftest import SPEC
from tests.web.test_terminal import keepfit, url

__all__ = ["url"]
VIEWER = Somebody("eve", Role.VIEWER, How.API)


def audited(settings: Settings) -> list[tuple[str, str]]:
    """What the audit file says of people: what was done, and how."""
    lines = [json.loads(line) for line in (settings.data_dir / "audit.jsonl").read_text().splitlines()]
    return [(line["event"], line["by"]["how"]) for line in lines if "attempt" not in line]


def test_a_deed_is_kept_with_who_has_done_it(
    app: Flask, client: FlaskClient, url: str, settings: Settings, token: Callable[[], str]
) -> None:
    """By a page, the API and the command: in job.json, in wish.json, in the audit file, in what the API says."""
    job_id = client.post("/api/v1/jobs", json=SPEC).get_json()["id"]
    keepfit(url, "pause", job_id)
    paused = client.get(f"/api/v1/jobs/{job_id}").get_json()
    client.post(f"/jobs/{job_id}/resume", data={"csrf_token": token()})

    jobdir = open_jobdir(settings.jobs_dir, job_id)

    assert jobdir.job.by == Somebody("local", Role.ADMIN, How.API)
    assert jobdir.status().by == Somebody("local", Role.ADMIN, How.PAGE)
    assert paused["by"] == {"who": "local", "role": "admin", "how": "api"}
    assert paused["wish_by"] == {"who": "local", "role": "admin", "how": "command"}
    assert audited(settings) == [("submit", "api"), ("wish:pause", "command"), ("wish:run", "page")]
    assert app.extensions["keepfit"].reader.get(job_id).record.state is JobState.QUEUED


def test_page_and_command_say_who(client: FlaskClient, url: str, submitted: str) -> None:
    """Who has submitted the job, and who has made the wish that holds."""
    keepfit(url, "pause", submitted)

    shown = keepfit(url, "show", submitted).splitlines()

    assert "by        local, API" in shown
    assert "wish      pause, by local, command" in shown
    assert "by local, API · Paused by local, command · id" in client.get(f"/jobs/{submitted}").text


@pytest.mark.parametrize(
    ("state", "wish", "said"),
    [
        (JobState.PAUSED, Wish.PAUSE, "Paused by eve, API"),
        (JobState.CANCELLED, Wish.CANCEL, "Cancelled by eve, API"),
        (JobState.QUEUED, Wish.RUN, "Resumed by eve, API"),
        (JobState.RUNNING, Wish.PAUSE, "Told to pause by eve, API"),
        (JobState.PAUSED, Wish.RUN, ""),
        (JobState.FAILED, Wish.RUN, ""),
        (JobState.SUCCEEDED, Wish.PAUSE, ""),
    ],
)
def test_a_page_names_only_who_has_brought_the_job_where_it_is(state: JobState, wish: Wish, said: str) -> None:
    """A full disk has paused it, an error has failed it, or it was done before it could obey: that was nobody."""
    record = JobRecord("a", "job", "train", state, wish=wish, wish_by=VIEWER)

    assert wording.wished(record) == said
    assert wording.wished(replace(record, wish_by=None)) == ""


def test_a_priority_leaves_a_wish_to_whoever_has_made_it(
    client: FlaskClient, url: str, settings: Settings, submitted: str
) -> None:
    """It moves the job, and wishes nothing of it."""
    keepfit(url, "pause", submitted)
    client.post(f"/api/v1/jobs/{submitted}/priority", json={"priority": 3})

    status = open_jobdir(settings.jobs_dir, submitted).status()

    assert (status.wish, status.priority, status.by and status.by.how) == (Wish.PAUSE, 3, How.COMMAND)
    assert audited(settings)[-1] == ("priority:3", "api")


def test_the_list_says_who_while_the_server_is_away(stranded: FlaskClient, submitted: str) -> None:
    """The index has it from the directory."""
    wait_until(lambda: stranded.get("/api/v1/jobs").get_json()["total"] == 1, "the index knows the job")

    (listed,) = stranded.get("/api/v1/jobs").get_json()["jobs"]

    assert (listed["id"], listed["by"], listed["wish_by"]) == (submitted, vars(local(How.API)), None)


def test_what_an_older_version_has_left_has_nobody(
    client: FlaskClient, settings: Settings, store: Store, submitted: str
) -> None:
    """It is shown as before."""
    jobdir = open_jobdir(settings.jobs_dir, submitted)
    for path in (jobdir.job_file, jobdir.wish_file):
        old = json.loads(path.read_text()) if path.exists() else {"wish": "pause", "number": 1, "priority": None}
        write_json(path, {name: value for name, value in old.items() if name != "by"})

    store.link.ask(lambda r: r.flushdb())

    shown, page = client.get(f"/api/v1/jobs/{submitted}").get_json(), client.get(f"/jobs/{submitted}")

    assert (shown["by"], shown["wish_by"], page.status_code) == (None, None, 200)
    assert " by  · id" not in page.text


def _nothing_but_look(desk: Desk, job_id: str) -> dict[str, Callable[[], Any]]:
    return {
        "submit": lambda: desk.submissions.submit(VIEWER, parse_spec({"name": "hers"})),
        "wish": lambda: desk.wishes.express(VIEWER, job_id, Wish.CANCEL),
        "prioritise": lambda: desk.wishes.prioritise(VIEWER, job_id, 9),
        "evaluate": lambda: desk.evaluations.evaluate(VIEWER, job_id),
        "drill": lambda: desk.drills.drill(VIEWER, job_id),
        "delete": lambda: desk.deletions.delete(VIEWER, job_id, cancel=True),
    }


@pytest.mark.parametrize("deed", ["submit", "wish", "prioritise", "evaluate", "drill", "delete"])
def test_a_deed_that_is_not_allowed_leaves_nothing(
    app: Flask, settings: Settings, store: Store, submitted: str, actor: Actor, deed: str
) -> None:
    """Neither on disk nor in the queue server; the answer says why."""
    run = actor.claim(submitted)
    before = sorted(settings.jobs_dir.rglob("*")), store.jobs.get(submitted), audited(settings)

    with pytest.raises(NotAllowed, match="eve may not do this") as refused:
        _nothing_but_look(app.extensions["keepfit"], submitted)[deed]()

    assert status_of(refused.value) == 403
    assert (sorted(settings.jobs_dir.rglob("*")), store.jobs.get(submitted), audited(settings)) == before
    assert not store.upkeep.drilled(run.claim.owner)
