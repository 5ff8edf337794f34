"""What the command prints of jobs, from the real application over HTTP, with someone acting as the worker."""

import threading
from collections.abc import Iterator

import pytest
from click.testing import CliRunner
from flask import Flask
from werkzeug.serving import make_server

from shared.jobdir import JobDir, create_jobdir
from shared.settings import Settings
from shared.spec import TrainSpec
from shared.states import JobState
from shared.store import Store
from tests.web.acting import Actor
from web.cli import main
from web.client import KeepfitClient


@pytest.fixture
def url(app: Flask) -> Iterator[str]:
    """Where the application answers."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def keepfit(url: str, *arguments: str) -> str:
    """What the command prints. A bug shows as an exception."""
    return CliRunner().invoke(main, ["--url", url, *arguments], catch_exceptions=False).output


def test_a_finished_job_is_done_to_the_last_step(url: str, finished: str) -> None:
    """Whatever its last report said, which was at a tenth of it."""
    listed, shown = keepfit(url, "list"), keepfit(url, "show", finished)

    [row] = [line for line in listed.splitlines() if line.startswith(finished)]
    assert "100 %" in row
    assert "done      100 %" in shown.splitlines()


@pytest.fixture
def unchecked(settings: Settings, store: Store) -> JobDir:
    """A job of an older version, which took every name."""
    jobdir, _ = create_jobdir(settings.jobs_dir, TrainSpec.model_construct(name="a\x1b[31m\u202eb\n"))
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

    with KeepfitClient(url) as client:
        job, evaluation = client.job(unchecked.id), client.evaluate(unchecked.id)

    assert job.state is JobState.SUCCEEDED
    assert evaluation.name.startswith("Evaluation of a\N{REPLACEMENT CHARACTER}")
