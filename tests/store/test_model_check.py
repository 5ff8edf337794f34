"""Random sequences of transitions on a real server, each compared with the plain Python model."""

import os
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from shared.errors import BadTransition, JobNotFound
from shared.events import CheckpointSaved, StateChanged
from shared.jobdir import JobDir, create_jobdir
from shared.spec import parse_spec
from shared.states import JobState, Outcome, Wish, allowed
from shared.store import Budget, Claim, Hold, Store, keys, open_store
from tests.processes import Valkey
from tests.store.model import BUDGET, Model

NO_PAUSES = Budget(BUDGET, 0.0)
LONG_S, NONE_S = 10_000.0, 0.0
KEYS = [f"job-{n}" for n in range(4)]
OWNERS = ["red", "blue"]
DEBIAN_REDIS = Path("/usr/bin/redis-server")
SHARE = min(1.0, float(os.environ.get("CHAOS_SECONDS", "1200")) / 1200)
"""Of the whole check, so that a short `make chaos` is short in all its parts."""

jobs = st.sampled_from(KEYS)
owners = st.sampled_from(OWNERS)


class Transitions(RuleBasedStateMachine):
    """Drives a real store and the model side by side."""

    store: ClassVar[Store]
    jobs_dir: ClassVar[Path]
    compared: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.store.link.read(lambda r: r.flushdb())
        self.model = Model()
        self.claims: list[Claim] = []
        self.dirs: dict[str, JobDir] = {}
        self.number = 0

    def job_id(self, key: str) -> str:
        """The id of the job submitted under ``key``; its directory is made on first use."""
        if key not in self.dirs:
            self.dirs[key] = create_jobdir(self.jobs_dir, parse_spec({"name": key}), key)[0]
        return self.dirs[key].id

    @rule(key=jobs)
    def create(self, key: str) -> None:
        """A person submits, perhaps again."""
        job_id = self.job_id(key)
        jobdir = self.dirs[key]
        assert self.store.jobs.create(jobdir) == self.model.create(job_id, jobdir.job["created_ms"])

    @rule(owner=owners, key=st.sampled_from(["", *KEYS]), lapsed=st.booleans())
    def claim(self, owner: str, key: str, lapsed: bool) -> None:
        """A worker claims, with or without a hint; its lease may lapse at once."""
        hint = self.job_id(key) if key else ""
        claim = self.store.leases.claim(owner, hint, NONE_S if lapsed else LONG_S)
        expected = self.model.claim(owner, hint, lapsed)
        assert (claim and (claim.job_id, claim.attempt)) == (expected and (expected.id, expected.attempt))
        if claim:
            self.claims.append(claim)

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        """Some owner, past or present, sends a heartbeat."""
        claim = data.draw(st.sampled_from(self.claims))
        renewal = self.store.leases.renew(claim, LONG_S)
        held = self.model.holds(claim.job_id, claim.owner, claim.attempt)
        gone = Hold.LOST if claim.job_id in self.model.jobs else Hold.MISSING
        assert renewal.hold == (Hold.HELD if held else gone)
        if held:
            job = self.model.jobs[claim.job_id]
            job.lapsed = False
            assert renewal.wish is job.wish

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), step=st.integers(1, 50))
    def checkpoint(self, data: st.DataObject, step: int) -> None:
        """Some owner, past or present, reports a checkpoint."""
        claim = data.draw(st.sampled_from(self.claims))
        accepted = self.store.leases.report(claim, [CheckpointSaved(step, 0, 0, 1, 0.0)])
        assert accepted == self.model.checkpoint(claim.job_id, claim.owner, claim.attempt, step)

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), outcome=st.sampled_from(Outcome), hold=st.booleans())
    def finish(self, data: st.DataObject, outcome: Outcome, hold: bool) -> None:
        """Some owner, past or present, ends its attempt."""
        claim = data.draw(st.sampled_from(self.claims))
        held_back = hold and outcome is Outcome.STOPPED
        state = self.store.leases.finish(claim, outcome, "because", NO_PAUSES, hold=held_back)
        assert state == self.model.finish(claim.job_id, claim.owner, claim.attempt, outcome, held_back)

    @rule()
    def reap(self) -> None:
        """A keeper settles what has lapsed."""
        assert self.store.leases.reap(NO_PAUSES, "silence") == self.model.reap()

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), lapsed=st.booleans())
    def adopt(self, data: st.DataObject, lapsed: bool) -> None:
        """Some owner, past or present, takes its job back."""
        claim = data.draw(st.sampled_from(self.claims))
        jobdir = next(d for d in self.dirs.values() if d.id == claim.job_id)
        hold = self.store.leases.adopt(claim, jobdir, NONE_S if lapsed else LONG_S)
        expected = self.model.adopt(claim.job_id, claim.owner, claim.attempt, lapsed, jobdir.job["created_ms"])
        assert hold == (Hold.HELD if expected else Hold.LOST)

    @rule(key=jobs, state=st.sampled_from([s for s in JobState if s is not JobState.RUNNING]))
    def restore(self, key: str, state: JobState) -> None:
        """A keeper puts a job back whose record is gone; one that is there stays as it is."""
        job_id = self.job_id(key)
        jobdir = self.dirs[key]
        expected = self.model.restore(job_id, jobdir.job["created_ms"], state)
        assert self.store.upkeep.restore(jobdir, state, "") == expected

    @rule(rarely=st.integers(0, 9))
    def wipe(self, rarely: int) -> None:
        """The server loses everything."""
        if rarely == 0:
            self.store.link.read(lambda r: r.flushdb())
            self.model.jobs.clear()

    @rule(key=jobs, wish=st.sampled_from(Wish), stale=st.booleans())
    def request(self, key: str, wish: Wish, stale: bool) -> None:
        """A person wishes, or an old wish arrives late."""
        self.number += 1
        number = 0 if stale else self.number
        expected = self.model.request(self.job_id(key), wish, number)
        try:
            answer: Any = self.store.jobs.request(self.job_id(key), wish, number).state
        except BadTransition:
            answer = "refused"
        except JobNotFound:
            answer = "missing"
        assert answer == expected

    @rule(key=jobs, priority=st.integers(-9, 9))
    def prioritise(self, key: str, priority: int) -> None:
        """A person moves a job in the queue."""
        job = self.model.jobs.get(self.job_id(key))
        if job is not None:
            self.number += 1
            try:
                self.store.jobs.request(job.id, job.wish, self.number, priority)
            except BadTransition:
                return
            self.model.request(job.id, job.wish, self.number)
            job.priority = priority

    @invariant()
    def same_records(self) -> None:
        """Each record is what the model says."""
        type(self).compared += 1
        for job in self.model.jobs.values():
            record = self.store.jobs.get(job.id)
            seen = (record.state, record.wish, record.attempt, record.owner, record.checkpoint_step)
            assert seen == (job.state, job.wish, job.attempt, job.owner, job.checkpoint_step)

    @invariant()
    def same_indexes(self) -> None:
        """The indexes hold exactly the jobs of their state."""
        ready, delayed, leases = self.store.link.read(
            lambda r: [set(r.zrange(key, 0, -1)) for key in (keys.READY, keys.DELAYED, keys.LEASES)]
        )
        by_state = {s: {j.id for j in self.model.jobs.values() if j.state is s} for s in JobState}
        assert ready == by_state[JobState.QUEUED]
        assert leases == by_state[JobState.RUNNING]
        assert not delayed

    def teardown(self) -> None:
        """Every change of state in the streams is a row of the table of transitions."""
        scripts = ("create", "claim", "finish", "reap", "request", "adopt", "restore")
        for job in self.model.jobs.values():
            source = None
            for stored in self.store.events.read(job.id, count=100_000):
                if isinstance(stored.event, StateChanged):
                    target = JobState(stored.event.state)
                    assert any(allowed(script, source, target) for script in scripts), (source, target)
                    source = target


def drive(url: str, jobs_dir: Path, examples: int, steps: int) -> int:
    """Run the machine and return how many transitions were compared."""
    store = open_store(url)

    class Bound(Transitions):
        """On this server."""

    Bound.store, Bound.jobs_dir = store, jobs_dir
    chosen = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    try:
        run_state_machine_as_test(Bound, settings=chosen)
    finally:
        store.close()
    return Bound.compared


def test_scripts_do_what_the_model_says(valkey_url: str, tmp_path: Path) -> None:
    """Some thousand random transitions on the embedded server agree with the model."""
    assert drive(valkey_url, tmp_path / "jobs", examples=60, steps=50) > 1_000


@pytest.mark.chaos
@pytest.mark.timeout(1800)
def test_a_hundred_thousand_transitions_agree(valkey_url: str, tmp_path: Path) -> None:
    """At least 100,000 random transitions on the embedded server agree with the model; fewer in a short chaos run."""
    examples = max(100, round(1100 * SHARE))

    assert drive(valkey_url, tmp_path / "jobs", examples=examples, steps=200) >= 100_000 * SHARE


@pytest.mark.chaos
@pytest.mark.timeout(600)
@pytest.mark.skipif(not DEBIAN_REDIS.exists(), reason="needs Debian's redis-server package")
def test_scripts_do_what_the_model_says_on_redis_7(tmp_path: Path) -> None:
    """The same on Debian's redis-server."""
    with Valkey(tmp_path / "redis", binary=DEBIAN_REDIS) as server:
        assert drive(server.url, tmp_path / "jobs", examples=100, steps=100) > 5_000
