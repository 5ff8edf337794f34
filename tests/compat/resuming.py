"""Attempts at kept jobs, each in a fork of a process that has imported TensorFlow and run no op, as in the service.

python -m tests.compat.resuming THREADS      # then a job's directory a line; answers a line of JSON for each
"""

import dataclasses
import json
import os
import sys
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

from keepfit.shared.jobs.directory import JobDir
from keepfit.shared.jobs.events import Event
from keepfit.worker.kinds import run
from keepfit.worker.training import bits
from keepfit.worker.training.interfaces import StopSignal


class Silent:
    """Hears and says nothing."""

    def report(self, event: Event) -> None:
        """Take one event."""


def attempt(jobdir: JobDir, threads: int) -> None:
    """Go on with a job, as a worker would that has claimed it, and answer with its result."""
    bits.configure(threads)
    result = run(jobdir.spec, jobdir, jobdir.new_attempt(jobdir.status().attempt + 1), Silent(), StopSignal())
    print(json.dumps({"result": dataclasses.asdict(result), "environment": bits.fingerprint()}), flush=True)


def main() -> None:
    """Fork an attempt for each line."""
    for line in sys.stdin:
        path = Path(line.strip())
        pid = os.fork()
        if pid == 0:
            attempt(JobDir(path, path.parent.parent / "datasets"), int(sys.argv[1]))
            os._exit(0)
        if os.waitpid(pid, 0)[1] != 0:
            print("null", flush=True)


if __name__ == "__main__":
    main()
