"""Single keys and records lost or damaged: each costs itself, for a moment, and comes back as the disk has it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from keepfit.shared.durable import write_json
from keepfit.shared.errors import DamagedFile, JobNotFound
from keepfit.shared.jobs.directory import JobDir, create_jobdir
from keepfit.shared.jobs.doctor import examine, mend
from keepfit.shared.jobs.states import JobState, Outcome, Wish
from keepfit.shared.reasons import NONE, said
from keepfit.shared.settings import Settings
from keepfit.shared.spec import parse_spec
from keepfit.shared.store import Budget, Claim, LeaseState, Store, keys
from keepfit.worker.keeper import comparing
from keepfit.worker.keeper.comparing import Comparison
from keepfit.worker.keeper.rebuild import Rebuilder
from tests.harness.documents import write_wish
from tests.harness.waiting import wait_until

BUDGET = Budget(5, 0.0)
Harm = Callable[[Any, str], Any]
"""What is done to a server, for one job."""


def make(settings: Settings, store: Store, name: str) -> JobDir:
    """A queued job."""
    jobdir, _ = create_jobdir(settings.jobs_dir, parse_spec({"name": name}), name)
    store.jobs.create(jobdir)
    return jobdir


def make_rebuilder(settings: Settings, store: Store) -> Rebuilder:
    """One that leaves owners only a moment to adopt their jobs."""
    return Rebuilder(settings.model_copy(update={"renew_s": 0.05}), store, "keeper")


@pytest.fixture
def crowd(settings: Settings, store: Store) -> dict[JobState, JobDir]:
    """One job in each state, the running one with a dead owner whose lease lapses soon."""
    store.upkeep.mark_booted()
    dirs = {state: make(settings, store, state.value) for state in JobState}
    for state in (JobState.SUCCEEDED, JobState.FAILED, JobState.RUNNING):
        claim = store.leases.claim("owner", hint=dirs[state].id, lease_s=0.2 if state is JobState.RUNNING else 60)
        assert claim
        dirs[state].new_attempt(claim.attempt)
        outcome = Outcome.FINISHED if state is JobState.SUCCEEDED else Outcome.FAILED
        if state is not JobState.RUNNING:
            store.leases.finish(claim, outcome, reason=NONE, budget=BUDGET)
    for state, wish in ((JobState.PAUSED, Wish.PAUSE), (JobState.CANCELLED, Wish.CANCEL)):
        write_wish(dirs[state], wish, 1)
        store.jobs.request(dirs[state].id, wish, number=1)
    return dirs


def set_field(name: str, value: str) -> Harm:
    """A field of the record is no longer what it was."""
    return lambda r, job_id: r.hset(keys.job(job_id), name, value)


def drop(key: str) -> Harm:
    """A whole key is lost."""
    return lambda r, _: r.delete(key)


def take_out(key: str) -> Harm:
    """The job falls out of a list."""
    return lambda r, job_id: r.zrem(key, job_id)


def of_another_type(name_of: Callable[[str], str]) -> Harm:
    """A key becomes a string."""
    return lambda r, job_id: r.set(name_of(job_id), "x")


def lose_record(r: Any, job_id: str) -> None:
    """The record is lost, the lists know the job."""
    r.delete(keys.job(job_id))


DAMAGES: dict[str, Harm] = {
    "state": set_field("state", "banana"),
    "attempt": set_field("attempt", "x"),
    "huge attempt": set_field("attempt", "9" * 30),
    "wish": set_field("wish", "banana"),
    "progress": set_field("progress", '["x"]'),
    "result": set_field("result", "{"),
    "deep result": set_field("result", "[" * 5000),
    "no text": lambda r, job_id: r.hset(keys.job(job_id), "wish_number", b"\xff\xfe"),
    "no hash": of_another_type(keys.job),
    "no record": lose_record,
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.PAUSED, JobState.SUCCEEDED, JobState.RUNNING])
def test_a_damaged_record_costs_itself(
    settings: Settings, store: Store, crowd: dict[JobState, JobDir], damage: str, state: JobState
) -> None:
    """Lists, leases and claims of the other jobs go on; one scan later the record says what the directory says."""
    harmed = crowd[state].id
    others = {d.id for d in crowd.values()} - {harmed}

    store.link.ask(lambda r: DAMAGES[damage](r, harmed))

    assert others <= {record.id for record in store.jobs.list(10)}
    with pytest.raises((DamagedFile, JobNotFound)):
        store.jobs.get(harmed)
    store.leases.running()
    store.leases.reap(BUDGET, reason=said("silence"))
    rebuilder = make_rebuilder(settings, store)

    def healed() -> bool:
        rebuilder.tick()
        store.leases.reap(BUDGET, reason=said("silence"))
        return harmed in {record.id for record in store.jobs.list(10)}

    wait_until(healed, "the record is back", timeout_s=10)
    expected = {JobState.RUNNING: JobState.QUEUED, JobState.SUCCEEDED: JobState.QUEUED}.get(state, state)  # as on disk
    wait_until(lambda: healed() and store.jobs.get(harmed).state is expected, "as the directory has it")
    assert store.upkeep.mend([d.id for d in crowd.values()], repair=False) == {}


def test_a_claim_passes_over_what_is_not_whole(settings: Settings, store: Store) -> None:
    """A record that is lost, damaged or not queued is never run as a shell; the job behind it starts."""
    lost, damaged, typed, stopped, good = (make(settings, store, n) for n in ("1", "2", "3", "4", "5"))
    store.jobs.request(stopped.id, Wish.PAUSE, number=1)

    def harm(r: Any) -> None:
        lose_record(r, lost.id)
        r.hdel(keys.job(damaged.id), "wish")
        r.set(keys.job(typed.id), "x")
        r.zadd(keys.READY, {stopped.id: 1})

    store.link.ask(harm)

    claim = store.leases.claim("owner", hint=lost.id, lease_s=60)

    assert claim
    assert claim.job_id == good.id
    assert store.leases.claim("owner", lease_s=60) is None
    assert store.jobs.get(stopped.id).state is JobState.PAUSED
    assert not store.link.ask(lambda r: r.exists(keys.job(lost.id)))


@pytest.mark.parametrize("damage", [*DAMAGES])
def test_a_living_owner_keeps_a_job_whose_record_is_damaged(settings: Settings, store: Store, damage: str) -> None:
    """It adopts the job with its next heartbeat, or after the scan; nobody else gets it."""
    store.upkeep.mark_booted()
    jobdir = make(settings, store, "job")
    claim = store.leases.claim("owner", lease_s=60)
    assert claim
    jobdir.new_attempt(claim.attempt)
    rebuilder = make_rebuilder(settings, store)

    def beat() -> bool:
        rebuilder.tick()
        if store.leases.renew(claim, lease_s=60).lease is not LeaseState.HELD:
            assert store.leases.adopt(claim, jobdir, lease_s=60) is LeaseState.HELD
        assert store.leases.claim("thief", lease_s=60) is None
        return [r.id for r in store.jobs.list() if r.attempt == claim.attempt] == [jobdir.id]

    store.link.ask(lambda r: DAMAGES[damage](r, jobdir.id))

    wait_until(beat, "the record is whole and the job its own", timeout_s=10)
    assert [r.claim for r in store.leases.running()] == [claim]


FALLS: dict[str, tuple[JobState, Harm]] = {
    "ready lost": (JobState.QUEUED, drop(keys.READY)),
    "ready of another type": (JobState.QUEUED, of_another_type(lambda _: keys.READY)),
    "delayed of another type": (JobState.QUEUED, of_another_type(lambda _: keys.DELAYED)),
    "out of ready": (JobState.QUEUED, take_out(keys.READY)),
    "delayed for ever": (JobState.QUEUED, lambda r, i: (r.zrem(keys.READY, i), r.zadd(keys.DELAYED, {i: 9e15}))),
    "leased for ever": (JobState.RUNNING, lambda r, i: r.zadd(keys.LEASES, {i: 9e15})),
    "leases lost": (JobState.RUNNING, drop(keys.LEASES)),
    "leases of another type": (JobState.RUNNING, of_another_type(lambda _: keys.LEASES)),
    "out of leases": (JobState.RUNNING, take_out(keys.LEASES)),
    "jobs lost": (JobState.CANCELLED, drop(keys.JOBS)),
    "jobs of another type": (JobState.CANCELLED, of_another_type(lambda _: keys.JOBS)),
    "out of jobs": (JobState.SUCCEEDED, take_out(keys.JOBS)),
    "state lost": (JobState.QUEUED, drop(keys.state("queued"))),
    "state of another type": (JobState.PAUSED, of_another_type(lambda _: keys.state("paused"))),
    "events of another type": (JobState.PAUSED, of_another_type(keys.events)),
    "changes of another type": (JobState.QUEUED, of_another_type(lambda _: keys.CHANGES)),
    "workers of another type": (JobState.QUEUED, of_another_type(lambda _: keys.WORKERS)),
    "counters of another type": (JobState.QUEUED, of_another_type(lambda _: keys.COUNTERS)),
    "no queues, no lists": (JobState.QUEUED, lambda r, _: r.delete(keys.READY, keys.JOBS, keys.state("queued"))),
}


@pytest.mark.parametrize("fall", FALLS)
def test_what_has_fallen_out_of_a_key_is_back_after_one_scan(
    settings: Settings, store: Store, crowd: dict[JobState, JobDir], fall: str
) -> None:
    """Queued jobs are in the queue, running ones are looked after, every job is in the list."""
    state, harm = FALLS[fall]
    store.link.ask(lambda r: harm(r, crowd[state].id))
    rebuilder = make_rebuilder(settings, store)

    def whole() -> bool:
        rebuilder.tick()
        store.leases.reap(BUDGET, reason=said("silence"))
        listed = {r.id for r in store.jobs.list(10)} == {d.id for d in crowd.values()}
        return listed and not store.upkeep.sound(repair=False) and store.jobs.counts()[JobState.QUEUED] == 2

    wait_until(whole, "everything is where it belongs, and the dead attempt's job waits again", timeout_s=10)
    claims = [store.leases.claim("owner", lease_s=60) for _ in range(3)]
    assert {c.job_id for c in claims if c} == {crowd[JobState.QUEUED].id, crowd[JobState.RUNNING].id}
    store.workers.beat("w", host="host", pid=1, slots=1, busy=0)
    assert store.upkeep.mend([d.id for d in crowd.values()], repair=False) == {}


@pytest.mark.parametrize("fall", FALLS)
def test_the_doctor_sees_and_mends_it(
    settings: Settings, store: Store, crowd: dict[JobState, JobDir], fall: str
) -> None:
    """``keepfit doctor --repair`` names each of them; a second look finds nothing."""
    state, harm = FALLS[fall]
    wait_until(lambda: store.leases.running()[0].lease_ms < store.now_ms(), "the lease has lapsed")
    store.leases.reap(BUDGET, reason=said("silence"))
    if state is JobState.RUNNING:
        again = store.leases.claim("owner", hint=crowd[state].id, lease_s=60)
        assert again
        crowd[state].new_attempt(again.attempt)
    note_ends(crowd)
    before = [f.problem for f in examine(settings.jobs_dir, store)]
    store.link.ask(lambda r: harm(r, crowd[state].id))

    found = [(f, mend(f, settings.jobs_dir, store)) for f in examine(settings.jobs_dir, store) if f.problem]
    after = [f.problem for f in examine(settings.jobs_dir, store)]

    assert not any(before)
    assert found
    assert all(mended for _, mended in found)
    assert not any(after)


def note_ends(crowd: dict[JobState, JobDir]) -> None:
    """What an attempt would have written at its end."""
    for state, outcome in ((JobState.SUCCEEDED, Outcome.FINISHED), (JobState.FAILED, Outcome.FAILED)):
        write_json(crowd[state].attempt_dirs()[-1].result, {"outcome": outcome.value, "reason": ""})


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_doctor_mends_a_damaged_record(
    settings: Settings, store: Store, crowd: dict[JobState, JobDir], damage: str
) -> None:
    """From the directory, in one run."""
    harmed = crowd[JobState.PAUSED].id
    store.link.ask(lambda r: DAMAGES[damage](r, harmed))

    mended = [f.job_id for f in examine(settings.jobs_dir, store) if f.problem and mend(f, settings.jobs_dir, store)]

    assert harmed in mended
    assert store.jobs.get(harmed).state is JobState.PAUSED


def test_the_doctor_sees_a_running_job_that_is_a_shell(
    settings: Settings, store: Store, crowd: dict[JobState, JobDir]
) -> None:
    """Its record has an owner and nothing that says what it is."""
    shell = crowd[JobState.RUNNING].id
    store.link.ask(lambda r: r.hdel(keys.job(shell), "wish", "created_ms"))

    (found,) = [f for f in examine(settings.jobs_dir, store) if f.job_id == shell]

    assert found.server == "damaged"
    assert found.problem


def test_a_directory_that_was_removed_takes_its_job_along(
    settings: Settings, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not at once, since it may have been moved for a moment; then with all its keys, and who runs it has lost."""
    monkeypatch.setattr(comparing, "GONE_S", 0.5)
    store.upkeep.mark_booted()
    gone, moved = make(settings, store, "gone"), make(settings, store, "moved")
    claim = store.leases.claim("owner", hint=gone.id, lease_s=60)
    assert claim
    rebuilder = make_rebuilder(settings, store)
    rebuilder.scan()
    gone.path.rename(tmp_path / "away")
    moved.path.rename(tmp_path / "aside")
    rebuilder.scan()
    (tmp_path / "aside").rename(moved.path)

    def dropped() -> bool:
        rebuilder.tick()
        return not store.link.ask(lambda r: r.exists(keys.job(gone.id), keys.events(gone.id)))

    wait_until(dropped, "the job is gone", timeout_s=15)

    assert [r.id for r in store.jobs.list()] == [moved.id]
    assert store.leases.renew(claim, lease_s=60).lease is LeaseState.MISSING
    assert store.leases.adopt(claim, gone, lease_s=60) is LeaseState.LOST


def test_a_job_submitted_again_after_its_directory_was_removed_runs(settings: Settings, store: Store) -> None:
    """The same key, another directory: what the server has of the first one does not decide; its owner has lost."""
    first = make(settings, store, "job")
    claim = store.leases.claim("owner", lease_s=60)
    assert claim
    assert first.job.created_ms  # its attempt has read it
    for path in (first.path / "job.json", first.path):
        path.unlink() if path.is_file() else path.rmdir()

    second, new = create_jobdir(settings.jobs_dir, parse_spec({"name": "job"}), "job")
    assert new
    assert store.jobs.create(second)
    assert not store.jobs.create(second)

    record = store.jobs.get(second.id)
    assert (record.state, record.attempt) == (JobState.QUEUED, 0)
    assert store.leases.adopt(claim, first, lease_s=60) is LeaseState.LOST
    again: Claim | None = store.leases.claim("other", lease_s=60)
    assert again
    assert again.job_id == second.id


def test_a_rebuild_says_how_far_it_is_and_begins_again_after_another_wipe(settings: Settings, store: Store) -> None:
    """Newest first, in slices, while other things go on; when it has ended every job is there."""
    dirs = [create_jobdir(settings.jobs_dir, parse_spec({"name": str(n)}))[0] for n in range(450)]
    for age, jobdir in enumerate(reversed(dirs)):
        os.utime(jobdir.path, (1e9 - age, 1e9 - age))
    work = Comparison(settings, store).rebuild()

    def at_least(done: int) -> None:
        wait_until(lambda: (store.upkeep.rebuilding() or (-1, 0))[0] >= done or next(work), "so far", poll_s=0)

    at_least(200)
    half_way = {record.id for record in store.jobs.list(450)}
    progress = store.upkeep.rebuilding()
    store.link.ask(lambda r: r.flushall())
    for _ in work:
        assert not store.upkeep.booted()

    assert progress == (200, 450)
    assert half_way == {jobdir.id for jobdir in dirs[-len(half_way) :]}
    assert store.jobs.count() == 450
    assert store.upkeep.booted()
    assert store.upkeep.rebuilding() is None


def times_mended(store: Store) -> int:
    """How many scripts the server has run so far: each batch of directories that is compared costs one."""
    stats = store.link.ask(lambda r: r.info("commandstats"))
    return int(sum(row["calls"] for name, row in stats.items() if name in ("cmdstat_evalsha", "cmdstat_eval")))


def test_what_a_rebuild_has_read_is_not_read_again_at_once(settings: Settings, store: Store) -> None:
    """An idle worker stays idle: after a rebuild, the look at all directories is due in an hour."""
    for number in range(500):
        jobdir, _ = create_jobdir(settings.jobs_dir, parse_spec({"name": str(number)}))
        write_wish(jobdir, Wish.CANCEL, 1)
        os.utime(jobdir.path, (1e9, 1e9))
    rebuilder = make_rebuilder(settings, store)
    while not store.upkeep.booted():
        rebuilder.tick()

    before = times_mended(store)
    for _ in range(50):
        rebuilder.tick()

    assert times_mended(store) - before < 10


@pytest.mark.parametrize("key", [keys.KICK, keys.SCAN])
def test_a_gap_or_a_lock_without_an_end_is_dropped(key: str, store: Store) -> None:
    """Else no kick would be sent, or nothing compared, until a person comes."""
    store.link.ask(lambda r: r.set(key, "x"))

    assert store.upkeep.sound() == [key]
    assert not store.link.ask(lambda r: r.exists(key))


def test_a_worker_whose_key_is_of_another_type_is_seen_again(store: Store) -> None:
    """Its next beat puts it right; until then it costs the others nothing."""
    for name in ("harmed", "other"):
        store.workers.beat(name, host="host", pid=1, slots=1, busy=0)
    store.link.ask(lambda r: r.set(keys.worker("harmed"), "x"))
    seen = [worker.name for worker in store.workers.list()]

    store.workers.beat("harmed", host="host", pid=1, slots=1, busy=0)

    assert seen == ["other"]
    assert [worker.name for worker in store.workers.list()] == ["harmed", "other"]
