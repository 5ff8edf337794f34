"""Whatever is damaged in a job's directory, a rebuild, a look of the doctor and a record from disk come through."""

from pathlib import Path

import pytest

from keepfit.shared.jobs.directory import open_jobdir
from keepfit.shared.jobs.doctor import examine, mend
from keepfit.shared.jobs.mending import put_back, tell
from keepfit.shared.store import Store
from keepfit.web.jobs.ondisk import record_on_disk
from tests.unit.test_documents import DAMAGE, DOCUMENTS, make, put


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", DOCUMENTS)
def test_one_damaged_document_costs_itself(store: Store, tmp_path: Path, name: str, damage: str) -> None:
    """The job is put back, the doctor says what it is, and the job beside it is as it was."""
    jobdir, other = make(tmp_path / "jobs"), make(tmp_path / "jobs", "other")
    put(jobdir.path / name, damage)
    damaged = open_jobdir(tmp_path / "jobs", jobdir.id)

    assert not tell(damaged, store), "an attempt may be at work on it"
    assert all(put_back(found, store) for found in (damaged, other))
    found = {finding.job_id: finding for finding in examine(tmp_path / "jobs", store)}

    assert set(found) == {jobdir.id, other.id}
    assert found[other.id].problem == ""
    assert found[jobdir.id].problem
    mend(found[jobdir.id], tmp_path / "jobs", store)
    assert record_on_disk(damaged, now_ms=10**14).state == store.jobs.get(jobdir.id).state
    assert record_on_disk(damaged).name in ("first", jobdir.id)
