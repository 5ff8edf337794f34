"""A service that is stopped while an attempt starts: the job is given back with the true cause, no kill."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from keepfit.web.client import Client, Job
from tests.harness.processes import Household, free_port
from tests.harness.waiting import wait_until


@pytest.fixture
def unanswered(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a machine whose network swallows everything: a data set is fetched for ever."""
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        proxy = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        yield {"https_proxy": proxy, "HTTPS_PROXY": proxy, "KERAS_HOME": str(tmp_path / "keras")}


def test_an_attempt_that_starts_is_no_kill_when_its_worker_is_stopped(
    household: Household, tmp_path: Path, unanswered: dict[str, str]
) -> None:
    """Neither in the record nor for the next attempt, though the process had to be killed."""
    port = free_port()
    options = ["--data-dir", str(tmp_path / "data"), "--port", str(port), "--redis-port", str(free_port())]
    service = household.start_service(*options, env=unanswered)
    with Client(f"http://127.0.0.1:{port}", patience_s=30) as client:
        job_id = client.submit({"name": "starts for ever", "data": {"name": "mnist"}}).id

        def attempts(number: int) -> Job | None:
            return job if (job := client.job(job_id)).attempt == number and job.raw["attempts"] else None

        wait_until(lambda: attempts(1), "the first attempt starts", timeout_s=60)
        service.stop()
        household.start_service(*options, env=unanswered)
        job = wait_until(lambda: attempts(2), "the second attempt starts", timeout_s=60)

    assert job
    assert [attempt["previous_end"] for attempt in job.raw["attempts"]] == ["", "its worker was stopped"]
