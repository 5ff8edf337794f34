"""The list's index: right after whatever happens, rebuilt when it is lost, and bounded in what may be asked of it."""

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import redis
from flask import Flask
from flask.testing import FlaskClient

from keepfit.shared.jobs.directory import create_jobdir, open_jobdir
from keepfit.shared.jobs.states import JobState, Outcome
from keepfit.shared.reasons import NONE, said
from keepfit.shared.settings import Settings
from keepfit.shared.spec import parse_spec
from keepfit.shared.store import JobRecord, Store
from keepfit.web.app import create_app
from keepfit.web.index import Filling, IndexFile, JobIndex
from keepfit.web.words.wording import OUTAGE, REBUILDING
from tests.harness.processes import Valkey
from tests.harness.waiting import wait_until
from tests.web.acting import Actor, no_writes
from tests.web.conftest import SPEC, closed


def submit(client: FlaskClient, name: str) -> str:
    """The id of a new job."""
    return str(client.post("/api/v1/jobs", json=SPEC | {"name": name}).get_json()["id"])


def listed(client: FlaskClient, **asked: Any) -> Any:
    """What the API's list says."""
    answer = client.get("/api/v1/jobs", query_string=asked)
    assert answer.status_code == 200, answer.text
    return answer.get_json()


def names(client: FlaskClient, **asked: Any) -> list[str]:
    """The names in the list."""
    return [job["name"] for job in listed(client, **asked)["jobs"]]


@pytest.fixture
def mixed(client: FlaskClient, actor: Actor) -> dict[str, str]:
    """Jobs in several states, an evaluation among them: name to id."""
    found = {name: submit(client, name) for name in ("queued", "failed", "succeeded")}
    actor.claim(found["failed"]).end(Outcome.FAILED, "bad data", {"outcome": "failed", "reason": "bad data"})
    run = actor.claim(found["succeeded"])
    run.start()
    run.finish()
    answer = client.post(f"/api/v1/jobs/{found['succeeded']}/evaluations", json={"name": "measured"})
    return found | {"measured": answer.get_json()["id"]}


def test_lists_are_filtered_by_state_and_kind(client: FlaskClient, mixed: dict[str, str]) -> None:
    """By the API and on the page; the total is that of the filter."""
    wait_until(lambda: names(client, state="failed") == ["failed"], "the index has heard of the end")

    assert names(client, state="queued", kind="train") == ["queued"]
    assert names(client, state="queued") == ["measured", "queued"]
    assert names(client, kind="evaluate") == ["measured"]
    assert listed(client, kind="train", limit=1)["total"] == 3
    page = client.get("/?state=failed&kind=train").text
    assert f"/jobs/{mixed['failed']}" in page
    assert f"/jobs/{mixed['queued']}" not in page


def test_the_page_counts_by_state(client: FlaskClient, mixed: dict[str, str]) -> None:
    """Each state that there are jobs in is a link with its number."""
    assert mixed
    wait_until(lambda: names(client, state="succeeded"), "the index has heard of the end")

    page = " ".join(client.get("/").text.split())

    for link in ('All <span class="num">4<', 'Queued <span class="num">2<', 'Failed <span class="num">1<'):
        assert link in page


def test_the_second_page_keeps_the_filter(client: FlaskClient) -> None:
    """Links to other pages ask for the same."""
    for number in range(27):
        submit(client, f"job {number}")

    first, second, beyond = (client.get(f"/?state=queued&page={n}") for n in (1, 2, 99))

    assert "/?page=2&amp;state=queued" in first.text or "/?state=queued&amp;page=2" in first.text
    assert "job 1<" in second.text
    assert "job 26<" not in second.text
    assert (beyond.status_code, "state=queued" in beyond.location, "page=2" in beyond.location) == (302, True, True)


@pytest.mark.parametrize("name", ["limit", "offset"])
@pytest.mark.parametrize("number", ["-1", "abc", "1.5", "9" * 19, "9" * 20, "9223372036854775807", "١٢", "1e3"])
def test_a_number_that_is_none_is_refused_and_is_nobodys_outage(client: FlaskClient, name: str, number: str) -> None:
    """422 in words, and the next client's list is live."""
    answer = client.get("/api/v1/jobs", query_string={name: number})

    assert answer.status_code == 422
    assert "Must be a whole number" in answer.get_json()["error"]["fields"][name]
    assert listed(client)["live"] is True
    assert OUTAGE not in client.get("/").text


@pytest.mark.parametrize("number", ["0", "-1", "abc", "9" * 18, "9" * 20, "9223372036854775807"])
def test_a_page_that_is_none_is_refused_in_words(client: FlaskClient, number: str) -> None:
    """Never an outage."""
    answer = client.get("/", query_string={"page": number})

    assert answer.status_code == 422
    assert "Must be a whole number" in answer.text
    assert OUTAGE not in client.get("/").text


@pytest.mark.parametrize(
    ("field", "value"), [("state", "done"), ("kind", "dream"), ("stat", "failed"), ("state", "FAILED")]
)
def test_an_unknown_filter_is_refused_in_words(client: FlaskClient, field: str, value: str) -> None:
    """It is never passed over, as if all jobs had been asked for."""
    answer = client.get("/api/v1/jobs", query_string={field: value})

    assert answer.status_code == 422
    assert field in answer.get_json()["error"]["fields"]


def test_beyond_the_end_there_is_nothing(client: FlaskClient, submitted: str) -> None:
    """An empty list, and how many there are."""
    assert submitted
    answer = listed(client, offset=1_000_000_000)

    assert (answer["jobs"], answer["total"], answer["live"]) == ([], 1, True)


def test_jobs_of_other_processes_come_by_the_stream(client: FlaskClient, settings: Settings, store: Store) -> None:
    """Nothing needs to be asked of this process for it to know."""
    assert names(client) == []
    jobdir, _ = create_jobdir(settings.jobs_dir, parse_spec(SPEC | {"name": "from elsewhere"}))
    store.jobs.create(jobdir)

    wait_until(lambda: names(client) == ["from elsewhere"], "the list has it")


def test_more_changes_than_the_stream_holds(client: FlaskClient, settings: Settings, store: Store) -> None:
    """A gap is answered by a look at everything."""
    assert names(client) == []
    for number in range(30):
        jobdir, _ = create_jobdir(settings.jobs_dir, parse_spec(SPEC | {"name": f"job {number}"}))
        store.jobs.create(jobdir)
        store.link.ask(lambda r: r.xtrim("kf:changes", maxlen=1, approximate=False))

    wait_until(lambda: listed(client)["total"] == 30, "the list has all of them")


def test_what_a_keeper_puts_back_is_looked_at_once(
    client: FlaskClient, settings: Settings, store: Store, valkey_url: str
) -> None:
    """A rebuild of many jobs is not followed job by job; when it is over, the list is right."""
    assert names(client) == []
    for number in range(150):
        jobdir, _ = create_jobdir(settings.jobs_dir, parse_spec(SPEC | {"name": f"job {number}"}))
        store.upkeep.put_back(jobdir, JobState.PAUSED, said("paused by a person"))
    store.upkeep.mark_booted()

    wait_until(lambda: listed(client, state="paused")["total"] == 150, "the list has all of them")


def test_a_directory_that_was_removed_leaves_the_list(
    client: FlaskClient, settings: Settings, store: Store, submitted: str
) -> None:
    """At the next look, and for good when the server has forgotten it."""
    assert listed(client)["total"] == 1
    shutil.rmtree(settings.jobs_dir / submitted)
    store.upkeep.forget(submitted)

    assert names(client) == []
    assert listed(client)["total"] == 0


def test_a_job_that_a_keeper_has_dropped_leaves_the_list(
    app: Flask, client: FlaskClient, settings: Settings, store: Store, submitted: str
) -> None:
    """The change stream tells of it; nobody needs to look at its row."""
    assert listed(client)["total"] == 1
    shutil.rmtree(settings.jobs_dir / submitted)
    store.upkeep.remove(submitted)

    index = app.extensions["keepfit"].feeder.index
    wait_until(lambda: index.page(10).total == 0, "the row is gone")


def test_a_damaged_record_costs_no_list(client: FlaskClient, mixed: dict[str, str], valkey_url: str) -> None:
    """Its row is as it was last known, and the others are live."""
    assert len(names(client)) == 4
    with redis.Redis.from_url(valkey_url) as server:
        server.delete(f"kf:job:{mixed['failed']}")
        server.set(f"kf:job:{mixed['failed']}", "no hash")
        server.hset(f"kf:job:{mixed['queued']}", "state", "no state")

    assert sorted(names(client)) == ["failed", "measured", "queued", "succeeded"]
    assert client.get("/").status_code == 200


def test_without_the_server_the_list_is_as_last_known(settings: Settings, valkey_url: str, tmp_path: Path) -> None:
    """The same query, the same filters; it says that it is not live. What is submitted meanwhile is in it at once."""
    with Valkey(tmp_path / "own") as server:
        app = create_app(settings.model_copy(update={"redis_url": server.url}))
        client = app.test_client()
        submit(client, "before")
        assert listed(client)["live"] is True
        server.stop()

        submit(client, "meanwhile")
        answer = listed(client, state="queued")

        assert ([j["name"] for j in answer["jobs"]], answer["live"]) == (["meanwhile", "before"], False)
        assert answer["notice"] == OUTAGE
        closed(app)


def test_a_wish_while_the_server_is_away_is_in_the_list(stranded: FlaskClient, submitted: str) -> None:
    """What was accepted is shown, not what was before."""
    assert names(stranded, state="queued") == ["first"]

    stranded.post(f"/api/v1/jobs/{submitted}/pause", json={})

    assert names(stranded, state="paused") == ["first"]


def test_a_wiped_server_leaves_the_list_as_it_was(
    client: FlaskClient, valkey_url: str, mixed: dict[str, str], store: Store, settings: Settings
) -> None:
    """What was last known, with a notice, until the server has it again."""
    wait_until(lambda: names(client, state="failed") == ["failed"], "the index has heard of the end")
    with redis.Redis.from_url(valkey_url) as server:
        server.flushall()

    answer = listed(client, state="failed")
    assert ([j["name"] for j in answer["jobs"]], answer["notice"]) == (["failed"], REBUILDING)

    for name, state in {"queued": JobState.QUEUED, "failed": JobState.FAILED, "succeeded": JobState.SUCCEEDED}.items():
        store.upkeep.put_back(open_jobdir(settings.jobs_dir, mixed[name]), state, NONE)
    store.upkeep.put_back(open_jobdir(settings.jobs_dir, mixed["measured"]), JobState.QUEUED, NONE)
    assert listed(client)["live"] is True


@pytest.fixture
def kept(settings: Settings) -> Path:
    """The file of an index that one job was put into."""
    app = create_app(settings)
    submit(app.test_client(), "kept")
    assert names(app.test_client()) == ["kept"]
    closed(app)
    [path] = (settings.data_dir / "index").glob("*.sqlite")
    return path


@pytest.mark.parametrize("damage", ["text", "torn", "other version", "empty", "directory"])
def test_a_damaged_or_foreign_file_is_replaced_in_silence(settings: Settings, kept: Path, damage: str) -> None:
    """It is only a copy: the jobs are found again."""
    whole = kept.read_bytes()
    if damage == "directory":
        kept.unlink()
        (kept / "something").mkdir(parents=True)
    elif damage == "other version":
        kept.write_bytes(whole[:60] + b"\0\0\0\7" + whole[64:])
    else:
        kept.write_bytes({"text": b"no database at all" * 99, "torn": whole[:5000], "empty": b""}[damage])
    app = create_app(settings)

    assert names(app.test_client()) == ["kept"]
    closed(app)


def test_a_file_that_is_damaged_while_it_is_used_is_replaced(app: Flask, client: FlaskClient) -> None:
    """The next look fills it again."""
    submit(client, "found again")
    assert names(client) == ["found again"]
    index = app.extensions["keepfit"].feeder.index
    with pytest.raises(ZeroDivisionError):
        index._file.run(lambda _db: 1 / 0)  # a fault of ours costs nothing
    index._file.run(lambda db: db.execute("PRAGMA writable_schema = 1"))
    index._file.run(lambda db: db.execute("UPDATE sqlite_master SET rootpage = 9999 WHERE name = 'jobs'"))
    index._file.run(lambda db: db.execute("PRAGMA schema_version = 77"))

    wait_until(lambda: names(client) == ["found again"], "the list has the job again")


def test_a_row_of_another_version_costs_itself(tmp_path: Path) -> None:
    """Neither the list nor the counts fail because of it."""
    index = JobIndex(IndexFile(tmp_path / "index"))
    index.put([JobRecord(f"j{number:011}", "job", "train", JobState.PAUSED) for number in range(3)])
    change = "UPDATE jobs SET record = json_set(record, ?, ?) WHERE id = ?"
    index._file.run(lambda db: db.execute(change, ("$.state", "dreaming", "j00000000001")))
    index._file.run(lambda db: db.execute(change, ("$.field_of_tomorrow", 1, "j00000000002")))

    assert [record.id for record in index.page(10).records] == ["j00000000002", "j00000000000"]
    assert index.counts()[JobState.PAUSED] == 2
    index.close()


def test_on_a_disk_that_takes_no_write_the_index_is_in_memory(settings: Settings, submitted: str) -> None:
    """Pages must show what is there."""
    assert submitted
    with no_writes():
        app = create_app(settings)
        assert names(app.test_client()) == ["first"]
        closed(app)


def test_two_processes_do_not_share_a_file(tmp_path: Path) -> None:
    """Each has its own; when one is gone, its file is used again."""
    first, second = (JobIndex(IndexFile(tmp_path / "index")) for _ in range(2))
    first.note("whose", "first")
    second.note("whose", "second")
    first.close()
    third = JobIndex(IndexFile(tmp_path / "index"))

    assert (second.noted("whose"), third.noted("whose")) == ("second", "first")
    second.close()
    third.close()


def test_a_restart_knows_the_list_at_once(settings: Settings, kept: Path, valkey_url: str) -> None:
    """A kept index is whole from the first request on, and the server is not asked for what it has told."""
    assert kept.exists()
    with redis.Redis.from_url(valkey_url) as server:
        server.config_resetstat()
        app = create_app(settings)
        feeder = app.extensions["keepfit"].feeder

        assert feeder.index.page(10).total == 1
        assert names(app.test_client()) == ["kept"]
        assert feeder.index.filling is None
        closed(app)
        assert "cmdstat_zrevrange" not in server.info("commandstats")


def test_an_index_that_is_not_whole_says_how_far_it_is(settings: Settings, kept: Path) -> None:
    """Instead of a list that looks complete."""
    assert kept.exists()
    app = create_app(settings)
    client = app.test_client()
    assert names(client) == ["kept"]
    closed(app)  # the feeder goes no further
    app.extensions["keepfit"].feeder.index.filling = Filling(12_400, 100_000)

    answer, page = listed(client), client.get("/").text

    assert "12,400 of 100,000 jobs" in answer["notice"]
    assert "12,400 of 100,000 jobs" in page
    assert client.get("/health").get_json()["listed"] == {"done": 12_400, "total": 100_000}
    closed(app)


def test_the_index_makes_no_temporary_files(tmp_path: Path) -> None:
    """A web process that is killed while it sorts leaves nothing behind: what SQLite sorts, it sorts in memory."""
    file = IndexFile(tmp_path / "index")

    assert file.run(lambda db: db.execute("PRAGMA temp_store").fetchone()) == (2,)

    file.close()


def test_wrong_sql_is_told_and_costs_no_row(tmp_path: Path) -> None:
    """A fault of ours is no fault of the disk: the index stays in its file, with all that is in it."""
    file = IndexFile(tmp_path / "index")
    before = file.run(lambda db: db.execute("SELECT count(*) FROM notes").fetchone())

    with pytest.raises(sqlite3.OperationalError, match="no such column"):
        file.run(lambda db: db.execute("SELECT unheard_of FROM jobs"))

    assert file.opened == 1
    assert file.run(lambda db: db.execute("SELECT count(*) FROM notes").fetchone()) == before
    file.close()
