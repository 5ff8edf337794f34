"""What the tests of the keeper's chores do by hand: jobs, claims, owners, and single ticks."""

import os
from collections.abc import Callable

from keepfit.shared.host import Owner, Process, machine
from keepfit.shared.jobs.directory import JobDir, create_jobdir
from keepfit.shared.settings import Settings
from keepfit.shared.spec import parse_spec
from keepfit.shared.store import Claim, Store
from keepfit.worker.keeper.chores import RollCall
from keepfit.worker.keeper.locals import Locals
from keepfit.worker.keeper.reap import Reap
from keepfit.worker.keeper.settle import Settlement
from tests.harness.clock import HandClock

LEASE_S = 0.05
"""So short that a lease which is to lapse has."""


def submit(settings: Settings, store: Store, name: str) -> JobDir:
    """A queued job of this name."""
    jobdir, _ = create_jobdir(settings.jobs_dir, parse_spec({"name": name}))
    store.jobs.create(jobdir)
    return jobdir


def claim(store: Store, jobdir: JobDir, owner: Owner | str, lease_s: float = 60.0) -> Claim:
    """An attempt of the job."""
    found = store.leases.claim(str(owner), hint=jobdir.id, lease_s=lease_s)
    assert found
    return found


def mine(child: Process) -> Owner:
    """An owner of this very worker."""
    return Owner(machine(), Process.of(os.getpid()), child, "mine")


def local_chore(settings: Settings, store: Store, roll: RollCall, clock: HandClock) -> Locals:
    """Looks after this machine's attempts."""
    return Locals(settings, store, roll, Settlement(settings, store), clock)


def ticking(chore: Locals | Reap, roll: RollCall) -> Callable[[], None]:
    """A tick of this chore alone."""

    def tick() -> None:
        roll.begin()
        chore.tick()

    return tick


def reaper(settings: Settings, store: Store, roll: RollCall, clock: HandClock) -> Reap:
    """Reaps."""
    return Reap(settings, store, roll, Settlement(settings, store), clock)
