"""Random sequences of transitions on a real server, each compared with the plain Python model."""

import itertools
import os
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from keepfit.shared.jobs.states import TRANSITIONS, Transition
from keepfit.shared.store import open_store
from tests.harness.processes import Valkey
from tests.store.machine import BACK_OFF_ENDS, BACKS_OFF, Transitions, make_dirs, on_disk

DEBIAN_REDIS = Path("/usr/bin/redis-server")
SHARE = min(1.0, float(os.environ.get("CHAOS_SECONDS", "1200")) / 1200)
"""Of the whole check, so that a short `make chaos` is short in all its parts."""
SEED = int(os.environ.get("CHAOS_SEED", "1"))
WANTED = max(20_000, round(100_000 * SHARE))


class Check:
    """The model check on one server, and what it has seen so far."""

    def __init__(self, url: str, jobs_dir: Path) -> None:
        self.tally: Counter[Transition] = Counter()
        self.calls: Counter[str] = Counter()
        self._url, self._dirs = url, make_dirs(jobs_dir)

    @property
    def transitions(self) -> int:
        """How many changes of a job's state were made; refused calls and new attempt numbers do not count."""
        return sum(self.tally[transition] for transition in TRANSITIONS)

    def run(self, wanted: int, examples: int, steps: int, seeds: Iterable[int] | None = None) -> None:
        """Rounds of the machine until there were ``wanted`` transitions, each with its seed if there are ``seeds``."""
        store = open_store(self._url)

        class Bound(Transitions):
            """On this server."""

        Bound.store, Bound.dirs, Bound.disks = store, self._dirs, [on_disk(d) for d in self._dirs]
        Bound.tally, Bound.seen_calls = self.tally, self.calls
        chosen = settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
            phases=[Phase.generate, Phase.shrink],
        )
        rounds = iter(seeds or ())
        try:
            while self.transitions < wanted:
                chosen_seed = next(rounds, None)
                machine = Bound if chosen_seed is None else seed(chosen_seed)(Bound)
                run_state_machine_as_test(machine, settings=chosen)
        finally:
            store.close()

    def report(self, server: str, seconds: float) -> str:
        """What was seen, for people."""
        rows = sorted((t.script, t.source or "nothing", t.target or "nothing", n) for t, n in self.tally.items())
        calls = [f"  {count:7,}  {name}" for name, count in sorted(self.calls.items())]
        return "\n".join(
            [
                f"\n{server}: {self.transitions:,} transitions in {seconds:.0f} s",
                *(f"  {count:7,}  {script}: {source} -> {target}" for script, source, target, count in rows),
                "calls, those that changed nothing among them, and what befell jobs that back off",
                *calls,
            ]
        )


def check_all(server: str, url: str, jobs_dir: Path) -> None:
    """Rounds until WANTED transitions have been made and compared; each row of the table must be among them."""
    check, began = Check(url, jobs_dir), time.monotonic()
    check.run(WANTED, examples=100, steps=100, seeds=itertools.count(SEED * 1_000_003))
    print(check.report(server, time.monotonic() - began))
    assert not [t for t in TRANSITIONS if not check.tally[t]], "rows of the table that no script has made"
    assert all(check.calls[name] for name in (BACKS_OFF, BACK_OFF_ENDS, "bump", "top_up"))


def test_scripts_do_what_the_model_says(valkey_url: str, tmp_path: Path) -> None:
    """Two thousand random transitions on the embedded server agree with the model."""
    Check(valkey_url, tmp_path / "jobs").run(2_000, examples=40, steps=50)


@pytest.mark.chaos
@pytest.mark.timeout(1800)
def test_a_hundred_thousand_transitions_agree(valkey_url: str, tmp_path: Path) -> None:
    """At least 100,000 random transitions on the embedded server agree with the model; fewer in a short chaos run."""
    check_all("embedded Valkey", valkey_url, tmp_path / "jobs")


@pytest.mark.chaos
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not DEBIAN_REDIS.exists(), reason="needs Debian's redis-server package")
def test_a_hundred_thousand_transitions_agree_on_redis_7(tmp_path: Path) -> None:
    """The same on Debian's redis-server."""
    with Valkey(tmp_path / "redis", binary=DEBIAN_REDIS) as server:
        check_all("Debian's redis-server", server.url, tmp_path / "jobs")
