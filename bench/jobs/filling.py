"""Fills a data directory with many jobs, by the writers that the service itself uses.

    trained = train_one(folder)             # one real job, by a real worker
    fill(data_dir, trained, jobs=100_000)

`job.json`, wishes and verdicts are written by ``create_jobdir``, ``write_wish`` and ``write_verdict``; the attempts'
files are hard links to those of the one job that was trained. Only fsync is left out, and made up for once at the end.
"""

import os
import shutil
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from bench.first_step import one_worker
from keepfit.shared.jobs.directory import JobDir, create_jobdir
from keepfit.shared.jobs.states import ENDS, JobState, Wish
from keepfit.shared.reasons import said
from tests.harness.documents import write_verdict, write_wish
from tests.harness.specs import accepted
from tests.harness.waiting import wait_until

FILLED_BY = (
    "job.json, wishes and verdicts by the service's own writers without fsync; attempts' files hard-linked to those of "
    "one job that was really trained; of 100 jobs 91 succeeded, 4 failed, 2 cancelled, 2 paused, 1 an evaluation"
)
LINKS = 20_000
"""ext4 takes 65,000 links of one file: then the next copy is linked."""
MODELS = ("mlp", "cnn")


def train_one(folder: Path) -> Path:
    """The directory of one job that a real worker has trained, kept in ``folder``."""
    spec = accepted({"name": "trained", "training": {"epochs": 2}})
    with one_worker() as (store, settings):
        jobdir, _ = create_jobdir(settings.jobs_dir, spec)
        store.jobs.create(jobdir)
        wait_until(lambda: store.jobs.get(jobdir.id).state in ENDS, "the job has ended", timeout_s=120)
        assert store.jobs.get(jobdir.id).state is JobState.SUCCEEDED
        shutil.copytree(jobdir.path, folder, symlinks=True)
    return folder


def fill(data_dir: Path, trained: Path, jobs: int) -> None:
    """Make ``jobs`` jobs in ``data_dir``."""
    data_dir.mkdir(parents=True, exist_ok=True)
    shares = [(data_dir, trained, start, min(LINKS, jobs - start)) for start in range(0, jobs, LINKS)]
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
        list(pool.map(_fill, shares))
    os.sync()


def _fill(share: tuple[Path, Path, int, int]) -> None:
    data_dir, trained, start, number = share
    os.fsync = lambda fd: None  # noqa: ARG005 - this process only
    own = trained.with_name(f"{trained.name}-{start}")
    shutil.copytree(trained, own, symlinks=True)
    folders, files = _listed(own / "attempts")
    for index in range(start, start + number):
        _make(data_dir, own, folders, files, index)


def _listed(attempts: Path) -> tuple[list[str], list[str]]:
    folders, files = [], []
    for place, below, names in os.walk(attempts):
        here = os.path.relpath(place, attempts.parent)
        folders += [here, *(os.path.join(here, name) for name in below if (Path(place) / name).is_symlink())]  # noqa: PTH118
        files += [f"{here}/{name}" for name in names]
    return folders, files


def _make(data_dir: Path, own: Path, folders: list[str], files: list[str], index: int) -> None:
    kind = index % 100
    raw = {"name": f"sweep {index}", "model": {"name": MODELS[index % 2]}, "training": {"epochs": 2, "seed": index}}
    if kind == 99:
        raw = {"kind": "evaluate", "name": f"measured {index}", "source": "a" * 12, "data": {"name": "mnist-5k"}}
    jobdir, _ = create_jobdir(data_dir / "jobs", accepted(raw), key=f"filled-{index}")
    if 97 <= kind <= 98:  # stopped by a person before they began
        write_wish(jobdir, Wish.CANCEL, 1)
        return
    for folder in folders:
        (jobdir.path / folder).mkdir(exist_ok=True)
    unfinished = 91 <= kind <= 96
    for name in files:
        if not (unfinished and name.endswith("result.json")):
            os.link(own / name, jobdir.path / name, follow_symlinks=False)
    if unfinished:
        _stop(jobdir, failed=kind <= 94)


def _stop(jobdir: JobDir, failed: bool) -> None:
    if failed:
        write_verdict(
            jobdir, JobState.FAILED, said(f"an error of {time.strftime('%Y')}, for the list"), attempt=1, wish_number=0
        )
    else:
        write_wish(jobdir, Wish.PAUSE, 1)
