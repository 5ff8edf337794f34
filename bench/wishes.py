"""How soon a running job obeys: from the moment a person wishes a pause or a cancel until the job has that state.

    python bench/wishes.py [--repetitions 20]

The time includes keeping the wish on disk, ending the chunk of steps, and a durable checkpoint before a
pause. Writes bench/results/wishes.json. Target: at most 1 s.
"""

import argparse
import os
import statistics
import time
from typing import Any

from bench.first_step import one_worker
from bench.record import record
from keepfit.shared.jobs.directory import create_jobdir
from keepfit.shared.jobs.states import JobState, Wish
from keepfit.shared.settings import Settings
from keepfit.shared.store import JobRecord, Store
from tests.harness.documents import write_wish
from tests.harness.specs import accepted
from tests.harness.waiting import wait_until

WARM_STEPS = 500
"""So long a job has trained when it is told to stop: its chunks have found their length."""


def measure(store: Store, settings: Settings, model: str, wish: Wish) -> float:
    """Seconds from the wish to its fulfilment, of one running job."""
    spec = accepted({"name": "obeys", "model": {"name": model}, "training": {"epochs": 1_000}})
    jobdir, _ = create_jobdir(settings.jobs_dir, spec)
    store.jobs.create(jobdir)

    def seen() -> JobRecord:
        return store.jobs.get(jobdir.id)

    wait_until(lambda: seen().progress.get("step", 0) > WARM_STEPS, "the job trains", timeout_s=120)
    began = time.perf_counter()
    write_wish(jobdir, wish, 1)
    store.jobs.request(jobdir.id, wish, number=1)
    wait_until(lambda: seen().state is not JobState.RUNNING, "the job has obeyed", poll_s=0.005)
    seconds = time.perf_counter() - began
    record = seen()
    assert record.state is (JobState.PAUSED if wish is Wish.PAUSE else JobState.CANCELLED), record.reason
    assert record.checkpoint_step >= record.progress["step"], "there is no checkpoint of the last step"
    return seconds


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=20)
    repetitions = parser.parse_args().repetitions
    found: dict[str, Any] = {"cores": os.cpu_count(), "repetitions": repetitions}
    with one_worker() as (store, settings):
        for model in ("mlp", "cnn"):
            for wish in (Wish.PAUSE, Wish.CANCEL):
                seconds = sorted(measure(store, settings, model, wish) for _ in range(repetitions))
                row = {"median_s": statistics.median(seconds), "worst_s": seconds[-1]}
                found[f"{wish.value}, {model}"] = row
                print(f"{wish.value} {model}: median {row['median_s']:.2f} s, worst {row['worst_s']:.2f} s")
    record("wishes", found)


if __name__ == "__main__":
    main()
