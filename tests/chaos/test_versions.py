"""Two versions of Keepfit: the one before is replaced by this one under load, and a newer one works beside it."""

import io
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from keepfit.shared.host import Owner
from keepfit.shared.jobs.states import JobState
from tests.chaos.checker import Evidence, Line, check, read_audit
from tests.chaos.nemesis import Fault
from tests.chaos.people import SPECS, People
from tests.chaos.test_chaos import settle, strays, twin_promises, undisturbed_twins, wait_until_swept
from tests.chaos.world import World, _signal
from tests.harness.processes import ROOT
from tests.harness.waiting import wait_until

VERSION_0_1 = "040c9ae"
MORE_JOBS = 6
NEWER = {
    "shared/spec/job.py": ("READS = 2\n", "READS = 3\n"),
    "shared/spec/values.py": ("Version = Annotated[Literal[2],", "Version = Annotated[Literal[2, 3],"),
}
"""What a version to come changes: its specs have a form that this one cannot read."""
pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]


def tree_of(revision: str, folder: Path) -> Path:
    """The code of ``revision``, taken out of the repository."""
    packed = subprocess.run(["git", "archive", revision], cwd=ROOT, capture_output=True)
    if packed.returncode:
        pytest.skip(f"this copy of the code has no history: {packed.stderr.decode()}")
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def newer_tree(folder: Path) -> Path:
    """This code as a version to come might be."""
    command = ["git", "ls-files", "keepfit", "shared", "worker", "web"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    for name in names.stdout.splitlines():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name, follow_symlinks=False)
    for name, (old, new) in NEWER.items():
        text = (folder / name).read_text()
        assert old in text, f"{name} has changed"
        (folder / name).write_text(text.replace(old, new))
    return folder


def evidence_of(world: World, people: People, twins: dict[str, tuple[str, str]], faults: list[Fault]) -> Evidence:
    """What the checker is shown."""
    promises = [*twin_promises(twins), *people.promises]
    shas = {spec: sha for spec, (_, sha) in twins.items()}
    mains = {member.name: member.mains for member in world.members}
    lines = read_audit(world.directory / "audit.jsonl")
    return Evidence(world.data_dir / "jobs", world.store, promises, shas, lines, faults, mains, world.client.history)


def begun(world: World, wanted: Callable[[list[Line]], bool], description: str) -> None:
    """Wait until the attempts that have begun are as ``wanted``."""
    path = world.directory / "audit.jsonl"
    wait_until(lambda: wanted([li for li in read_audit(path) if li.event == "begin"]), description, timeout_s=120)


def test_an_upgrade_from_0_1_under_load_loses_nothing(tmp_path: Path) -> None:
    """All of 0.1 stop, those of this version start: each job ends once, as wished, with the bits that 0.1 computes."""
    old = tree_of(VERSION_0_1, tmp_path / "0.1")
    with World(tmp_path, workers=2, trees=dict.fromkeys(("web", "worker1", "worker2"), old)) as world:
        twins = undisturbed_twins(world)
        people = People(world.client, world.data_dir / "jobs", seed=1)
        people.start()
        before = len(twins)
        begun(world, lambda lines: len(lines) >= before + MORE_JOBS, "people use 0.1")

        faults = [Fault(time.time(), "SIGTERM", member.name) for member in world.members]
        world.replace_all(ROOT)
        begun(world, lambda lines: len(lines) >= before + 3 * MORE_JOBS, "people use this version")

        unkept = settle(people)
        wait_until_swept(world)
        evidence = evidence_of(world, people, twins, faults)
        resumed = {line.job for line in evidence.lines if line.attempt > 1}
        assert resumed, "nothing was at work when the versions changed"
        assert not [*unkept, *people.trouble, *world.trouble, *strays(world), *check(evidence)]


def test_a_newer_version_beside_this_one_loses_nothing(tmp_path: Path) -> None:
    """Jobs that only the newer one can read wait for it, however often its worker dies; all others run on both."""
    new = newer_tree(tmp_path / "newer")
    with World(tmp_path, workers=2, trees={"web": new, "worker1": new}) as world:
        newer, older = world.members
        training = SPECS["mlp"]["training"] | {"epochs": 8}
        specs = [{"name": f"of version {2 + i % 2}", "version": 2 + i % 2, "training": training} for i in range(8)]
        ids = [world.client.submit(spec).id for spec in specs]
        for _ in range(3):
            wait_until(lambda: newer.pid and world.store.leases.running(), "something runs", timeout_s=60)
            for pid in newer.pids():
                _signal(pid, 9)
        wait_until(
            lambda: {world.store.jobs.get(job_id).state for job_id in ids} == {JobState.SUCCEEDED},
            "all jobs have succeeded",
            timeout_s=180,
        )

        lines = [line for line in read_audit(tmp_path / "audit.jsonl") if line.event == "begin"]
        by = {job_id: {Owner.parse(li.owner).main.pid for li in lines if li.job == job_id} for job_id in ids}
        assert all(by[job_id] <= newer.mains for job_id in ids[1::2]), "this version has begun what it cannot read"
        assert any(by[job_id] & older.mains for job_id in ids[::2]), "this version has run nothing"
        assert len({world.store.jobs.get(job_id).result["weights_sha256"] for job_id in ids}) == 1
