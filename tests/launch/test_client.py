"""The Python API where the service is not steady: calls survive a restart of the web side."""

from pathlib import Path

import httpx
import pytest

from keepfit.web.client import Client, RequestRefused, ServiceUnreachable
from tests.harness.processes import free_port
from tests.harness.services import Service

QUICK = {"name": "quick", "training": {"epochs": 1}}


def test_a_submit_survives_a_restart_of_the_web_side(service: Service) -> None:
    """The web process is killed; the same call waits for the next one and makes exactly one job."""
    web = service.part("keepfit.web.serve")
    assert web is not None
    with Client(service.url, patience_s=30) as client:
        before = {job.id for job in client.jobs()}
        web.kill()

        job = client.submit(QUICK | {"name": "during a restart"})

        made = [j for j in client.jobs() if j.id not in before]
    assert [j.id for j in made] == [job.id]


def test_events_go_on_after_a_restart_of_the_web_side(service: Service) -> None:
    """The stream is taken up again where it was cut: no event is missed, none comes twice."""
    with Client(service.url, patience_s=30) as client:
        job = client.submit({"name": "told on", "training": {"epochs": 30, "batch_size": 2}})
        seen: list[str] = []
        killed = False
        for event in client.events(job.id):
            if event.id:
                seen.append(event.id)
            if event.type == "epoch" and not killed:
                killed = True
                if web := service.part("keepfit.web.serve"):
                    web.kill()
            if event.type == "state" and event.data["state"] == "succeeded":
                break
        again = _all_ids(client, job.id, last=seen[-1])

    assert seen == again


def _all_ids(client: Client, job_id: str, last: str) -> list[str]:
    """The ids of all events up to ``last``, read in one go."""
    ids = []
    for event in client.events(job_id):
        if event.id:
            ids.append(event.id)
        if event.id == last:
            break
    return ids


def test_a_service_that_does_not_come_back_is_an_error() -> None:
    """After its patience the client says that nobody answers."""
    with Client(f"http://127.0.0.1:{free_port()}", patience_s=0.2) as client:
        with pytest.raises(ServiceUnreachable, match="No Keepfit answers"):
            client.jobs()
        with pytest.raises(ServiceUnreachable):
            next(client.events("aaaaaaaaaaaa"))


def test_an_answer_of_another_program_is_an_error(service: Service) -> None:
    """What is not an answer of Keepfit is called so, instead of failing somewhere inside."""
    with Client(f"{service.url}/static") as client, pytest.raises(RequestRefused) as caught:
        client.jobs()

    assert caught.value.status == httpx.codes.NOT_FOUND


def test_a_download_that_is_refused_leaves_no_file(service: Service, tmp_path: Path) -> None:
    """There is no model before the end; nothing is written then."""
    target = tmp_path / "model.keras"
    with Client(service.url) as client:
        job = client.submit({"name": "too early", "training": {"epochs": 1000}})
        with pytest.raises(RequestRefused):
            client.download(job.id, "model.keras", target)
        client.cancel(job.id)

    assert not list(tmp_path.iterdir())
