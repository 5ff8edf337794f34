"""Attempts that cannot speak for themselves: dead, frozen or silent, here and elsewhere; time is moved by hand."""

import os

import pytest

from keepfit.shared.host import Owner, Process, machine
from keepfit.shared.jobs.directory import JobDir
from keepfit.shared.jobs.states import JobState
from keepfit.shared.settings import Settings
from keepfit.shared.store import Store
from keepfit.worker.keeper.chores import RollCall
from keepfit.worker.keeper.locals import LAST_WORDS_S
from tests.harness.clock import HandClock
from tests.keeper.acting import LEASE_S, claim, local_chore, mine, reaper, ticking


def test_a_dead_child_of_ours_is_given_a_moment_to_be_explained(
    short: Settings, store: Store, roll: RollCall, clock: HandClock, jobdir: JobDir, gone: Process
) -> None:
    """Celery may still say how it died; then it goes on without."""
    claim(store, jobdir, mine(gone))
    tick = ticking(local_chore(short, store, roll, clock), roll)

    tick()
    clock.move(LAST_WORDS_S)
    tick()
    early = store.jobs.get(jobdir.id).state
    clock.move(0.01)
    tick()

    record = store.jobs.get(jobdir.id)
    assert (early, record.state) == (JobState.RUNNING, JobState.QUEUED)
    assert str(record.last_end) == "the training process ended unexpectedly"


def test_where_the_whole_worker_is_dead_nothing_is_waited_for(
    short: Settings, store: Store, roll: RollCall, clock: HandClock, jobdir: JobDir, gone: Process
) -> None:
    """Any keeper of the machine re-queues its attempts at once."""
    claim(store, jobdir, Owner(machine(), gone, gone, "dead"))

    ticking(local_chore(short, store, roll, clock), roll)()

    assert str(store.jobs.get(jobdir.id).last_end) == "the worker was killed"


def test_a_process_that_has_lost_its_lease_is_killed_after_the_grace(
    short: Settings, store: Store, roll: RollCall, clock: HandClock, jobdir: JobDir, frozen: Process
) -> None:
    """It holds a slot, and computes for nobody; but it may be about to end by itself."""
    claim(store, jobdir, mine(frozen))
    chore = local_chore(short, store, roll, clock)
    tick = ticking(chore, roll)
    tick()
    assert chore.busy == 1
    store.upkeep.remove(jobdir.id)

    tick()
    clock.move(short.stop_grace_s)
    tick()
    lived = frozen.alive()
    clock.move(0.01)
    tick()

    assert (lived, chore.busy) == (True, 0)
    os.waitpid(frozen.pid, 0)


def test_one_that_has_its_lease_again_is_no_stray(
    short: Settings, store: Store, roll: RollCall, clock: HandClock, jobdir: JobDir, frozen: Process
) -> None:
    """A wipe takes leases for a moment; the grace begins anew each time."""
    held = claim(store, jobdir, mine(frozen))
    tick = ticking(local_chore(short, store, roll, clock), roll)
    tick()
    store.link.ask(lambda r: r.flushall())
    for _ in range(3):
        tick()
        clock.move(0.9 * short.stop_grace_s)
        store.leases.adopt(held, jobdir, lease_s=60.0)
        tick()
        store.link.ask(lambda r: r.flushall())

    assert frozen.alive()


def test_a_lapsed_lease_is_settled_at_once_in_calm_times(
    short: Settings, store: Store, roll: RollCall, clock: HandClock, lapsed: JobDir
) -> None:
    """The server has been up for long, and so have we."""
    ticking(reaper(short, store, roll, clock), roll)()

    assert store.jobs.get(lapsed.id).state is JobState.QUEUED


@pytest.mark.parametrize("why", ["outage", "freeze"])
def test_owners_get_a_lease_after_what_may_have_silenced_them(
    short: Settings, store: Store, roll: RollCall, clock: HandClock, lapsed: JobDir, why: str
) -> None:
    """The server was away, or this keeper stood still, perhaps with the whole machine."""
    chore = reaper(short, store, roll, clock)
    tick = ticking(chore, roll)
    if why == "outage":
        chore.note_outage()
    else:
        clock.move(1.01 * LEASE_S)

    tick()
    clock.move(0.9 * LEASE_S)
    tick()
    early = store.jobs.get(lapsed.id).state
    clock.move(0.11 * LEASE_S)
    tick()

    assert (early, store.jobs.get(lapsed.id).state) == (JobState.RUNNING, JobState.QUEUED)


def test_a_server_that_was_just_started_gives_two_leases(
    settings: Settings, store: Store, roll: RollCall, clock: HandClock, lapsed: JobDir
) -> None:
    """Owners must find it first. Measured in leases so long that the test's server is young."""
    lease_s = store.upkeep.uptime_s() + 1.0
    tick = ticking(reaper(settings.model_copy(update={"lease_s": lease_s}), store, roll, clock), roll)

    for _ in range(4):
        tick()
        clock.move(0.49 * lease_s)
    early = store.jobs.get(lapsed.id).state
    clock.move(0.1 * lease_s)
    tick()

    assert (early, store.jobs.get(lapsed.id).state) == (JobState.RUNNING, JobState.QUEUED)
