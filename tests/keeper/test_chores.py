"""The keeper's chores one by one, on a real server and a clock that only the test moves: nothing here waits."""

import os
from pathlib import Path

import pytest

from keepfit.shared.errors import StoreUnavailable
from keepfit.shared.jobs.deleting import bury, unfinished
from keepfit.shared.jobs.directory import JobDir
from keepfit.shared.jobs.states import JobState, Wish
from keepfit.shared.settings import Settings
from keepfit.shared.store import Store, keys
from keepfit.worker.keeper.beat import BEAT_S, Beat
from keepfit.worker.keeper.bury import ANYWAY_S, LOOK_S, Burial
from keepfit.worker.keeper.chores import RollCall
from keepfit.worker.keeper.keeper import Keeper
from keepfit.worker.keeper.kicks import Kicks
from keepfit.worker.keeper.rebuild import HOUR_S, MINUTE_S, Rebuilder
from keepfit.worker.keeper.sweep import Sweeper
from tests.harness.clock import HandClock
from tests.harness.documents import write_wish
from tests.harness.processes import free_port
from tests.keeper.acting import claim, submit


def test_a_worker_beats_once_a_second_however_often_it_ticks(short: Settings, store: Store, clock: HandClock) -> None:
    """What it says of its attempts is what was last seen."""
    beats = []
    busy = iter(range(100))
    beat = Beat(short, store, "worker", None, lambda: next(busy), clock)

    for _ in range(10):
        beat.tick()
        beats.append(store.workers.list()[0].busy)
        clock.move(BEAT_S / 4)

    assert beats == [0, 0, 0, 0, 4, 4, 4, 4, 8, 8]


def test_a_wiped_server_is_left_to_the_owners_first(
    short: Settings, store: Store, clock: HandClock, jobdir: JobDir
) -> None:
    """Four heartbeats long; an outage meanwhile gives them their time anew."""
    rebuilder = Rebuilder(short, store, "worker", clock)
    store.link.ask(lambda r: r.flushall())
    rebuilder.tick()
    clock.move(4 * short.renew_s)
    rebuilder.note_outage()
    for _ in range(3):
        rebuilder.tick()
        clock.move(1.3 * short.renew_s)
    early = store.jobs.count()
    clock.move(short.renew_s)
    while not store.upkeep.booted():
        rebuilder.tick()

    assert (early, store.jobs.ids()) == (0, [jobdir.id])


def test_what_changed_is_compared_each_minute_and_everything_each_hour(
    short: Settings, store: Store, clock: HandClock
) -> None:
    """A wish that the server has not heard of: on a directory of today, and on one that looks old."""
    fresh, old = (submit(short, store, name) for name in ("fresh", "old"))
    store.upkeep.mark_booted()
    rebuilder = Rebuilder(short, store, "worker", clock)

    def states(after_s: float) -> list[JobState]:
        clock.move(after_s)
        for _ in range(20):
            rebuilder.tick()
            clock.move(4.0)
        return [store.jobs.get(jobdir.id).state for jobdir in (fresh, old)]

    states(0.0)
    for jobdir in (fresh, old):
        write_wish(jobdir, Wish.PAUSE, 1)
    os.utime(fresh.path, (clock.wall() + MINUTE_S, clock.wall() + MINUTE_S))

    assert states(MINUTE_S) == [JobState.PAUSED, JobState.QUEUED]
    assert states(HOUR_S) == [JobState.PAUSED, JobState.PAUSED]


def test_leftovers_are_swept_when_they_are_old_and_nobody_runs_their_job(
    short: Settings, store: Store, roll: RollCall, jobdir: JobDir
) -> None:
    """By the time of the files, beside which the clock stands."""
    attempt = jobdir.new_attempt(1)
    left = attempt.path / ".result.json.tmp"
    left.write_text("{")
    clock = HandClock(left.stat().st_mtime)
    sweeper = Sweeper(short.jobs_dir, short.cache_dir, 100.0, roll, clock)

    def swept(after_s: float) -> bool:
        clock.move(after_s)
        for _ in range(3):
            roll.begin()
            sweeper.tick()
        return not left.exists()

    assert not swept(99.0)
    held = claim(store, jobdir, "elsewhere/1:1:1:1:1:1")
    assert not swept(101.0)
    store.upkeep.remove(held.job_id)
    assert swept(101.0)


def test_deletions_are_looked_for_once_a_second(
    short: Settings, store: Store, clock: HandClock, jobdir: JobDir
) -> None:
    """The folder's time says whether there is anything; each minute it is read all the same."""
    burial = Burial(short.jobs_dir, store, clock)
    burial.tick()
    bury(short.jobs_dir, jobdir.id)

    burial.tick()
    at_once = list(unfinished(short.jobs_dir))
    clock.move(LOOK_S)
    burial.tick()

    assert (at_once, list(unfinished(short.jobs_dir))) == ([jobdir.id], [])


def test_a_deletion_that_leaves_the_folder_as_old_as_it_was_is_found_in_a_minute(
    short: Settings, store: Store, clock: HandClock, jobdir: JobDir
) -> None:
    """It came within one tick of a coarse clock."""
    folder = short.jobs_dir / "deleted"
    folder.mkdir()
    burial = Burial(short.jobs_dir, store, clock)
    burial.tick()
    seen = folder.stat().st_mtime_ns
    bury(short.jobs_dir, jobdir.id)
    os.utime(folder, ns=(seen, seen))

    clock.move(LOOK_S)
    burial.tick()
    early = list(unfinished(short.jobs_dir))
    clock.move(ANYWAY_S)
    burial.tick()

    assert (early, list(unfinished(short.jobs_dir))) == ([jobdir.id], [])


def test_kicks_are_sent_for_jobs_that_are_ready(short: Settings, store: Store, jobdir: JobDir) -> None:
    """Not for none, and not again at once."""
    sent: list[None] = []
    kicks = Kicks(short, store, lambda: sent.append(None), busy=lambda: 0)

    kicks.tick()
    kicks.tick()

    assert len(sent) == 1
    assert store.jobs.get(jobdir.id).state is JobState.QUEUED


def test_a_chore_that_fails_costs_itself(short: Settings, store: Store, clock: HandClock, jobdir: JobDir) -> None:
    """The leases are no list of leases: who runs cannot be asked, and the worker is seen to live and kicks."""
    store.upkeep.mark_booted()
    sent: list[None] = []
    keeper = Keeper(short, "worker", lambda: sent.append(None), consumes=False, clock=clock)
    keeper.tick()
    store.link.ask(lambda r: (r.set(keys.LEASES, "x"), r.delete(keys.KICK)))
    clock.move(BEAT_S)
    sent.clear()

    keeper.tick()

    assert [worker.age_ms < 1_000 for worker in store.workers.list()] == [True]
    assert sent
    assert store.jobs.get(jobdir.id).state is JobState.QUEUED
    keeper._store.close()


def test_an_outage_ends_the_tick(short: Settings, clock: HandClock) -> None:
    """Each chore needs the server; all of them are told."""
    nowhere = short.model_copy(update={"redis_url": f"redis://127.0.0.1:{free_port()}/0"})
    keeper = Keeper(nowhere, "worker", lambda: None, consumes=False, clock=clock)
    told: list[str] = []
    for chore in keeper._chores:
        chore.note_outage = lambda name=chore.name: told.append(name)  # type: ignore[method-assign, misc]

    with pytest.raises(StoreUnavailable):
        keeper.tick()

    assert told == [chore.name for chore in keeper._chores]


def test_the_order_is_the_one_that_is_explained(short: Settings, clock: HandClock) -> None:
    """The reasons stand in the module's docstring, by the names of the classes."""
    keeper = Keeper(short, "worker", lambda: None, consumes=False, clock=clock)
    text = Path(str(__import__("keepfit.worker.keeper.keeper", fromlist=["x"]).__file__)).read_text()
    explained = text.split('"""')[1]

    places = [explained.find(f"``{type(chore).__name__}``") for chore in keeper._chores]

    assert -1 not in places
    assert places == sorted(places)
