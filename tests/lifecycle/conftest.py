"""The real service, and one job that nobody disturbs: what every killed job must end like."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from keepfit.shared.errors import JobNotFound, StoreUnavailable
from keepfit.shared.jobs.states import ENDS, JobState
from keepfit.shared.settings import Settings
from keepfit.shared.store import JobRecord, Store, open_store
from keepfit.web.client import Client
from tests.harness.processes import Household, Part, free_port
from tests.harness.services import part_of
from tests.harness.waiting import wait_until

SPEC: dict[str, Any] = {
    "name": "to be killed",
    "training": {"epochs": 60, "batch_size": 8, "checkpoint_interval_s": 0.5, "seed": 7},
}
STEPS = 60 * 450
"""Epochs x steps of an epoch (3,600 samples, batches of 8)."""


@dataclass(frozen=True)
class Service:
    """A running `keepfit up` with two workers, seen from outside and from within."""

    process: Part
    data_dir: Path
    client: Client
    store: Store

    def part(self, word: str) -> psutil.Process:
        """The running part whose command line has ``word`` in it."""
        found = wait_until(lambda: part_of(self.process, word), f"{word} runs")
        assert found
        return found

    def record(self, job_id: str) -> JobRecord:
        """The job as the store has it; waits while the server is away or knows nothing yet after a wipe."""

        def ask() -> JobRecord | None:
            try:
                return self.store.jobs.get(job_id)
            except (StoreUnavailable, JobNotFound):
                return None

        found = wait_until(ask, "the server knows the job", timeout_s=20)
        assert found
        return found

    def submit(self, **changes: Any) -> str:
        """A new job like the undisturbed one, with ``changes`` to its training."""
        spec = {**SPEC, "training": {**SPEC["training"], **changes}}
        return self.client.submit(spec).id

    def wait_for_step(self, job_id: str, step: int) -> JobRecord:
        """Wait until a running job has passed ``step``."""
        ready: Callable[[], JobRecord | None] = lambda: (  # noqa: E731
            r if (r := self.record(job_id)).state is JobState.RUNNING and r.progress.get("step", 0) > step else None
        )
        found = wait_until(ready, f"the job has passed step {step}", timeout_s=60)
        assert found
        return found

    def wait_for_end(self, job_id: str) -> JobRecord:
        """Wait until a job has ended."""
        found = wait_until(lambda: (r := self.record(job_id)).state in ENDS and r, "the job has ended", timeout_s=120)
        assert found
        return found


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service, ready, with two workers of one slot each."""
    directory = tmp_path_factory.mktemp("lifecycle")
    port, redis_port, data_dir = free_port(), free_port(), directory / "data"
    options = ["--data-dir", str(data_dir), "--port", str(port), "--redis-port", str(redis_port)]
    with Household(directory / "household") as household:
        process = household.start_service(*options, "--workers", "2", "--slots", "1", "--drills")
        store = open_store(Settings(data_dir=data_dir, redis_port=redis_port).broker_url)
        with Client(f"http://127.0.0.1:{port}") as client:
            yield Service(process, data_dir, client, store)
        store.close()


@pytest.fixture(scope="module")
def undisturbed(service: Service) -> str:
    """The sha256 of the final weights of a job that nobody disturbs."""
    record = service.wait_for_end(service.submit())
    assert record.state is JobState.SUCCEEDED, record.reason
    assert record.attempt == 1
    return str(record.result["weights_sha256"])


@pytest.fixture(autouse=True)
def _no_stopped_process(service: Service) -> Iterator[None]:
    """A process that a test has stopped goes on afterwards, so that the service can end."""
    yield
    for process in service.process.children():
        try:
            if process.status() == psutil.STATUS_STOPPED:
                os.kill(process.pid, 18)
        except psutil.NoSuchProcess:
            continue
