"""The store on a real server: who comes first, who waits why, what an outage is called."""

from pathlib import Path

import pytest

from keepfit.shared.actors import How, local
from keepfit.shared.durable import write_json
from keepfit.shared.errors import BadTransition, JobNotFound, StoreUnavailable
from keepfit.shared.jobs.directory import JobDir, create_jobdir
from keepfit.shared.jobs.events import CheckpointFailed, CheckpointSaved, LogLine, StateChanged, decode, encode
from keepfit.shared.jobs.mending import put_back
from keepfit.shared.jobs.states import Cause, JobState, Outcome, Wish, wish_allowed
from keepfit.shared.reasons import NONE, Code, Reason, said
from keepfit.shared.spec import parse_spec
from keepfit.shared.store import Budget, LeaseState, Store, keys, open_store
from tests.harness.documents import write_wish
from tests.harness.processes import free_port
from tests.harness.waiting import wait_until

BUDGET = Budget(3, 60.0)


def submit(store: Store, jobs_dir: Path, name: str, priority: int = 0) -> JobDir:
    """A queued job."""
    jobdir, _ = create_jobdir(jobs_dir, parse_spec({"name": name}), name)
    store.jobs.create(jobdir, priority=priority)
    return jobdir


@pytest.fixture
def jobs_dir(tmp_path: Path) -> Path:
    """The folder of job directories."""
    return tmp_path / "jobs"


def test_priority_comes_before_first_come(store: Store, jobs_dir: Path) -> None:
    """Three jobs; the one with the highest priority runs first, then the older one."""
    names = [submit(store, jobs_dir, "old").id, submit(store, jobs_dir, "new").id]
    urgent = submit(store, jobs_dir, "urgent", priority=5).id

    claimed = [store.leases.claim("worker", lease_s=60) for _ in range(4)]

    assert [c and c.job_id for c in claimed] == [urgent, *names, None]


def test_a_waiting_job_says_why(store: Store, jobs_dir: Path) -> None:
    """No worker; a free worker; busy workers; jobs before it."""
    first, second = submit(store, jobs_dir, "first").id, submit(store, jobs_dir, "second").id
    assert str(store.jobs.waiting(first).reason) == "no worker is alive"

    store.workers.beat("w", host="host", pid=1, slots=2, busy=1)
    assert str(store.jobs.waiting(first).reason) == "a worker is about to take it"

    store.workers.beat("w", host="host", pid=1, slots=2, busy=2)
    assert str(store.jobs.waiting(first).reason) == "workers are busy"
    assert str(store.jobs.waiting(second).reason) == "1 job before it"


def test_barren_attempts_end_in_failure_with_pauses_in_between(store: Store, jobs_dir: Path) -> None:
    """The first interruption is retried at once, the second after a pause, the third ends the job."""
    job_id = submit(store, jobs_dir, "poison").id
    budget = Budget(3, 0.05)
    states = []

    for _ in range(3):
        claim = wait_until(lambda: store.leases.claim("worker", lease_s=60), "the job is ready again", timeout_s=5)
        assert claim
        states.append(store.leases.finish(claim, Outcome.INTERRUPTED, reason=said("it crashed"), budget=budget))

    assert states == [JobState.QUEUED, JobState.QUEUED, JobState.FAILED]
    assert (
        str(store.jobs.get(job_id).reason)
        == "3 attempts in a row ended without a new checkpoint; the last one: it crashed"
    )


def test_deaths_of_workers_use_up_no_budget_but_are_waited_for(store: Store, jobs_dir: Path) -> None:
    """Ten power cuts are not the job's fault; that the worker is no hog's prey, each makes it wait longer."""
    job_id = submit(store, jobs_dir, "unlucky").id
    budget = Budget(3, 1_000.0)

    for n in range(10):
        store.link.ask(lambda r: r.zadd(keys.DELAYED, {job_id: 1}, xx=True))  # time passes
        claim = store.leases.claim("worker", hint=job_id, lease_s=0 if n % 2 else 60)
        assert claim
        if n % 2:
            assert store.leases.reap(budget, reason=said("silence")) == {job_id: JobState.QUEUED}
        else:
            lost = store.leases.finish(
                claim, Outcome.INTERRUPTED, reason=Reason.of(Code.WORKER_KILLED), budget=budget, cause=Cause.WORKER
            )
            assert lost is JobState.QUEUED
        waits = store.link.ask(lambda r: r.zscore(keys.DELAYED, job_id))
        assert (waits is not None) == (n > 0)
        assert (waits or 0) <= store.now_ms() + 30_000


def test_a_silence_is_the_jobs_own_fault_if_its_worker_lives(store: Store, jobs_dir: Path) -> None:
    """A training process that freezes again and again ends as one that crashes."""
    job_id = submit(store, jobs_dir, "freezes").id
    assert store.leases.claim("worker", lease_s=0)

    assert store.leases.reap(Budget(1, 0.0), reason=said("silence"), silent=[job_id]) == {job_id: JobState.FAILED}


def test_why_an_attempt_ended_survives_later_wishes(store: Store, jobs_dir: Path) -> None:
    """Killed with a pause wished, resumed later: the next attempt is told of the kill, not of the resume."""
    job_id = submit(store, jobs_dir, "killed").id
    claim = store.leases.claim("worker", lease_s=60)
    assert claim
    store.jobs.request(job_id, Wish.PAUSE, number=1)
    store.leases.finish(
        claim, Outcome.INTERRUPTED, reason=Reason.of(Code.WORKER_KILLED), budget=BUDGET, cause=Cause.WORKER
    )
    paused = store.jobs.get(job_id)
    store.jobs.request(job_id, Wish.RUN, number=2)
    again = store.leases.claim("worker", lease_s=60)

    assert (paused.state, str(paused.reason)) == (JobState.PAUSED, "paused by a person")
    assert again
    assert again.previous_end == store.jobs.get(job_id).last_end == Reason.of(Code.WORKER_KILLED)

    store.jobs.request(job_id, Wish.PAUSE, number=3)
    store.leases.finish(again, Outcome.STOPPED, reason=NONE, budget=BUDGET)
    assert store.jobs.get(job_id).last_end == Reason.of(Code.PAUSED)


def test_after_a_wipe_the_directory_says_why_an_attempt_ended(store: Store, jobs_dir: Path) -> None:
    """Where the attempt could write it down itself."""
    jobdir = submit(store, jobs_dir, "stopped")
    attempt = jobdir.new_attempt(1)
    write_json(attempt.result, {"outcome": "stopped", "reason": "its worker was stopped", "step": 3})
    store.link.ask(lambda r: r.flushdb())

    put_back(jobdir, store)
    claim = store.leases.claim("worker", lease_s=60)

    assert claim
    assert (claim.attempt, claim.previous_end) == (2, Reason.of(Code.WORKER_STOPPED))


def test_a_stream_is_short_and_goes_some_time_after_the_end(store: Store, jobs_dir: Path) -> None:
    """The files have everything; a resume keeps what is left."""
    job_id = submit(store, jobs_dir, "long").id
    claim = store.leases.claim("worker", lease_s=60)
    assert claim
    store.leases.report(claim, [LogLine(str(n)) for n in range(2_500)])
    assert len(store.events.read(job_id, count=5_000)) > 2_500

    store.leases.finish(claim, Outcome.FAILED, reason=said("wrong"), budget=BUDGET)
    kept = store.events.read(job_id, count=5_000)
    keeps_for = store.link.ask(lambda r: r.pttl(keys.events(job_id)))
    store.jobs.request(job_id, Wish.RUN, number=1)

    assert len(kept) == 2_000
    assert kept[-1].event == StateChanged("failed", 1, said("wrong"), "failed", local(How.WORKER))
    assert 0 < keeps_for <= 3_600_000
    assert store.link.ask(lambda r: r.pttl(keys.events(job_id))) == -1


def test_a_job_that_is_put_back_after_its_end_has_no_stream(store: Store, jobs_dir: Path) -> None:
    """A hundred thousand of them would take most of the memory; that it is there is told all the same."""
    jobdir, _ = create_jobdir(jobs_dir, parse_spec({"name": "old"}))
    store.upkeep.put_back(jobdir, JobState.SUCCEEDED, NONE)

    assert store.jobs.get(jobdir.id).state is JobState.SUCCEEDED
    assert store.events.read(jobdir.id) == []
    assert [c.job_id for c in store.events.read_all(after_id="0")] == [jobdir.id]


def test_numbers_for_people_who_watch(store: Store, jobs_dir: Path) -> None:
    """Jobs by state, the longest wait, the age of each beat, and what has happened so far."""
    jobs = [submit(store, jobs_dir, name).id for name in ("one", "two", "three")]
    waited = wait_until(store.jobs.oldest_queued_ms, "some time passes")
    for _ in range(2):
        claim = store.leases.claim("worker", hint=jobs[0], lease_s=60)
        assert claim
        store.leases.finish(claim, Outcome.INTERRUPTED, reason=said("it crashed"), budget=Budget(5, 0.0))
    assert store.leases.claim("worker", hint=jobs[0], lease_s=60)
    store.jobs.request(jobs[1], Wish.CANCEL, number=1)
    store.workers.beat("w", host="host", pid=1, slots=2, busy=1)

    assert waited
    assert {state: n for state, n in store.jobs.counts().items() if n} == {
        JobState.QUEUED: 1,
        JobState.RUNNING: 1,
        JobState.CANCELLED: 1,
    }
    assert 0 <= store.workers.list()[0].age_ms < 5_000
    read = {name: n for name, n in store.counters.read().items() if n}
    assert read == {"recoveries": 2, "interrupted:process": 2, "ended:cancelled": 1}


def test_a_job_that_backs_off_is_not_claimed_and_says_so(store: Store, jobs_dir: Path) -> None:
    """The pause is shown to people."""
    job_id = submit(store, jobs_dir, "poison").id
    for _ in range(2):
        claim = store.leases.claim("worker", lease_s=60)
        assert claim
        store.leases.finish(claim, Outcome.INTERRUPTED, reason=said("it crashed"), budget=BUDGET)

    assert store.leases.claim("worker", hint=job_id, lease_s=60) is None
    assert "pause of" in str(store.jobs.waiting(job_id).reason)


def test_an_old_owner_changes_nothing(store: Store, jobs_dir: Path) -> None:
    """After a takeover every call of the first owner is answered with lost."""
    job_id = submit(store, jobs_dir, "job").id
    old = store.leases.claim("frozen", lease_s=0)
    store.leases.reap(BUDGET, reason=said("silence"))
    new = store.leases.claim("fresh", lease_s=60)
    before = store.jobs.get(job_id), store.events.last_id(job_id)

    assert old is not None
    assert new is not None
    assert store.leases.renew(old, lease_s=60).lease is LeaseState.LOST
    assert store.leases.report(old, [LogLine("still here")]) is LeaseState.LOST
    assert (
        store.leases.finish(old, Outcome.FINISHED, reason=NONE, budget=BUDGET, result={"outcome": "finished"})
        is LeaseState.LOST
    )
    assert (store.jobs.get(job_id), store.events.last_id(job_id)) == before


def test_a_wipe_brings_no_replaced_attempt_back(store: Store, jobs_dir: Path) -> None:
    """A frozen attempt that wakes up after a wipe finds the directory of a later one: it has lost."""
    jobdir = submit(store, jobs_dir, "job")
    claims = []
    for _ in range(2):
        claim = store.leases.claim("worker", lease_s=0)
        assert claim
        jobdir.new_attempt(claim.attempt)
        claims.append(claim)
        store.leases.reap(BUDGET, reason=said("silence"))
    store.link.ask(lambda r: r.flushdb())

    assert store.leases.adopt(claims[0], jobdir, lease_s=60) is LeaseState.LOST
    assert store.leases.adopt(claims[1], jobdir, lease_s=60) is LeaseState.HELD


def test_a_wish_made_before_a_wipe_leaves_the_owner_its_grace(store: Store, jobs_dir: Path) -> None:
    """When it was made is lost with the server; counted from nothing, the attempt would be killed at once."""
    jobdir, _ = create_jobdir(jobs_dir, parse_spec({"name": "paused"}))
    store.jobs.create(jobdir)
    claim = store.leases.claim("owner", hint=jobdir.id, lease_s=60)
    assert claim
    write_wish(jobdir, Wish.PAUSE, 1)

    store.link.ask(lambda r: r.flushall())
    before = store.now_ms()
    assert store.leases.adopt(claim, jobdir, lease_s=60) is LeaseState.HELD

    (running,) = store.leases.running()
    assert running.wish is Wish.PAUSE
    assert running.wish_ms >= before


def test_a_failed_checkpoint_is_known_until_the_next_good_one(store: Store, jobs_dir: Path) -> None:
    """The pages show it; training goes on."""
    jobdir, _ = create_jobdir(jobs_dir, parse_spec({"name": "full disk"}))
    store.jobs.create(jobdir)
    claim = store.leases.claim("owner", hint=jobdir.id, lease_s=60)
    assert claim

    store.leases.report(claim, [CheckpointFailed(300, "No space left on device", 2)])
    failed = store.jobs.get(jobdir.id).checkpoint_failure
    store.leases.report(claim, [CheckpointSaved(400, 0, 400, 1, 0.1)])

    assert failed == {"step": 300, "reason": "No space left on device", "failures": 2}
    assert not store.jobs.get(jobdir.id).checkpoint_failure


def test_ends_are_final_until_a_person_resumes(store: Store, jobs_dir: Path) -> None:
    """A succeeded job takes no wish; a failed one only a resume."""
    job_id = submit(store, jobs_dir, "job").id
    claim = store.leases.claim("worker", lease_s=60)
    assert claim
    store.leases.finish(
        claim, Outcome.FAILED, reason=said("loss is NaN"), budget=BUDGET, result={"reason": "loss is NaN"}
    )

    with pytest.raises(BadTransition, match="failed"):
        store.jobs.request(job_id, Wish.PAUSE, number=1)
    assert store.jobs.request(job_id, Wish.RUN, number=1).state is JobState.QUEUED

    again = store.leases.claim("worker", lease_s=60)
    assert again
    store.leases.finish(again, Outcome.FINISHED, reason=NONE, budget=BUDGET, result={"metrics": {"accuracy": 0.9}})
    for wish in Wish:
        with pytest.raises(BadTransition, match="succeeded"):
            store.jobs.request(job_id, wish, number=2)


def test_state_and_event_are_one(store: Store, jobs_dir: Path) -> None:
    """Each state in the record has its event in the stream, in order, with the attempt."""
    job_id = submit(store, jobs_dir, "job").id
    claim = store.leases.claim("worker", lease_s=60)
    assert claim
    store.leases.finish(claim, Outcome.FINISHED, reason=NONE, budget=BUDGET)

    events = [s.event for s in store.events.read(job_id)]

    states = [(e.state, e.attempt) for e in events if isinstance(e, StateChanged)]
    assert states == [("queued", 0), ("running", 1), ("succeeded", 1)]


def test_reading_goes_on_after_the_last_seen_event(store: Store, jobs_dir: Path) -> None:
    """``Last-Event-ID`` semantics: nothing twice, nothing missed."""
    job_id = submit(store, jobs_dir, "job").id
    claim = store.leases.claim("worker", lease_s=60)
    assert claim
    seen = store.events.last_id(job_id)
    store.leases.report(claim, [LogLine("one"), LogLine("two")])

    assert [s.event for s in store.events.read(job_id, after_id=seen)] == [LogLine("one"), LogLine("two")]
    assert store.events.read(job_id, after_id=store.events.last_id(job_id), block_ms=10) == []


def test_events_survive_encoding() -> None:
    """Encode, decode, the same; an unknown type is passed over."""
    paused = StateChanged("paused", 3, Reason.of(Code.STEP_STOPPED, step=7, by="wish"))
    assert decode(encode(paused)) == paused
    assert (
        decode({"type": "state", "data": '{"state":"paused","attempt":3,"reason":"stopped at step 7 (wish)"}'})
        == paused
    )
    assert decode({"type": "from-the-future", "data": "{}"}) is None


def test_no_server_is_one_clear_error(tmp_path: Path) -> None:
    """Every call says that the queue server does not answer."""
    store = open_store(f"redis://127.0.0.1:{free_port()}/0", timeout_s=0.2)
    for call in (
        store.ping,
        store.now_ms,
        store.jobs.list,
        store.workers.list,
        lambda: store.leases.claim("w", lease_s=1),
    ):
        with pytest.raises(StoreUnavailable, match="does not answer"):
            call()


def test_an_unknown_job_is_said_to_be_unknown(store: Store) -> None:
    """Neither read nor wish makes a record."""
    with pytest.raises(JobNotFound):
        store.jobs.get("aaaaaaaaaaaa")
    with pytest.raises(JobNotFound):
        store.jobs.request("aaaaaaaaaaaa", Wish.RUN, number=1)
    assert store.jobs.count() == 0


def test_the_table_of_wishes_is_what_the_script_allows(store: Store, jobs_dir: Path) -> None:
    """``states.wish_allowed`` and ``request.lua`` agree on every pair."""
    for state in JobState:
        for wish in Wish:
            jobdir = create_jobdir(jobs_dir, parse_spec({"name": "job"}))[0]
            store.upkeep.put_back(jobdir, state, NONE)
            try:
                store.jobs.request(jobdir.id, wish, number=1)
                done = True
            except BadTransition:
                done = False
            again = (state, wish) == (JobState.CANCELLED, Wish.CANCEL)  # a second click is no error
            assert done == (wish_allowed(state, wish) or again), (state, wish)
