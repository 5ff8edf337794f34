"""Faults at random, for minutes, on real servers and workers; afterwards every promise has been kept.

make chaos CHAOS_SECONDS=1200 CHAOS_FAULTS=500 CHAOS_SEED=1
"""

import contextlib
import os
from collections import Counter
from pathlib import Path

import pytest

from keepfit.shared.jobs.doctor import examine
from keepfit.shared.jobs.states import JobState
from tests.chaos.checker import Evidence, check, leftovers, read_audit
from tests.chaos.nemesis import Nemesis
from tests.chaos.people import SPECS, SUBMITTED, People, Promise
from tests.chaos.world import SWEEP_S, World
from tests.harness.processes import ROOT
from tests.harness.waiting import StillWaiting, wait_until

SECONDS = float(os.environ.get("CHAOS_SECONDS", "1200"))
SEED = int(os.environ.get("CHAOS_SEED", "1"))
ENOUGH = int(os.environ.get("CHAOS_FAULTS", "500"))
"""It ends early once there were so many faults."""
SETTLE_S = 240


@pytest.mark.chaos
@pytest.mark.timeout(SECONDS + 900)
def test_every_promise_is_kept_whatever_happens(tmp_path: Path) -> None:
    """Kills, freezes, cuts, wipes and full disks at random: each job ends once, as wished, with the same bits."""
    with World(tmp_path) as world:
        twins = undisturbed_twins(world)
        people = People(world.client, world.data_dir / "jobs", SEED)
        nemesis = Nemesis(world, people, SEED)
        people.start()

        nemesis.rage(SECONDS, ENOUGH)
        nemesis.calm()
        unkept = settle(people)
        compare_everything(world)
        wait_until_swept(world)

        lines = read_audit(tmp_path / "audit.jsonl")
        promises = [*twin_promises(twins), *people.promises]
        shas = {spec: sha for spec, (_, sha) in twins.items()}
        mains = {member.name: member.mains for member in world.members}
        jobs_dir, history = world.data_dir / "jobs", world.client.history
        evidence = Evidence(jobs_dir, world.store, promises, shas, lines, nemesis.log, mains, history)
        violations = [*unkept, *people.trouble, *world.trouble, *strays(world), *check(evidence)]
        print(tally(nemesis, people, evidence))
        assert not violations, report(nemesis, violations)


def undisturbed_twins(world: World) -> dict[str, tuple[str, str]]:
    """One job of each spec, left alone: its id, and the sha256 of its weights."""
    ids = {spec: world.client.submit({"name": spec, **SPECS[spec]}, key=f"twin {spec}").id for spec in SUBMITTED}
    for job_id in ids.values():
        wait_until(lambda job_id=job_id: world.store.jobs.get(job_id).state is JobState.SUCCEEDED, "a twin ends", 120)  # type: ignore[misc]
    return {spec: (job_id, str(world.store.jobs.get(job_id).result["weights_sha256"])) for spec, job_id in ids.items()}


def twin_promises(twins: dict[str, tuple[str, str]]) -> list[Promise]:
    """The undisturbed jobs, which the checker looks at like at all others."""
    return [
        Promise(spec, key=f"twin {spec}", job_id=job_id, ended=JobState.SUCCEEDED)
        for spec, (job_id, _) in twins.items()
    ]


def settle(people: People) -> list[str]:
    """Wait until every job is over; what is not by then is a violation."""
    try:
        people.finish(SETTLE_S)
    except StillWaiting:
        still = [p for p in people.promises if p.ended is None]
        return [f"not over {SETTLE_S} s after the last fault: {promise}" for promise in still]
    return []


def compare_everything(world: World) -> None:
    """What has ended is compared once an hour, and when workers start: let them; the checker names what stays."""
    world.replace_all(ROOT)
    wait_until(world._healthy, "the web process answers", timeout_s=60)
    with contextlib.suppress(StillWaiting):
        agree = lambda: not any(f.problem and f.mendable for f in examine(world.data_dir / "jobs", world.store))  # noqa: E731
        wait_until(agree, "both sides agree", timeout_s=60, poll_s=2)


def wait_until_swept(world: World) -> None:
    """Give the keepers the time to remove what killed writers have left; the checker names what stays."""
    with contextlib.suppress(StillWaiting):
        wait_until(lambda: not leftovers(world.data_dir), "nothing is left half done", timeout_s=4 * SWEEP_S)


def strays(world: World) -> list[str]:
    """Processes that belong to nobody any more."""
    with contextlib.suppress(StillWaiting):
        wait_until(lambda: not world.strays(), "nobody is astray", timeout_s=10)
    return [f"a process is left that belongs to nobody: {process}" for process in world.strays()]


def tally(nemesis: Nemesis, people: People, evidence: Evidence) -> str:
    """What has happened, in a few lines."""
    begins = [line for line in evidence.lines if line.event == "begin"]
    jobs = Counter(f"{p.ended}" for p in people.promises)
    recoveries = sum(line.attempt > 1 for line in begins)
    faults = "\n".join(f"  {count:>4}  {kind}" for kind, count in nemesis.tally().items())
    return (
        f"\nseed {nemesis.seed}: {len(nemesis.log)} faults\n{faults}\n"
        f"{len(people.promises)} jobs ({', '.join(f'{n} {state}' for state, n in jobs.items())}), "
        f"{sum(p.submits for p in people.promises)} submits, {len(begins)} attempts, {recoveries} of them recoveries"
    )


def report(nemesis: Nemesis, violations: list[str]) -> str:
    """The seed, the log and what went wrong."""
    log = "\n".join(map(str, nemesis.log))
    return f"\n{log}\n\nseed {nemesis.seed}: {len(violations)} violations\n" + "\n".join(violations)
