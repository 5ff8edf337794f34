"""From submit to the first optimizer step, on a worker that is warm: N jobs in a row, one at a time.

    python bench/first_step.py [--repetitions 20]

Measured on the queue server's clock, between the event that queues a job and the first progress
event of its training. Writes bench/results/first_step.json. Target: at most 1.5 s.
"""

import argparse
import os
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.record import record
from keepfit.shared.jobs.directory import create_jobdir
from keepfit.shared.jobs.events import Progress, StateChanged
from keepfit.shared.jobs.states import ENDS
from keepfit.shared.settings import Settings
from keepfit.shared.store import Store, open_store
from tests.harness.processes import Household, Valkey
from tests.harness.specs import accepted
from tests.harness.waiting import wait_until


@contextmanager
def one_worker() -> Iterator[tuple[Store, Settings]]:
    """A queue server and one worker, in a folder of their own."""
    with tempfile.TemporaryDirectory() as folder, Valkey(Path(folder, "server")) as server:
        settings = Settings(data_dir=Path(folder, "data"), redis_url=server.url)
        settings.data_dir.mkdir()
        with Household(Path(folder, "household")) as household:
            household.start_worker(settings)
            store = open_store(server.url)
            yield store, settings
            store.close()


def measure(store: Store, settings: Settings, model: str) -> dict[str, float]:
    """Seconds from queued to claimed, and from queued to the first step, of one job."""
    spec = accepted({"name": "first step", "model": {"name": model}, "training": {"epochs": 1}})
    jobdir, _ = create_jobdir(settings.jobs_dir, spec)
    store.jobs.create(jobdir)
    wait_until(lambda: store.jobs.get(jobdir.id).state in ENDS, "the job has ended", timeout_s=120)
    events = store.events.read(jobdir.id, count=10_000)
    queued = events[0].at_ms
    claimed = next(e.at_ms for e in events if isinstance(e.event, StateChanged) and e.event.state == "running")
    stepped = next(e.at_ms for e in events if isinstance(e.event, Progress) and e.event.step > 0)
    return {"claimed_s": (claimed - queued) / 1000, "first_step_s": (stepped - queued) / 1000}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=20)
    repetitions = parser.parse_args().repetitions
    found: dict[str, Any] = {"cores": os.cpu_count(), "repetitions": repetitions}
    with one_worker() as (store, settings):
        for model in ("mlp", "cnn"):
            first = measure(store, settings, model)  # the first job of a model compiles it
            rows = [measure(store, settings, model) for _ in range(repetitions)]
            steps = sorted(row["first_step_s"] for row in rows)
            found[model] = {
                "very_first_s": first["first_step_s"],
                "median_s": statistics.median(steps),
                "p95_s": steps[max(0, round(0.95 * len(steps)) - 1)],
                "claimed_median_s": statistics.median(row["claimed_s"] for row in rows),
            }
            print(f"{model}: " + ", ".join(f"{name} {value:.2f}" for name, value in found[model].items()))
    record("first_step", found)


if __name__ == "__main__":
    main()
