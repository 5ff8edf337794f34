"""From submit to succeeded, against `python train.py`: the MLP, ten epochs of Fashion-MNIST, test and exports included.

    python bench/whole_job.py [--repetitions 5]

The script starts a Python of its own each time, as people do; the job goes to a warm worker that computes with
the same threads. Writes bench/results/whole_job.json. Target: at least 5 times faster.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.record import record
from keepfit.shared.jobs.directory import create_jobdir
from keepfit.shared.jobs.states import ENDS, JobState
from keepfit.shared.settings import Settings
from keepfit.shared.store import Store, open_store
from tests.harness.processes import Household, Valkey
from tests.harness.specs import accepted
from tests.harness.waiting import wait_until

DATA = Path("/usr/share/datasets")
SPEC = {
    "name": "whole job",
    "data": {"name": "fashion-mnist"},
    "training": {"epochs": 10, "batch_size": 32, "validation_share": 0, "seed": 1},
}


def by_script(folder: Path) -> tuple[float, float]:
    """Seconds and test accuracy of the plain script."""
    began = time.perf_counter()
    script = Path(__file__).parent / "peers" / "train.py"
    command = [sys.executable, str(script), str(DATA), str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1]), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return time.perf_counter() - began, float(done.stdout.split()[-1])


def by_job(store: Store, settings: Settings) -> tuple[float, float]:
    """Seconds from submit to succeeded, and the job's test accuracy."""
    began = time.perf_counter()
    jobdir, _ = create_jobdir(settings.jobs_dir, accepted(SPEC))
    store.jobs.create(jobdir)
    wait_until(lambda: store.jobs.get(jobdir.id).state in ENDS, "the job has ended", timeout_s=300, poll_s=0.02)
    seconds, record = time.perf_counter() - began, store.jobs.get(jobdir.id)
    assert record.state is JobState.SUCCEEDED, record.reason
    return seconds, float(record.result["metrics"]["accuracy"])


def main() -> None:
    """Measure in turn, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5)
    repetitions = parser.parse_args().repetitions
    with tempfile.TemporaryDirectory() as name, Valkey(Path(name, "server")) as server:
        folder = Path(name)
        settings = Settings(data_dir=folder / "data", redis_url=server.url, slots=1)
        settings.datasets_dir.mkdir(parents=True)
        (settings.datasets_dir / "fashion-mnist").symlink_to(DATA / "fashion-mnist")
        with Household(folder / "household") as household:
            household.start_worker(settings)
            store = open_store(server.url)
            by_job(store, settings)  # the first one compiles the program that the others find
            rows = [(by_script(folder), by_job(store, settings)) for _ in range(repetitions)]
            store.close()
    script, job = (statistics.median(row[side][0] for row in rows) for side in (0, 1))
    found: dict[str, Any] = {
        "cores": os.cpu_count(),
        "repetitions": repetitions,
        "script_s": script,
        "job_s": job,
        "times_faster": script / job,
        "script_accuracy": rows[0][0][1],
        "job_accuracy": rows[0][1][1],
        "all": rows,
    }
    print(", ".join(f"{k} {v:.3f}" for k, v in found.items() if isinstance(v, float)))
    record("whole_job", found)


if __name__ == "__main__":
    main()
