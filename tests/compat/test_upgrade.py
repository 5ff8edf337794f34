"""`keepfit up` of this version on the data directory of 0.1, with the append-only file that 0.1 has left."""

import json
from pathlib import Path

from keepfit.shared import datadir
from keepfit.shared.jobs.directory import open_jobdir
from keepfit.shared.jobs.states import JobState
from keepfit.web.client import Client
from tests.compat.test_0_1 import EXPECTED, JOBS, copied
from tests.harness.documents import record_of
from tests.harness.processes import Household
from tests.harness.services import Service


def test_the_service_goes_on_where_0_1_was_killed(household: Household, tmp_path: Path) -> None:
    """What ran or waited ends with the bits of 0.1; what had stopped stays so; a paused job resumes."""
    data_dir = copied(tmp_path / "data")
    service = Service(household, data_dir, "--threads", str(EXPECTED["environment"]["threads"]))
    waiting = [role for role, job in JOBS.items() if job["state"] in ("running", "queued")]

    with Client(service.url) as keepfit:
        ended = {role: keepfit.wait(JOBS[role]["id"], timeout_s=150) for role in waiting}
        stopped = {role: keepfit.job(job["id"]).state for role, job in JOBS.items() if role not in waiting}
        keepfit.resume(JOBS["early stopping"]["id"])
        ended["early stopping"] = keepfit.wait(JOBS["early stopping"]["id"], timeout_s=60)

    assert stopped == {role: JOBS[role]["state"] for role in stopped}
    for role, job in ended.items():
        assert job.state is JobState.SUCCEEDED, job.reason
        record = record_of(open_jobdir(data_dir / "jobs", job.id).attempt_dirs()[-1])
        if record.environment == EXPECTED["environment"]:
            assert job.weights_sha256 == JOBS[role]["twin"]["weights_sha256"], role
    assert json.loads((data_dir / datadir.NAME).read_text())["format"] == datadir.FORMAT
