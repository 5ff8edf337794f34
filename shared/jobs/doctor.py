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

from keepfit.shared.errors import JobNotFound
from keepfit.shared.jobs.deleting import clear, unfinished
from keepfit.shared.jobs.directory import JobDir, list_jobdirs, open_jobdir
from keepfit.shared.jobs.diskstate import damage_of, state_on_disk
from keepfit.shared.jobs.restoring import drop_deleted, is_of, note_stop, only_server_knows_stop, restore_from_disk
from keepfit.shared.jobs.states import JobState, wish_allowed
from keepfit.shared.store import JobRecord, Store, keys
from keepfit.shared.store.jobs import fields_of

PAGE = 500
UNNOTED = "the disk does not know that the job has stopped"
UNFREED = "the job was deleted, and its space is not freed yet"
DAMAGED = "the server's record of the job is damaged"
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


def examine(jobs_dir: Path, store: Store) -> Iterator[Finding]:
    """Every job of the directory and of the server, each once, after the keys that nothing can be read from.

    Raises StoreUnavailable; StoreRefused if such a key is not mended as soon as it is found.
    """
    for key in store.upkeep.sound(repair=False):
        yield Finding(key, "", "-", "-", "the key is of the wrong type, and what it holds cannot be read")
    for job_id in unfinished(jobs_dir):
        yield Finding(job_id, "", "deleted", "-", UNFREED)
    now_ms = store.now_ms()
    dirs = {jobdir.id: jobdir for jobdir in list_jobdirs(jobs_dir)}
    ids = sorted({*dirs, *store.upkeep.all_known()})
    for start in range(0, len(ids), PAGE):
        page = ids[start : start + PAGE]
        records, wrong = store.upkeep.records(page), store.upkeep.mend(page, repair=False)
        for job_id in page:
            record, jobdir = records.get(job_id), dirs.get(job_id)
            if job_id in records and (record is None or wrong.get(job_id) == "damaged"):
                yield Finding(job_id, "", "?" if jobdir else "-", "damaged", DAMAGED)
            elif jobdir is not None:
                yield _with_place(_compare(jobdir, record, now_ms), wrong.get(job_id, ""))
            else:
                state, name = (record.state.value, record.name) if record else ("?", "")
                yield Finding(job_id, name, "-", state, "the server has a job that has no directory")


def _with_place(found: Finding, word: str) -> Finding:
    """``found``, or that the job is not where its record says, where that is what keeps it from going on."""
    if word not in ASTRAY or (found.problem and found.mendable):
        return found
    return replace(found, problem=ASTRAY[word], mendable=True)


def mend(finding: Finding, jobs_dir: Path, store: Store) -> bool:
    """Make both sides say the same. False where that is not possible now. Raises StoreUnavailable."""
    if not finding.mendable:
        return False
    if finding.job_id.startswith(keys.PREFIX):
        return bool(store.upkeep.sound())
    if finding.problem == UNFREED:
        return _finish_deletion(finding.job_id, jobs_dir, store)
    if finding.problem == UNNOTED:
        return _note_stop(finding.job_id, jobs_dir, store)
    if finding.problem in ASTRAY.values():
        return bool(store.upkeep.mend([finding.job_id]))
    if finding.disk == "-":
        if finding.server == JobState.RUNNING:
            return False
        store.upkeep.remove(finding.job_id)
        return True
    if finding.server != "-" and not store.upkeep.forget(finding.job_id, damaged=finding.problem == DAMAGED):
        return False
    return restore_from_disk(open_jobdir(jobs_dir, finding.job_id), store)


def _note_stop(job_id: str, jobs_dir: Path, store: Store) -> bool:
    try:
        jobdir, record = open_jobdir(jobs_dir, job_id), store.jobs.get(job_id)
        if not only_server_knows_stop(jobdir, record):  # a person has had it go on just now
            return False
        note_stop(jobdir, record)
    except (JobNotFound, OSError):  # taken away meanwhile, or the disk is still full
        return False
    return True


def _finish_deletion(job_id: str, jobs_dir: Path, store: Store) -> bool:
    drop_deleted(jobs_dir, [job_id], store)
    try:
        clear(jobs_dir, job_id)
    except OSError:  # its permissions, or the disk
        return False
    return True


def _compare(jobdir: JobDir, record: JobRecord | None, now_ms: int) -> Finding:
    try:
        found, status, name = state_on_disk(jobdir), jobdir.status(), str(fields_of(jobdir)["name"])
    except Exception as exc:  # noqa: BLE001 - whatever a damaged or foreign file leads to
        server = record.state.value if record else "-"
        return Finding(jobdir.id, "?", "unreadable", server, f"the directory cannot be read: {exc}", mendable=False)
    disk = f"{found.state.value}, attempt {status.attempt}"
    if record is None:
        return Finding(jobdir.id, name, disk, "-", "the server does not know the job")
    server = f"{record.state.value}, attempt {record.attempt}"
    if damage := jobdir.damage or status.damage:
        return Finding(jobdir.id, name, "damaged", server, damage, mendable=False)
    if record.state is JobState.RUNNING:
        lapsed = record.lease_ms < now_ms
        problem = "its lease has lapsed and no worker takes it over: start a worker" if lapsed else ""
        return Finding(jobdir.id, name, disk, server, problem, mendable=False)
    if status.wish_number > record.wish_number and wish_allowed(record.state, status.wish):
        return Finding(jobdir.id, name, disk, server, f"the server has not heard of the wish to {status.wish.value}")
    if only_server_knows_stop(jobdir, record):
        return Finding(jobdir.id, name, disk, server, UNNOTED)
    if not is_of(record, jobdir):
        return Finding(jobdir.id, name, disk, server, "the server knows the job as something else")
    if found.state is not record.state:
        return Finding(jobdir.id, name, disk, server, "the states differ")
    if status.attempt > record.attempt:
        return Finding(jobdir.id, name, disk, server, "the disk has a later attempt")
    return Finding(jobdir.id, name, disk, server, damage_of(jobdir), mendable=False)
