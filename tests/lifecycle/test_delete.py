"""Running jobs are deleted, on a real service: their attempts stop, or wake up later, and nothing comes back."""

import os
import signal
from pathlib import Path

import psutil

from keepfit.shared.host import Owner
from keepfit.shared.jobs.deleting import FOLDER
from tests.harness.waiting import wait_until
from tests.lifecycle.conftest import Service


def traces(service: Service, job_id: str) -> list[str]:
    """What there still is of a job, on disk and in the server, but for its tombstone."""
    jobs = service.data_dir / "jobs"
    paths = [str(path) for path in service.data_dir.rglob(f"*{job_id}*") if path != jobs / FOLDER / f"{job_id}.json"]
    keys: list[str] = service.store.link.ask(lambda r: [key for key in r.scan_iter() if job_id in key])
    return paths + keys


def trainer_of(service: Service, job_id: str) -> psutil.Process:
    """The process that trains a job."""
    return psutil.Process(Owner.parse(service.record(job_id).owner).child.pid)


def test_the_attempt_of_a_deleted_job_ends_and_its_slot_is_free(service: Service) -> None:
    """It is told within moments; the next job runs, and no byte of the deleted one is left."""
    job_id = service.submit(epochs=10_000)
    service.wait_for_step(job_id, 100)
    trainer = trainer_of(service, job_id)

    service.client.delete(job_id, cancel=True)

    wait_until(lambda: not trainer.is_running(), "its process has ended", timeout_s=10)
    next_id = service.submit(epochs=1)
    service.wait_for_end(next_id)
    assert traces(service, job_id) == []
    service.client.delete(next_id)


def test_a_frozen_attempt_that_wakes_up_brings_nothing_back(service: Service) -> None:
    """Its job was deleted meanwhile; it writes nothing, takes no lease, and ends."""
    job_id = service.submit(epochs=10_000)
    service.wait_for_step(job_id, 100)
    trainer = trainer_of(service, job_id)
    os.kill(trainer.pid, signal.SIGSTOP)

    service.client.delete(job_id, cancel=True)
    while_frozen = traces(service, job_id)
    os.kill(trainer.pid, signal.SIGCONT)

    wait_until(lambda: not trainer.is_running(), "its process has ended", timeout_s=20)
    assert while_frozen == traces(service, job_id) == []


def test_a_web_process_that_dies_in_a_deletion_leaves_it_to_the_keepers(service: Service) -> None:
    """The directory was moved away, and nobody was told: the attempt stops and the space is freed all the same."""
    job_id = service.submit(epochs=10_000)
    service.wait_for_step(job_id, 100)
    trainer = trainer_of(service, job_id)
    jobs = service.data_dir / "jobs"

    Path(jobs / job_id).rename(jobs / FOLDER / job_id)

    wait_until(lambda: traces(service, job_id) == [], "nothing is left", timeout_s=20)
    wait_until(lambda: not trainer.is_running(), "its process has ended", timeout_s=10)
    assert (jobs / FOLDER / f"{job_id}.json").exists()
