"""Removes what killed writers have left half done and nobody else will: the leftovers of jobs that no attempt runs.

An attempt clears away what the attempts before it have left (``shared.checkpoints.keep``); this is for jobs
that have no next attempt, and for submits and wishes whose web process was killed. Private directories in the
cache go as well. Part of a keeper; only looks at the disk. What two keepers sweep is gone once.
"""

import contextlib
import logging
import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from keepfit.shared import host
from keepfit.shared.jobs.directory import JobDir, list_jobdirs, staged_jobdirs
from keepfit.worker.keeper.chores import REAL, Chore, Clock, RollCall

JOBS_A_TICK = 10
"""So that a data directory of many thousand jobs keeps the keeper neither from its leases nor a core from its work."""

log = logging.getLogger(__name__)


class Sweeper(Chore):
    """Walks over all job directories every ``stale_s`` seconds and removes leftovers that are older than that."""

    name = "sweep"

    def __init__(self, jobs_dir: Path, cache_dir: Path, stale_s: float, roll: RollCall, clock: Clock = REAL) -> None:
        self._jobs_dir, self._cache_dir, self._stale_s = jobs_dir, cache_dir, stale_s
        self._roll, self._clock = roll, clock
        self._began = clock.monotonic()
        self._walk: Iterator[JobDir] = iter(())

    def tick(self) -> None:
        """Sweep a few jobs, but none of those that run: their writers may be at work."""
        running = {attempt.claim.job_id for attempt in self._roll.running}
        jobs = list(islice(self._walk, JOBS_A_TICK))
        for job in jobs:
            if job.id not in running:
                self._sweep(job.unfinished())
        if not jobs and self._clock.monotonic() - self._began > self._stale_s:
            self._began = self._clock.monotonic()
            self._sweep(staged_jobdirs(self._jobs_dir))
            for shared in self._cache_dir.glob("*/"):
                host.sweep_private(shared)
            self._walk = list_jobdirs(self._jobs_dir)

    def _sweep(self, leftovers: list[Path]) -> None:
        for path in leftovers:
            with contextlib.suppress(OSError):  # gone already, or not ours to remove; the next walk tries again
                if self._clock.wall() - path.stat().st_mtime > self._stale_s:
                    remove(path)
                    log.info("removed a leftover of a killed writer: %s", path)


def remove(path: Path) -> None:
    """Remove a file, or a directory with all in it. Raises OSError."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
