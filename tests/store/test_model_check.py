"""Random sequences of transitions on a real server, each compared with the plain Python model."""

from pathlib import Path
from typing import Any

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

jobs = st.sampled_from(KEYS)
owners = st.sampled_from(OWNERS)


def machine(store: Store, jobs_dir: Path, counter: list[int]) -> type[RuleBasedStateMachine]:
    """The state machine that drives ``store`` and counts its transitions in ``counter``."""

    class Transitions(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            store.link.read(lambda r: r.flushdb())
            self.model = Model()
            self.claims: list[Claim] = []
            self.dirs: dict[str, JobDir] = {}
            self.number = 0

        def job_id(self, key: str) -> str:
            if key not in self.dirs:
                self.dirs[key] = create_jobdir(jobs_dir, parse_spec({"name": key}), key)[0]
            return self.dirs[key].id

        @rule(key=jobs)
        def create(self, key: str) -> None:
            job_id = self.job_id(key)
            jobdir = self.dirs[key]
            assert store.jobs.create(jobdir) == self.model.create(job_id, jobdir.job["created_ms"])

        @rule(owner=owners, key=st.sampled_from(["", *KEYS]), lapsed=st.booleans())
        def claim(self, owner: str, key: str, lapsed: bool) -> None:
            hint = self.job_id(key) if key else ""
            claim = store.leases.claim(owner, hint, NONE_S if lapsed else LONG_S)
            expected = self.model.claim(owner, hint, lapsed)
            assert (claim and (claim.job_id, claim.attempt)) == (expected and (expected.id, expected.attempt))
            if claim:
                self.claims.append(claim)

        @precondition(lambda self: self.claims)
        @rule(data=st.data())
        def renew(self, data: st.DataObject) -> None:
            claim = data.draw(st.sampled_from(self.claims))
            renewal = store.leases.renew(claim, LONG_S)
            held = self.model.holds(claim.job_id, claim.owner, claim.attempt)
            assert renewal.hold == (Hold.HELD if held else Hold.LOST)
            if held:
                job = self.model.jobs[claim.job_id]
                job.lapsed = False
                assert renewal.wish is job.wish

        @precondition(lambda self: self.claims)
        @rule(data=st.data(), step=st.integers(1, 50))
        def checkpoint(self, data: st.DataObject, step: int) -> None:
            claim = data.draw(st.sampled_from(self.claims))
            accepted = store.leases.report(claim, [CheckpointSaved(step, 0, 0, 1, 0.0)])
            assert accepted == self.model.checkpoint(claim.job_id, claim.owner, claim.attempt, step)

        @precondition(lambda self: self.claims)
        @rule(data=st.data(), outcome=st.sampled_from(Outcome), hold=st.booleans())
        def finish(self, data: st.DataObject, outcome: Outcome, hold: bool) -> None:
            claim = data.draw(st.sampled_from(self.claims))
            held_back = hold and outcome is Outcome.STOPPED
            state = store.leases.finish(claim, outcome, "because", NO_PAUSES, hold=held_back)
            assert state == self.model.finish(claim.job_id, claim.owner, claim.attempt, outcome, held_back)

        @rule()
        def reap(self) -> None:
            assert store.leases.reap(NO_PAUSES, "silence") == self.model.reap()

        @precondition(lambda self: self.claims)
        @rule(data=st.data(), lapsed=st.booleans())
        def adopt(self, data: st.DataObject, lapsed: bool) -> None:
            claim = data.draw(st.sampled_from(self.claims))
            jobdir = next(d for d in self.dirs.values() if d.id == claim.job_id)
            hold = store.leases.adopt(claim, jobdir, NONE_S if lapsed else LONG_S)
            expected = self.model.adopt(claim.job_id, claim.owner, claim.attempt, lapsed)
            assert hold == (Hold.HELD if expected else Hold.LOST)

        @rule(key=jobs, wish=st.sampled_from(Wish), stale=st.booleans())
        def request(self, key: str, wish: Wish, stale: bool) -> None:
            self.number += 1
            number = 0 if stale else self.number
            expected = self.model.request(self.job_id(key), wish, number)
            try:
                answer: Any = store.jobs.request(self.job_id(key), wish, number).state
            except BadTransition:
                answer = "refused"
            except JobNotFound:
                answer = "missing"
            assert answer == expected

        @rule(key=jobs, priority=st.integers(-9, 9))
        def prioritise(self, key: str, priority: int) -> None:
            job = self.model.jobs.get(self.job_id(key))
            if job is not None:
                store.jobs.prioritise(job.id, priority)
                job.priority = priority

        @invariant()
        def same_records(self) -> None:
            counter[0] += 1
            for job in self.model.jobs.values():
                record = store.jobs.get(job.id)
                seen = (record.state, record.wish, record.attempt, record.owner, record.checkpoint_step)
                assert seen == (job.state, job.wish, job.attempt, job.owner, job.checkpoint_step)

        @invariant()
        def same_indexes(self) -> None:
            ready, delayed, leases = store.link.read(
                lambda r: [set(r.zrange(key, 0, -1)) for key in (keys.READY, keys.DELAYED, keys.LEASES)]
            )
            by_state = {s: {j.id for j in self.model.jobs.values() if j.state is s} for s in JobState}
            assert ready == by_state[JobState.QUEUED]
            assert leases == by_state[JobState.RUNNING]
            assert not delayed

        def teardown(self) -> None:
            """Every change of state in the streams is a row of the table of transitions."""
            scripts = ("create", "claim", "finish", "reap", "request", "adopt")
            for job in self.model.jobs.values():
                source = None
                for stored in store.events.read(job.id, count=100_000):
                    if isinstance(stored.event, StateChanged):
                        target = JobState(stored.event.state)
                        assert any(allowed(script, source, target) for script in scripts), (source, target)
                        source = target

    return Transitions


def drive(url: str, jobs_dir: Path, examples: int, steps: int) -> int:
    """Run the machine and return how many transitions were compared."""
    store, counter = open_store(url), [0]
    try:
        run_state_machine_as_test(
            machine(store, jobs_dir, counter),
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                database=None,
            ),
        )
    finally:
        store.close()
    return counter[0]


def test_scripts_do_what_the_model_says(valkey_url: str, tmp_path: Path) -> None:
    """Some thousand random transitions on the embedded server agree with the model."""
    assert drive(valkey_url, tmp_path / "jobs", examples=60, steps=50) > 1_000


@pytest.mark.chaos
@pytest.mark.timeout(1800)
def test_a_hundred_thousand_transitions_agree(valkey_url: str, tmp_path: Path) -> None:
    """At least 100,000 random transitions on the embedded server agree with the model."""
    assert drive(valkey_url, tmp_path / "jobs", examples=1100, steps=200) >= 100_000


@pytest.mark.chaos
@pytest.mark.timeout(600)
@pytest.mark.skipif(not DEBIAN_REDIS.exists(), reason="needs Debian's redis-server package")
def test_scripts_do_what_the_model_says_on_redis_7(tmp_path: Path) -> None:
    """The same on Debian's redis-server."""
    with Valkey(tmp_path / "redis", binary=DEBIAN_REDIS) as server:
        assert drive(server.url, tmp_path / "jobs", examples=100, steps=100) > 5_000
