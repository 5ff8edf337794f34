"""How a keeper compares the server with many directories: in slices, one keeper at a time, what has changed first."""

import os
import time

import pytest

from keepfit.shared.jobs.directory import JobDir, create_jobdir
from keepfit.shared.jobs.states import JobState, Wish
from keepfit.shared.reasons import said
from keepfit.shared.settings import Settings
from keepfit.shared.spec import parse_spec
from keepfit.shared.store import Store
from keepfit.worker.keeper import rebuild
from keepfit.worker.keeper.comparing import Comparison
from keepfit.worker.keeper.rebuild import Rebuilder
from tests.harness.documents import write_wish
from tests.harness.waiting import wait_until


def many(settings: Settings, count: int) -> list[JobDir]:
    """Job directories that the server has not heard of."""
    return [create_jobdir(settings.jobs_dir, parse_spec({"name": str(n)}))[0] for n in range(count)]


def test_comparing_takes_many_short_ticks(settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that beats, kicks and reaping come in between, however many directories there are."""
    monkeypatch.setattr(rebuild, "SLICE_S", 0.001)
    store.upkeep.mark_booted()
    many(settings, 200)
    keeper = Rebuilder(settings, store, "keeper")

    ticks = 0
    while store.jobs.count() < 200 and ticks < 10_000:
        keeper.tick()
        ticks += 1

    assert 4 <= ticks < 10_000


def test_one_keeper_compares_at_a_time(settings: Settings, store: Store) -> None:
    """The others take over when it has been silent for some seconds, or is gone."""
    store.upkeep.mark_booted()
    many(settings, 1)
    assert store.upkeep.lock("first")
    assert not store.upkeep.lock("second")
    assert store.upkeep.lock("first")

    Rebuilder(settings, store, "second").tick()
    untouched = store.jobs.count()
    Rebuilder(settings, store, "first").tick()

    assert (untouched, store.jobs.count()) == (0, 1)


def test_only_directories_that_have_changed_are_read(settings: Settings, store: Store) -> None:
    """A wish made while the server was away is found by its directory's time; each hour all are read anyway."""
    fresh, old = many(settings, 2)
    for jobdir in (fresh, old):
        store.upkeep.put_back(jobdir, JobState.FAILED, said("wrong"))
        write_wish(jobdir, Wish.RUN, 1)
    os.utime(old.path, (1e9, 1e9))
    comparison = Comparison(settings, store)

    for _ in comparison.directories(time.time() - 60):
        pass
    after_a_minute = [store.jobs.get(d.id).state for d in (fresh, old)]
    for _ in comparison.directories(0.0):
        pass

    assert after_a_minute == [JobState.QUEUED, JobState.FAILED]
    assert store.jobs.get(old.id).state is JobState.QUEUED


def test_a_directory_that_was_copied_in_is_found_whatever_its_time(settings: Settings, store: Store) -> None:
    """``cp -a`` keeps old times; the server has not listed it."""
    (copied,) = many(settings, 1)
    os.utime(copied.path, (1e9, 1e9))

    for _ in Comparison(settings, store).directories(time.time()):
        pass

    assert store.jobs.get(copied.id).state is JobState.QUEUED


def test_owners_get_their_time_to_adopt_anew_after_an_outage(settings: Settings, store: Store) -> None:
    """Wiped, away before anybody was put back, and back: who lives must still be the first to say so."""
    settings = settings.model_copy(update={"renew_s": 0.1})
    many(settings, 1)
    keeper = Rebuilder(settings, store, "keeper")
    keeper.tick()
    over = time.monotonic() + 4 * settings.renew_s
    wait_until(lambda: time.monotonic() > over, "owners had their time")

    keeper.note_outage()
    keeper.tick()
    at_once = store.jobs.count()

    def put_back() -> int:
        keeper.tick()
        return store.jobs.count()

    wait_until(put_back, "the job is put back", timeout_s=5)
    assert at_once == 0
