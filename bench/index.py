"""The list's index with N jobs: filled, searched, sorted and compared, by made-up settings and metrics.

    python bench/index.py [--jobs 100000]

Rows are made up (14 settings and 6 metrics a job) and put in as the feeder does, 40 at a time; no directory is read and
no server asked (bench/many_jobs.py does both). Writes bench/results/index.json.
"""

import argparse
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from bench.record import record
from keepfit.shared.jobs.states import JobState
from keepfit.shared.store import JobRecord
from keepfit.web.index import Condition, Details, IndexFile, JobIndex, Metric, Order, Search, column, metric, setting
from keepfit.web.index.feeding import SLICE

REPETITIONS = 20
DONE = (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.PAUSED)
FAST = Condition(setting("training.learning_rate"), "<", 0.01)
GOOD = Condition(metric("val_loss", "least"), "<", 0.5)
FAILED = Condition(column("state"), "=", "failed")
BY_LOSS = Order(metric("val_loss", "least"))
SEARCHES = {
    "sorted by a metric": Search((), BY_LOSS),
    "sorted by a metric, failed": Search((FAILED,), BY_LOSS),
    "sorted by a metric, two conditions": Search((FAST, FAILED), BY_LOSS),
    "sorted by a setting, downwards": Search((), Order(setting("training.learning_rate"), descending=True)),
    "newest first, one of ten": Search((Condition(setting("model.name"), "=", "model 3"),)),
    "newest first, two conditions": Search((FAST, GOOD)),
    "newest first, nothing found": Search((Condition(setting("training.epochs"), ">", 1e6),)),
}


def made_up(number: int, chance: random.Random) -> tuple[JobRecord, Details]:
    """One job."""
    settings: dict[str, float | str] = {f"training.setting_{n}": chance.choice([1.0, 2.0, 8.0]) for n in range(8)}
    settings |= {"training.learning_rate": 10 ** chance.uniform(-5, 0), "training.seed": float(number)}
    settings |= {"training.epochs": float(chance.randrange(1, 100)), "data.name": "mnist-5k"}
    settings |= {"model.name": f"model {chance.randrange(10)}", "training.plan": "auto"}
    names = ("loss", "accuracy", "val_loss", "val_accuracy", "test_loss", "test_accuracy")
    metrics = {name: Metric(*sorted((chance.random(), chance.random(), chance.random()))) for name in names}
    state = chance.choice(DONE)
    created_ms = 1_700_000_000_000 + number
    row = JobRecord(f"j{number:011}", f"job {number}", "train", state, attempt=1, created_ms=created_ms)
    return row, Details(settings, metrics)


def filled(index: JobIndex, jobs: int) -> dict[str, float]:
    """Put in so many jobs, the newest first; the seconds that the index took."""
    chance, taken, used = random.Random(1), 0.0, 0.0
    for start in range(jobs, 0, -SLICE):
        some = [made_up(number, chance) for number in range(start, max(0, start - SLICE), -1)]
        began, cpu = time.perf_counter(), time.thread_time()
        index.put([row for row, _ in some])
        stale = {job_id: mark for job_id, mark, _ in index.stale(SLICE)}
        index.put_details([(row.id, stale[row.id], details) for row, details in some])
        taken, used = taken + time.perf_counter() - began, used + time.thread_time() - cpu
    return {"filled_s": round(taken, 1), "filled_cpu_s": round(used, 1)}


def timed(ask: Callable[[], Any]) -> dict[str, float]:
    """Milliseconds."""
    found = []
    for _ in range(REPETITIONS):
        began = time.perf_counter()
        ask()
        found.append(1000 * (time.perf_counter() - began))
    return {"p50": round(statistics.median(found), 2), "worst": round(max(found), 2)}


def run(folder: Path, jobs: int) -> dict[str, Any]:
    """All of it."""
    index = JobIndex(IndexFile(folder / "index"))
    found: dict[str, Any] = {"jobs": jobs, "cores": os.cpu_count()}
    found |= filled(index, jobs)
    found["file_mb"] = round(sum(p.stat().st_size for p in (folder / "index").iterdir()) / 1e6)
    first = [row.id for row in index.page(12).records]
    asked: dict[str, Callable[[], Any]] = {name: partial(index.search, how, 25) for name, how in SEARCHES.items()}
    asked["sorted by a metric, in the middle"] = partial(index.search, SEARCHES["sorted by a metric"], 25, jobs // 2)
    asked |= {"compare 12": partial(index.details, first), "list": partial(index.page, 25), "counts": index.counts}
    found["ms"] = {name: timed(ask) for name, ask in asked.items()}
    found["load"] = round(os.getloadavg()[0], 1)
    index.close()
    return found


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=100_000)
    with tempfile.TemporaryDirectory(prefix="index-") as folder:
        found = run(Path(folder), parser.parse_args().jobs)
    print(json.dumps(found, indent=1))
    record("index", found)


if __name__ == "__main__":
    main()
