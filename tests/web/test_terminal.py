"""What the command prints of jobs, from the real application over HTTP, with someone acting as the worker."""

import _thread
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from flask import Flask, Response, request, request_started
from flask.testing import FlaskClient
from rich.cells import cell_len
from rich.console import Console
from werkzeug.serving import make_server

from keepfit.shared.catalog.accepting import accept
from keepfit.shared.catalog.library import builtin_library
from keepfit.shared.jobs.directory import JobDir, create_jobdir
from keepfit.shared.jobs.states import JobState, Outcome
from keepfit.shared.settings import Settings
from keepfit.shared.spec import TrainSpec
from keepfit.shared.store import Store
from keepfit.web.cli.command import main
from keepfit.web.cli.watching import watch_job
from keepfit.web.client import Client, RequestRefused
from tests.harness.waiting import wait_until
from tests.web.acting import Actor, no_writes


@contextmanager
def served(application: Any) -> Iterator[str]:
    """Where ``application`` answers."""
    server = make_server("127.0.0.1", 0, application, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def url(app: Flask) -> Iterator[str]:
    """Where Keepfit answers."""
    with served(app) as url:
        yield url


def run(url: str, *arguments: str) -> Result:
    """Run the command. A bug shows as an exception."""
    return CliRunner().invoke(main, ["--url", url, *arguments], catch_exceptions=False)


def keepfit(url: str, *arguments: str) -> str:
    """What the command prints."""
    return run(url, *arguments).output


def test_the_address_may_stand_after_the_command(url: str, finished: str) -> None:
    """`keepfit list --url ...` is the same as `keepfit --url ... list`."""
    result = CliRunner().invoke(main, ["list", "--url", url], catch_exceptions=False)

    assert result.exit_code == 0
    assert finished in result.output


def test_watching_a_job_that_is_over_says_what_became_of_it(url: str, finished: str) -> None:
    """Its epochs, its end and its numbers, and the command ends."""
    result = run(url, "watch", finished)

    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0].startswith("epoch 1  ")
    assert "val_loss 0.4500" in lines[0]
    assert lines[1:] == ["succeeded", "accuracy 0.9500", "loss 0.2000"]


def test_watching_a_job_that_has_failed_says_so(url: str, submitted: str, actor: Actor) -> None:
    """The reason, once in the story and once as the error; never the state that it began in."""
    attempt = actor.claim(submitted)
    attempt.start()
    attempt.end(Outcome.FAILED, "the loss is not a number [since step 12]", {"outcome": "failed"})

    result = run(url, "watch", submitted)

    assert result.exit_code == 1
    assert result.output.splitlines()[0] == "failed: the loss is not a number [since step 12]"
    assert f"Job {submitted} has failed: the loss is not a number [since step 12]" in result.output
    assert "queued" not in result.output


def test_following_a_job_tells_everything_from_its_beginning(url: str, submitted: str, actor: Actor) -> None:
    """More than one answer of the stream holds is told to the end, in lines that no pipe breaks."""
    attempt = actor.claim(submitted)
    attempt.start()
    for number in range(600):
        attempt.log(f"line {number}")
    attempt.log("a long [line] :smile: " + "x" * 200)
    printed = io.StringIO()
    console = Console(file=printed, markup=False, emoji=False, highlight=False, soft_wrap=True, width=80)
    with Client(url) as client:
        watcher = threading.Thread(target=lambda: watch_job(client, submitted, console))
        watcher.start()
        wait_until(lambda: "line 0\n" in printed.getvalue(), "the story has begun")
        attempt.end_epoch(0)
        attempt.finish()
        watcher.join(30)

    lines = printed.getvalue().splitlines()
    assert [line for line in lines if line.startswith("line ")] == [f"line {number}" for number in range(600)]
    assert "a long [line] :smile: " + "x" * 200 in lines
    assert lines[-3:] == ["succeeded", "accuracy 0.9500", "loss 0.2000"]


def test_every_job_can_be_reached(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One answer holds a page of them; the client and the command ask for as many pages as are wanted."""
    monkeypatch.setattr("keepfit.web.client.client.PAGE_SIZE", 2)
    with Client(url) as client:
        made = [client.submit({"name": f"job {number}"}).id for number in range(5)][::-1]

        assert [job.id for job in client.jobs(None)] == made
        assert [job.id for job in client.jobs(3, offset=1)] == made[1:4]
        assert client.jobs(offset=5) == []
    for options, shown in {
        ("--all",): made,
        ("--limit", "1000"): made,
        ("--limit", "2", "--offset", "1"): made[1:3],
    }.items():
        assert [line.split()[0] for line in keepfit(url, "list", *options).splitlines()] == ["ID", *shown]


def test_jobs_can_be_asked_for_by_state_and_kind(url: str, finished: str) -> None:
    """By the client and by the command; one that does not exist is refused in words."""
    with Client(url) as client:
        waiting, evaluation = client.submit({"name": "waits"}), client.evaluate(finished)

        def ids(state: str | None = None, kind: str | None = None) -> set[str]:
            return {job.id for job in client.jobs(None, state=state, kind=kind)}

        wait_until(lambda: ids() == {finished, waiting.id, evaluation.id}, "the index has heard of all")
        assert ids(state="succeeded") == {finished}
        assert ids(kind="evaluate") == ids(state="queued", kind="evaluate") == {evaluation.id}
        with pytest.raises(RequestRefused):
            client.jobs(state="asleep")
    listed = keepfit(url, "list", "--state", "queued", "--kind", "train")
    assert [line.split()[0] for line in listed.splitlines()] == ["ID", waiting.id]
    assert keepfit(url, "list", "--state", "failed") == "There are no such jobs.\n"


def test_no_line_of_a_list_is_broken(url: str) -> None:
    """A long name of wide letters takes the room that it needs, and the columns stay in line."""
    name = "손글씨 " * 15
    with Client(url) as client:
        long, short = client.submit({"name": name}), client.submit({"name": "short"})

    heading, *rows = keepfit(url, "list").splitlines()

    assert [row.split()[0] for row in rows] == [short.id, long.id]
    assert name.strip() in rows[1]
    assert {cell_len(row[: row.index("queued")]) for row in rows} == {heading.index("STATE")}


def test_an_evaluation_says_its_id_and_why_it_waits(url: str, finished: str) -> None:
    """Without waiting for it, where nobody would do it."""
    result = run(url, "evaluate", finished, "--no-wait")

    assert result.exit_code == 0
    with Client(url) as client:
        [evaluation] = [job for job in client.jobs() if job.kind == "evaluate"]
    assert result.stdout == f"{evaluation.id}  {evaluation.url}\n"
    assert result.stderr == "waiting: no worker is alive\n"


def test_leaving_an_evaluation_says_how_to_come_back(url: str, app: Flask, finished: str) -> None:
    """Ctrl-C ends the command only: the evaluation goes on, and its id is said."""
    looked_at: list[str] = []

    def look(*_: Any, **__: Any) -> None:
        looked_at.append(f"{request.method} {request.path}")

    def press() -> None:
        wait_until(lambda: sum(said.startswith("GET /api/v1/jobs/") for said in looked_at) > 1, "the command waits")
        _thread.interrupt_main()

    with request_started.connected_to(look, app):
        threading.Thread(target=press).start()
        result = run(url, "evaluate", finished)

    assert result.exit_code == 1
    assert f"See it with: keepfit watch {result.stdout.split()[0]}\n" in result.stderr


@pytest.mark.parametrize("kind", [str, Path])
def test_a_download_goes_to_any_kind_of_path(url: str, finished: str, tmp_path: Path, kind: type) -> None:
    """A string is a path too."""
    with Client(url) as client:
        target = client.download(finished, "model.keras", kind(tmp_path / "x.keras"))

    assert target == tmp_path / "x.keras"
    assert target.read_bytes() == b"a model"


def test_a_download_that_cannot_be_written_is_a_message(url: str, finished: str, tmp_path: Path) -> None:
    """Not a traceback."""
    (tmp_path / "x.keras").mkdir()

    with no_writes():
        result = run(url, "download", finished, "--to", str(tmp_path / "y.keras"))

    assert result.exit_code == 1
    assert result.output.startswith("Error: ")


@pytest.mark.parametrize("command", [["list"], ["show", "a"], ["watch", "a"], ["submit", "--name", "a"]])
def test_another_program_at_the_address_is_a_message(command: list[str]) -> None:
    """Whatever it answers, and that with 200."""
    for body in (b"hello", b"[]", b'{"jobs": [{"id": 1}], "id": 3}'):
        with served(Response(body, mimetype="application/json")) as url:
            result = run(url, *command)

        assert result.exit_code == 1
        assert "that is no Keepfit" in result.output


def test_a_priority_out_of_range_is_named(url: str) -> None:
    """In words that say what it is."""
    result = run(url, "priority", "aaaaaaaaaaaa", "10")

    assert result.exit_code == 2
    assert "Invalid value for 'PRIORITY': 10 is not in the range -9<=x<=9." in result.output


def test_a_finished_job_is_done_to_the_last_step(url: str, finished: str) -> None:
    """Whatever its last report said, which was at a tenth of it."""
    listed, shown = keepfit(url, "list"), keepfit(url, "show", finished)

    [row] = [line for line in listed.splitlines() if line.startswith(finished)]
    assert "100 %" in row
    assert "done      100 %" in shown.splitlines()


def test_what_is_special_of_an_end_is_shown(url: str, client: FlaskClient, submitted: str, actor: Actor) -> None:
    """In the same words by the API, the command and the page."""
    said = "It is no better than guessing: always naming the commonest class would do about as well."
    attempt = actor.claim(submitted)
    attempt.start()
    extra = {"no_better_than_guessing": True, "exports": {"weights.h5": "of its layers"}}
    result = {"outcome": "finished", "metrics": {"accuracy": 0.1, "loss": 2.3}, "extra": extra}
    attempt.end(Outcome.FINISHED, "", result)

    assert client.get(f"/api/v1/jobs/{submitted}").get_json()["remarks"][0] == said
    assert f"note      {said}" in keepfit(url, "show", submitted).splitlines()
    assert "note      There is no weights.h5: of its layers." in keepfit(url, "show", submitted).splitlines()
    assert said in client.get(f"/jobs/{submitted}").text


@pytest.fixture
def unchecked(settings: Settings, store: Store) -> JobDir:
    """A job of an older version, which took every name."""
    spec = accept(TrainSpec.model_construct(name="a\x1b[31m\u202eb\n"), builtin_library())
    jobdir, _ = create_jobdir(settings.jobs_dir, spec)
    store.jobs.create(jobdir)
    return jobdir


@pytest.mark.parametrize("command", ["list", "show"])
def test_a_name_that_nobody_has_checked_does_nothing_to_the_terminal(url: str, unchecked: JobDir, command: str) -> None:
    """What a terminal would obey is shown as a mark."""
    printed = keepfit(url, command, *([] if command == "list" else [unchecked.id]))

    assert not {"\x1b", "\u202e"} & set(printed)
    assert "a\N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER}b" in printed


def test_a_job_whose_name_would_be_refused_now_is_still_whole(url: str, unchecked: JobDir, actor: Actor) -> None:
    """It runs to its end, and its model can be evaluated."""
    actor.claim(unchecked.id).finish()

    with Client(url) as client:
        job, evaluation = client.job(unchecked.id), client.evaluate(unchecked.id)

    assert job.state is JobState.SUCCEEDED
    assert evaluation.name.startswith("Evaluation of a\N{REPLACEMENT CHARACTER}")


def test_rm_says_what_goes_and_asks(url: str, finished: str, client: FlaskClient) -> None:
    """Without a yes nothing is deleted; with it, what it has freed is said."""
    evaluation = client.post(f"/api/v1/jobs/{finished}/evaluations", json={}).get_json()["id"]

    kept = CliRunner().invoke(main, ["--url", url, "rm", finished], input="n\n")
    assert client.get(f"/api/v1/jobs/{finished}").status_code == 200
    done = CliRunner().invoke(main, ["--url", url, "rm", finished], input="y\n")

    assert (kept.exit_code, done.exit_code) == (1, 0)
    title, job, with_it = kept.output.splitlines()[:3]
    assert (title.split()[-1], job.split()[:3]) == ("FREES", [finished, "first", "succeeded"])
    assert with_it.split() == [evaluation, "Evaluation", "of", "first", "queued", "with", "it"]
    assert f"{finished} deleted, " in done.output
    assert client.get("/api/v1/jobs").get_json()["total"] == 0


def test_rm_of_several_jobs_needs_no_question_with_yes(url: str, client: FlaskClient) -> None:
    """One that was deleted before is said to be; one that has never been is an error before anything is done."""
    first, second = (client.post("/api/v1/jobs", json={"name": n}).get_json()["id"] for n in ("first", "second"))

    wrong = run(url, "rm", first, "aaaaaaaaaaaa", "--yes")
    assert client.get("/api/v1/jobs").get_json()["total"] == 2
    right = run(url, "rm", first, second, "--yes")
    again = run(url, "rm", first, "--yes")

    assert (wrong.exit_code, right.exit_code, again.exit_code) == (1, 0, 0)
    assert "There is no job aaaaaaaaaaaa." in wrong.output
    assert again.output == f"{first} was deleted before.\n"
    assert client.get("/api/v1/jobs").get_json()["total"] == 0


def test_rm_of_a_running_job_needs_to_be_told(url: str, submitted: str, actor: Actor, client: FlaskClient) -> None:
    """It says how; one command then cancels and deletes."""
    actor.claim(submitted)

    refused = run(url, "rm", submitted, "--yes")
    done = run(url, "rm", submitted, "--yes", "--cancel")

    assert (refused.exit_code, done.exit_code) == (1, 0)
    assert "cancel it first, or say --cancel" in refused.output
    assert client.get("/api/v1/jobs").get_json()["total"] == 0
