"""One look at everything: what the disk says, what the queue server says, and where they differ.

    for finding in examine(settings.jobs_dir, store):
        print(finding.job_id, finding.disk, finding.server, finding.problem)
        mend(finding, settings.jobs_dir, store)

The disk is the truth: mending drops what the server says of a job that nobody runs and restores the
job from its directory. A job that has fallen out of a list of the server is put there again. Only a stop
that could not be put on disk when it happened is put there. A running job is left to its lease.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from keepfit.shared.jobs import mending
from keepfit.shared.jobs.deleting import clear, unfinished
from keepfit.shared.jobs.directory import JobDir, list_jobdirs
from keepfit.shared.jobs.states import JobState
from keepfit.shared.jobs.truth import Difference, Lack, OnDisk, compare, damage_of, on_disk
from keepfit.shared.store import JobRecord, Store

PAGE = 500
UNFREED = "the job was deleted, and its space is not freed yet"
WRONG_KEY = "the key is of the wrong type, and what it holds cannot be read"
LAPSED = "its lease has lapsed and no worker takes it over: start a worker"
IN_WORDS = {
    Difference.NONE: "",
    Difference.RUNS: "",
    Difference.UNKNOWN: "the server does not know the job",
    Difference.GONE: "the server has a job that has no directory",
    Difference.RECORD_DAMAGED: "the server's record of the job is damaged",
    Difference.STOP_UNNOTED: "the disk does not know that the job has stopped",
    Difference.ANOTHER: "the server knows the job as something else",
    Difference.STATE: "the states differ",
    Difference.ATTEMPT: "the disk has a later attempt",
}
"""The other differences are said with what is known of the job."""
LEFT_ALONE = frozenset({Difference.NONE, Difference.RUNS, Difference.DISK_DAMAGED})
ASTRAY = {
    "unqueued": "the job is queued, but in no queue of the server",
    "queued": "the job is not queued, but in a queue of the server",
    "unleased": "the job is running, but nobody looks after its lease",
    "leased": "the job is not running, but the server keeps a lease of it",
    "unlisted": "the job is in no list of the server",
    "miscounted": "the job is counted in the wrong state",
    "stream": "the key of the job's events is of the wrong type",
}
"""By what the server calls it (``mend.lua``)."""


@dataclass(frozen=True)
class Finding:
    """One job, as both sides see it."""

    job_id: str
    name: str
    disk: str
    server: str
    problem: str = ""
    """What differs, in words; empty where both agree."""
    mendable: bool = True
    difference: Difference = Difference.NONE
    """What is to be done; none for what is not a job's."""


def examine(jobs_dir: Path, store: Store) -> Iterator[Finding]:
    """Every job of the directory and of the server, each once, after the keys that nothing can be read from.

    Raises StoreUnavailable; StoreRefused if such a key is not mended as soon as it is found.
    """
    for key in store.upkeep.sound(repair=False):
        yield Finding(key, "", "-", "-", WRONG_KEY)
    for job_id in unfinished(jobs_dir):
        yield Finding(job_id, "", "deleted", "-", UNFREED)
    now_ms = store.now_ms()
    dirs = {jobdir.id: jobdir for jobdir in list_jobdirs(jobs_dir)}
    ids = sorted({*dirs, *store.upkeep.all_known()})
    for start in range(0, len(ids), PAGE):
        page = ids[start : start + PAGE]
        records, wrong = store.upkeep.records(page), store.upkeep.mend(page, repair=False)
        for job_id in page:
            word = wrong.get(job_id, "")
            server = records.get(job_id, Lack.MISSING) if word != "damaged" else Lack.DAMAGED
            finding = _look_at(job_id, dirs.get(job_id), server or Lack.DAMAGED, now_ms)
            yield _with_place(finding, word)


def _look_at(job_id: str, jobdir: JobDir | None, server: JobRecord | Lack, now_ms: int) -> Finding:
    """One job, but for where it stands in the server's lists."""
    said = server if isinstance(server, Lack) else f"{server.state.value}, attempt {server.attempt}"
    name = "" if isinstance(server, Lack) else server.name
    if jobdir is None:  # one that runs is left to its lease, or to a keeper
        difference = compare(None, server)
        runs = not isinstance(server, Lack) and server.state is JobState.RUNNING
        return Finding(job_id, name, "-", said, IN_WORDS[difference], mendable=not runs, difference=difference)
    try:
        disk = on_disk(jobdir)
    except Exception as exc:  # noqa: BLE001 - whatever a damaged or foreign file leads to
        return Finding(job_id, "?", "unreadable", said, f"the directory cannot be read: {exc}", mendable=False)
    difference = compare(disk, server)
    problem = _in_words(difference, jobdir, disk, server, now_ms)
    where = "damaged" if difference is Difference.DISK_DAMAGED else f"{disk.state.value}, attempt {disk.attempt}"
    return Finding(job_id, disk.name, where, said, problem, difference not in LEFT_ALONE, difference)


def _in_words(difference: Difference, jobdir: JobDir, disk: OnDisk, server: JobRecord | Lack, now_ms: int) -> str:
    if difference is Difference.WISH_UNHEARD:
        return f"the server has not heard of the wish to {disk.wish.value}"
    if difference is Difference.DISK_DAMAGED:
        return str(disk.damage)
    if difference is Difference.RUNS and not isinstance(server, Lack) and server.lease_ms < now_ms:
        return LAPSED
    if difference is Difference.NONE:
        return damage_of(jobdir)
    return IN_WORDS[difference]


def _with_place(found: Finding, word: str) -> Finding:
    """``found``, or that the job is not where its record says, where that is what keeps it from going on."""
    if word not in ASTRAY or (found.problem and found.mendable):
        return found
    return replace(found, problem=ASTRAY[word], mendable=True, difference=Difference.NONE)


def mend(finding: Finding, jobs_dir: Path, store: Store) -> bool:
    """Make both sides say the same. False where that is not possible now. Raises StoreUnavailable."""
    if not finding.mendable:
        return False
    if finding.problem == WRONG_KEY:
        return bool(store.upkeep.sound())
    if finding.problem == UNFREED:
        return _finish_deletion(finding.job_id, jobs_dir, store)
    if finding.difference is Difference.NONE:
        return bool(store.upkeep.mend([finding.job_id]))
    return mending.mend(finding.difference, jobs_dir, finding.job_id, store)


def _finish_deletion(job_id: str, jobs_dir: Path, store: Store) -> bool:
    mending.drop_deleted(jobs_dir, [job_id], store)
    try:
        clear(jobs_dir, job_id)
    except OSError:  # its permissions, or the disk
        return False
    return True
