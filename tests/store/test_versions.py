"""Two versions on one server: each claims what it can read and leaves the rest; a row of the other ends no stream."""

import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from keepfit.shared.jobs.directory import JobDir, create_jobdir, open_jobdir
from keepfit.shared.jobs.doctor import examine, mend
from keepfit.shared.jobs.events import LogLine
from keepfit.shared.jobs.mending import put_back
from keepfit.shared.jobs.states import JobState, Outcome, Wish
from keepfit.shared.jobs.truth import Difference, compare, on_disk
from keepfit.shared.reasons import said
from keepfit.shared.spec import KINDS, READS, parse_spec
from keepfit.shared.store import Budget, Store, keys
from tests.harness.documents import write_wish


def submit(store: Store, jobs_dir: Path, name: str, priority: int = 0, **newer: Any) -> JobDir:
    """A queued job; ``newer`` is what a newer version has put into its spec."""
    jobdir, _ = create_jobdir(jobs_dir, parse_spec({"name": name}), name)
    if newer:
        spec = {**jobdir.job.spec, **newer}
        jobdir.job.model_copy(update={"spec": spec}).write(jobdir.job_file)
    jobdir = open_jobdir(jobs_dir, jobdir.id)
    store.jobs.create(jobdir, priority=priority)
    return jobdir


@pytest.fixture
def jobs_dir(tmp_path: Path) -> Path:
    """The folder of job directories."""
    return tmp_path / "jobs"


def test_a_worker_claims_only_what_it_can_read(store: Store, jobs_dir: Path) -> None:
    """A higher version and an unknown kind are left, hinted or best, to a worker that knows them."""
    version = submit(store, jobs_dir, "version", 9, version=READS + 1).id
    kind = submit(store, jobs_dir, "kind", 8, kind="script").id
    assert not store.upkeep.ready()
    own = submit(store, jobs_dir, "own").id
    assert store.upkeep.ready()

    claimed = [store.leases.claim("old", hint=version, lease_s=60), store.leases.claim("old", hint=kind, lease_s=60)]

    assert [c and c.job_id for c in claimed] == [own, None]
    assert not store.upkeep.ready(), "a kick would fork a child for nothing"
    assert store.jobs.get(version).state is store.jobs.get(kind).state is JobState.QUEUED
    assert store.jobs.get(version).attempt == 0

    newer = [store.leases.claim("new", lease_s=60, reads=READS + 1, kinds=(*KINDS, "script")) for _ in range(3)]
    assert [c and c.job_id for c in newer] == [version, kind, None]


def test_many_jobs_of_a_newer_version_hide_none_of_ours(store: Store, jobs_dir: Path) -> None:
    """The queue is looked through in steps."""
    others = {f"other{n:07d}": n for n in range(1_000)}
    store.link.ask(lambda r: r.zadd(keys.READY, others))
    store.link.ask(lambda r: [r.hset(keys.job(name), mapping={"needs": 7, "kind": "train"}) for name in others])
    own = submit(store, jobs_dir, "own").id

    claim = store.leases.claim("old", lease_s=60)

    assert claim is not None
    assert claim.job_id == own


def test_a_record_of_the_first_version_is_claimed(store: Store, jobs_dir: Path) -> None:
    """It has no field that says what it needs."""
    own = submit(store, jobs_dir, "own").id
    store.link.ask(lambda r: r.hdel(keys.job(own), "needs", "kind"))

    claim = store.leases.claim("new", lease_s=60)

    assert claim is not None
    assert claim.job_id == own


def test_an_older_keeper_restores_a_newer_job(store: Store, jobs_dir: Path) -> None:
    """After a wipe it is back with its name and its wish, although nobody here can read it."""
    newer = submit(store, jobs_dir, "from the future", version=READS + 1, kind="script", data=["odd"])
    write_wish(newer, Wish.PAUSE, 3)
    store.link.ask(lambda r: r.flushdb())

    assert put_back(newer, store)

    record = store.jobs.get(newer.id)
    assert (record.name, record.kind, record.needs, record.state) == (
        "from the future",
        "script",
        READS + 1,
        JobState.PAUSED,
    )
    store.jobs.request(newer.id, Wish.RUN, number=4)
    assert store.jobs.get(newer.id).state is JobState.QUEUED
    assert store.leases.claim("old", lease_s=60) is None
    assert "newer version" in str(store.jobs.waiting(newer.id).reason)


def test_an_evaluation_needs_what_its_source_needs(store: Store, jobs_dir: Path) -> None:
    """Whoever measures a model must be able to build it."""
    source = submit(store, jobs_dir, "source", kind="script").id
    submit(store, jobs_dir, "evaluation", kind="evaluate", source=source)
    claim = store.leases.claim("old", lease_s=60)

    assert claim is None


def test_a_row_that_cannot_be_read_ends_no_stream(store: Store, jobs_dir: Path) -> None:
    """Foreign and damaged rows lie between two of ours."""
    job_id = submit(store, jobs_dir, "job").id
    claim = store.leases.claim("owner", lease_s=60)
    assert claim is not None
    store.leases.report(claim, [LogLine("before")])
    rows: list[dict[str, str]] = [
        {"type": "epoch", "data": "{}"},
        {"type": "epoch", "data": "{"},
        {"type": "epoch"},
        {"type": "log", "data": "[" * 100_000, "attempt": "x"},
        {"odd": "row"},
    ]
    store.link.ask(lambda r: [r.xadd(key, row) for row in rows for key in (keys.events(job_id), keys.CHANGES)])
    store.leases.report(claim, [LogLine("after")])

    found = [e.event.text for e in store.events.read(job_id) if isinstance(e.event, LogLine)]

    assert found == ["before", "after"]
    assert store.events.read_all(after_id="0", block_ms=10)[-1].job_id == job_id


def test_rows_that_cannot_be_read_are_waited_at_no_more(store: Store, jobs_dir: Path) -> None:
    """A reader that is asked to wait waits behind them, and more of them than fit into one answer hide nothing."""
    job_id = submit(store, jobs_dir, "job").id
    claim = store.leases.claim("owner", lease_s=60)
    assert claim is not None
    last = store.events.last_id(job_id)
    store.link.ask(lambda r: [r.xadd(keys.events(job_id), {"type": "dream", "data": "{}"}) for _ in range(30)])

    began = time.monotonic()
    assert store.events.read(job_id, after_id=last, block_ms=300, count=10) == []
    assert time.monotonic() - began >= 0.29

    store.leases.report(claim, [LogLine("after")])
    assert [e.event for e in store.events.read(job_id, after_id=last, count=10)] == [LogLine("after")]


def test_what_an_old_record_says_is_not_written_onto_a_new_directory(store: Store, jobs_dir: Path) -> None:
    """The directory was removed by hand and the job submitted anew, with the same key."""
    old = submit(store, jobs_dir, "key")
    claim = store.leases.claim("worker", lease_s=60)
    assert claim is not None
    store.leases.finish(claim, Outcome.FAILED, reason=said("There is no job."), budget=Budget(3, 60.0))
    record = store.jobs.get(old.id)
    assert compare(on_disk(old), record) is Difference.STOP_UNNOTED
    shutil.rmtree(old.path)

    new, made = create_jobdir(jobs_dir, parse_spec({"name": "key"}), "key")

    assert made
    assert compare(on_disk(new), record) is Difference.ANOTHER
    assert [finding.problem for finding in examine(jobs_dir, store)] != [""]


def test_doctor_names_a_damaged_job_and_sees_that_it_was_restored(store: Store, jobs_dir: Path) -> None:
    """What was put back from a damaged directory is put back again when the directory is whole."""
    jobdir = submit(store, jobs_dir, "job")
    content = (jobdir.path / "job.json").read_bytes()
    (jobdir.path / "job.json").write_text("{")
    store.link.ask(lambda r: r.flushdb())
    put_back(open_jobdir(jobs_dir, jobdir.id), store)
    [damaged] = examine(jobs_dir, store)

    (jobdir.path / "job.json").write_bytes(content)
    [whole] = examine(jobs_dir, store)

    assert "its job.json cannot be read" in damaged.problem
    assert (damaged.name, damaged.mendable) == (jobdir.id, False)
    assert mend(whole, jobs_dir, store)
    assert (store.jobs.get(jobdir.id).name, store.jobs.get(jobdir.id).state) == ("job", JobState.QUEUED)
