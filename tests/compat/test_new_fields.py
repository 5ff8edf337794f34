"""A new field ends no old job: the code as it will be once every model has a field more, over what 0.1 has left.

Only a changed copy of the code shows it: a digest made of what today's code writes agrees with itself.
"""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from keepfit.shared.errors import JobConflict
from keepfit.shared.jobs.directory import create_jobdir, list_jobdirs, open_jobdir
from keepfit.shared.jobs.events import Event
from keepfit.shared.jobs.mending import put_back
from keepfit.shared.jobs.states import JobState
from keepfit.shared.settings import Settings
from keepfit.shared.spec import TrainSpec, parse_spec
from keepfit.shared.store import Store
from tests.compat.make_0_1 import SPECS
from tests.compat.test_0_1 import EXPECTED, JOBS, Resumer, copied
from tests.harness.processes import ROOT, free_port
from tests.harness.specs import accepted

GROWING = {"BaseModel", "Document", "Event"}
"""Classes of these get one more field, and so does the record of a job."""
KNOWN = {
    "JobRecord",
    "JobSpec",
    "DataSpec",
    "DatasetCard",
    "JobFile",
    "WishFile",
    "VerdictFile",
    "ClaimFile",
    "AttemptFile",
    "ResultFile",
}
"""Some of them; the others are found as well, wherever they are."""
SUBMIT = """
import json, sys
from pathlib import Path
from keepfit.shared.settings import Settings
from keepfit.web.app import create_app
client = create_app(Settings(data_dir=Path(sys.argv[1]), redis_url=sys.argv[2])).test_client()
key, spec = sys.argv[3], json.loads(sys.argv[4])
print(client.post("/api/v1/jobs", json=spec, headers={"Idempotency-Key": key}).text)
"""


def grow(source: str) -> tuple[str, set[str], dict[str, set[str]]]:
    """``source`` with a field more in each document, which these are, and the bases of all classes in it."""
    lines, grown, bases = source.splitlines(), set(), {}
    for node in reversed(ast.parse(source).body):
        if not isinstance(node, ast.ClassDef):
            continue
        bases[node.name] = {base.id for base in node.bases if isinstance(base, ast.Name)}
        if bases[node.name] & GROWING or node.name == "JobRecord":
            lines.insert(node.end_lineno or 0, "    added_later: int | None = None")
            grown.add(node.name)
    return "\n".join(lines) + "\n", grown, bases


def grow_all(root: Path) -> set[str]:
    """Add a field to each document of the code in ``root``. Which these are, those that inherit it too."""
    grown, bases = set[str](), dict[str, set[str]]()
    for path in [path for name in ("shared", "web", "worker") for path in root.glob(f"{name}/**/*.py")]:
        changed, found, classes = grow(path.read_text())
        if found:
            path.write_text(changed)
        grown |= found
        bases |= classes
    while heirs := {name for name, found in bases.items() if found & grown} - grown:
        grown |= heirs
    return grown


@pytest.fixture(scope="module")
def later(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code of a version to come."""
    root = tmp_path_factory.mktemp("later")
    for name in ("shared", "web", "worker", "keepfit"):
        shutil.copytree(ROOT / name, root / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "tests" / "compat").mkdir(parents=True)
    shutil.copy(ROOT / "tests" / "compat" / "resuming.py", root / "tests" / "compat")
    assert grow_all(root) >= KNOWN | {event.__name__ for event in Event.__subclasses__()}
    _replace(root / "shared" / "spec" / "job.py", "READS = 2\n", "READS = 3\n")
    _replace(root / "shared" / "spec" / "values.py", "Literal[2]", "Literal[2, 3]")
    return root


def _replace(path: Path, old: str, new: str) -> None:
    source = path.read_text()
    assert source.count(old) == 1, f"{path.name} says {old!r} no more"
    path.write_text(source.replace(old, new))


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One copy of the data directory of 0.1."""
    return copied(tmp_path_factory.mktemp("past") / "data")


def submit(root: Path, data_dir: Path, key: str, spec: dict[str, Any], url: str = "") -> dict[str, Any]:
    """The answer of a version's web side to a submit; without ``url`` while its server is away."""
    url = url or f"redis://127.0.0.1:{free_port()}/0"
    command = [sys.executable, "-c", SUBMIT, data_dir, url, key, json.dumps(spec)]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(list(map(str, command)), cwd=root, env=environment, check=True, stdout=subprocess.PIPE)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.parametrize("role", ["early stopping", "queued", "evaluation queued"])
def test_a_later_version_resumes_a_job_of_0_1(later: Path, past: Path, role: str) -> None:
    """Every model of a spec has a field more; the checkpoints fit all the same, bit by bit."""
    resumer = Resumer(EXPECTED["environment"]["threads"], later)
    found = resumer.resume(open_jobdir(past / "jobs", JOBS[role]["id"]))
    resumer.close()

    assert found["result"]["outcome"] == "finished", found["result"]["reason"]
    if found["environment"] == EXPECTED["environment"]:
        assert found["result"]["weights_sha256"] == JOBS[role]["twin"]["weights_sha256"]


def test_a_later_version_takes_the_key_for_the_same_job(later: Path, past: Path) -> None:
    """A submit is repeated after the upgrade."""
    again = submit(later, past, "compat-paused", {"name": "paused", **SPECS["paused"]})
    other = submit(later, past, "compat-paused", {"name": "paused", **SPECS["paused"], "added_later": 7})

    assert again["id"] == JOBS["paused"]["id"]
    assert "different job" in other["error"]["message"]


def test_this_version_reads_what_a_later_one_writes(later: Path, data_dir: Path) -> None:
    """It passes over the field that it does not know, and knows the key."""
    raw = {"name": "from later", "training": {"early_stopping": {}}}
    made = submit(later, data_dir, "key", raw)
    spec = accepted(raw)

    jobdir = open_jobdir(data_dir / "jobs", made["id"])

    assert isinstance(spec, TrainSpec)
    assert "added_later" in jobdir.job.spec["training"]
    assert jobdir.spec == spec
    assert create_jobdir(data_dir / "jobs", spec, "api-key") == (jobdir, False)
    with pytest.raises(JobConflict):
        create_jobdir(data_dir / "jobs", parse_spec({"name": "other"}), "api-key")


def test_two_versions_on_one_server_lose_nothing(later: Path, settings: Settings, store: Store) -> None:
    """Of two jobs of a later version, this one claims that which it can read; the other waits, over a wipe too."""
    for version in (3, 2):
        submit(
            later, settings.data_dir, f"{version}", {"name": f"version {version}", "version": version}, store.link.url
        )
    records = {record.name: record for record in store.jobs.list()}
    assert {name: record.needs for name, record in records.items()} == {"version 2": 2, "version 3": 3}

    claims = [
        store.leases.claim("this", hint=records["version 3"].id, lease_s=60),
        store.leases.claim("this", lease_s=60),
    ]
    assert [claim and claim.job_id for claim in claims] == [records["version 2"].id, None]

    store.link.ask(lambda r: r.flushdb())
    assert all(put_back(jobdir, store) for jobdir in list_jobdirs(settings.jobs_dir))
    again = store.jobs.get(records["version 3"].id)
    assert (again.name, again.needs, again.state) == ("version 3", 3, JobState.QUEUED)
    claims = [
        store.leases.claim("this", hint=again.id, lease_s=60),
        store.leases.claim("later", hint=again.id, lease_s=60, reads=3),
    ]
    assert [claim and claim.job_id for claim in claims] == [records["version 2"].id, again.id]
