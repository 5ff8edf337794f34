"""What others ask of the store: streams and their ends, who waits how long, what a wish sounds like."""

import time
from pathlib import Path

import pytest
import redis

from keepfit.shared.errors import JobNotFound, StoreUnavailable
from keepfit.shared.jobs.deleting import bury
from keepfit.shared.jobs.directory import JobDir, create_jobdir
from keepfit.shared.jobs.events import LogLine, StateChanged
from keepfit.shared.jobs.mending import drop_deleted
from keepfit.shared.jobs.states import Cause, JobState, Outcome, Wish
from keepfit.shared.reasons import said
from keepfit.shared.spec import parse_spec
from keepfit.shared.store import Budget, LeaseState, Store, WishChannel, keys, open_store
from keepfit.shared.store.keepers import READY_LOOKED_AT
from tests.harness.processes import Valkey


def submit(store: Store, jobs_dir: Path, name: str) -> JobDir:
    """A queued job."""
    jobdir, _ = create_jobdir(jobs_dir, parse_spec({"name": name}), name)
    store.jobs.create(jobdir)
    return jobdir


def _listen(channel: WishChannel) -> bool:
    """Whether a wish was heard, on one of a few looks."""
    return any(channel.heard(0.1) for _ in range(10))


@pytest.fixture
def jobdir(store: Store, tmp_path: Path) -> JobDir:
    """A queued job."""
    return submit(store, tmp_path / "jobs", "first")


@pytest.mark.parametrize("protocol", [2, 3])
def test_a_stream_reads_the_same_in_both_protocols(
    store: Store, jobdir: JobDir, valkey_url: str, protocol: int
) -> None:
    """Servers and clients of either age answer with the same events."""
    asked = open_store(f"{valkey_url}?protocol={protocol}")

    (stored,) = asked.events.read(jobdir.id)
    (change,) = asked.events.read_all(after_id="0")
    asked.close()

    assert isinstance(stored.event, StateChanged)
    assert change.job_id == jobdir.id


def test_events_that_nobody_can_read_are_not_waited_at(store: Store, jobdir: JobDir, valkey_url: str) -> None:
    """Those of a newer version are passed over, and the time to wait is kept all the same."""
    client = redis.Redis.from_url(valkey_url)
    for _ in range(300):  # read one by one: the time is over before they are
        client.xadd(keys.events(jobdir.id), {"type": "of a newer version", "data": "{}"})
    client.close()
    after_the_first = store.events.read(jobdir.id)[0].id

    began = time.monotonic()
    found = store.events.read(jobdir.id, after_id=after_the_first, block_ms=1, count=1)

    assert found == []
    assert time.monotonic() - began < 1


def test_a_reader_learns_where_the_streams_end(store: Store, jobdir: JobDir) -> None:
    """The newest event of a job and the newest change of all; what was trimmed is no longer there."""
    assert store.events.last_id("aaaaaaaaaaaa") == "0"
    assert store.events.last_id(jobdir.id) == store.events.read(jobdir.id)[-1].id

    last = store.events.last_change_id()

    assert store.events.read_all(after_id="0")[-1].id == last
    assert store.events.has_change(last)
    assert not store.events.has_change("1-1")


def test_how_long_the_longest_wait_is(store: Store, tmp_path: Path) -> None:
    """None where nothing waits, else the time since the oldest of them was queued."""
    assert store.jobs.oldest_queued_ms() is None

    submit(store, tmp_path / "jobs", "first")

    waited = store.jobs.oldest_queued_ms()
    assert waited is not None
    assert 0 <= waited < 60_000


def test_a_job_waits_for_workers_that_take_none(store: Store, jobdir: JobDir) -> None:
    """A worker that drains is alive, but of no use to it; one that has left is not even that."""
    store.workers.beat("w", host="host", pid=1, slots=2, busy=0, takes=False)
    assert str(store.jobs.waiting(jobdir.id).reason) == "no worker takes jobs now"

    store.workers.leave("w")

    assert str(store.jobs.waiting(jobdir.id).reason) == "no worker is alive"
    assert store.workers.list() == []


def test_a_job_says_how_many_are_before_it(store: Store, jobdir: JobDir, tmp_path: Path) -> None:
    """One or several: each is its place in the queue."""
    second, third = (submit(store, tmp_path / "jobs", name) for name in ("second", "third"))
    store.workers.beat("w", host="host", pid=1, slots=1, busy=0)

    reasons = [str(store.jobs.waiting(job.id).reason) for job in (jobdir, second, third)]

    assert reasons == ["a worker is about to take it", "1 job before it", "2 jobs before it"]


def test_only_who_runs_a_job_is_asked_to_die_and_once(store: Store, jobdir: JobDir) -> None:
    """A drill is for the owner of the running attempt; asked a second time, it has been told."""
    assert not store.jobs.drill(jobdir.id)
    claim = store.leases.claim("its owner", lease_s=60)
    assert claim is not None

    assert store.jobs.drill(jobdir.id)

    assert not store.upkeep.drilled("another owner")
    assert store.upkeep.drilled("its owner")
    assert not store.upkeep.drilled("its owner")


def test_among_many_a_claim_finds_out_what_can_be_claimed(store: Store, tmp_path: Path) -> None:
    """Nothing ready; a job ready; so many that they are not looked at one by one."""
    assert not store.upkeep.ready()
    for number in range(READY_LOOKED_AT):
        submit(store, tmp_path / "jobs", f"job {number}")

    assert store.upkeep.ready()


def test_a_job_that_was_interrupted_is_recovering(store: Store, jobdir: JobDir) -> None:
    """Queued is not queued: with an attempt behind it people see that it recovers."""
    assert not store.jobs.get(jobdir.id).recovering
    claim = store.leases.claim("worker", lease_s=60)
    assert claim is not None
    assert not store.jobs.get(jobdir.id).recovering

    store.leases.finish(claim, Outcome.INTERRUPTED, reason=said("killed"), budget=Budget(3, 60.0), cause=Cause.PROCESS)

    record = store.jobs.get(jobdir.id)
    assert record.state is JobState.QUEUED
    assert record.recovering


def test_a_wish_is_heard_at_once(store: Store, jobdir: JobDir) -> None:
    """A channel that nobody has spoken on yet is silent; the next wish is there at once."""
    store.leases.claim("worker", lease_s=60)
    channel = store.leases.listen(jobdir.id)
    channel.close()  # never listened: nothing to give back
    assert not any(channel.heard(0.05) for _ in range(2))

    store.jobs.request(jobdir.id, Wish.PAUSE, number=1)

    assert _listen(channel)
    channel.close()


def test_a_channel_survives_the_servers_absence(tmp_path: Path) -> None:
    """While the server is away that is said at once, and what was wished after its return is heard."""
    with Valkey(tmp_path / "own") as server:
        store = open_store(server.url)
        jobdir = submit(store, tmp_path / "jobs", "first")
        store.leases.claim("worker", lease_s=60)
        channel = store.leases.listen(jobdir.id)
        channel.heard(0.01)
        server.stop()

        with pytest.raises(StoreUnavailable):
            _listen(channel)
        server.start()
        channel.heard(0.05)
        store.jobs.request(jobdir.id, Wish.PAUSE, number=1)

        assert _listen(channel)
        assert store.upkeep.uptime_s() < 60
        channel.close()
        store.close()


def test_what_may_not_be_read_is_an_outage_and_no_empty_record(store: Store, jobdir: JobDir, valkey_url: str) -> None:
    """A password or a right that is about to change hides records: then nobody must think that there are none."""
    client = redis.Redis.from_url(valkey_url)
    client.acl_setuser("limited", enabled=True, passwords=["+pw"], categories=["+@all"], keys=["kf:worker:*"])
    limited = open_store(valkey_url.replace("redis://", "redis://limited:pw@"))
    try:
        with pytest.raises(StoreUnavailable):
            limited.link.hashes([keys.worker("w"), keys.job(jobdir.id)])
    finally:
        limited.close()
        client.acl_deluser("limited")
        client.close()


def test_an_attempt_adopts_its_job_though_its_document_was_damaged_since(
    store: Store, jobdir: JobDir, valkey_url: str
) -> None:
    """It has read ``job.json`` while that was whole: after a wipe it trains on, and its events count."""
    claim = store.leases.claim("worker", lease_s=60)
    assert claim is not None
    assert jobdir.job.created_ms > 0
    (jobdir.path / "job.json").write_bytes(b"{")
    client = redis.Redis.from_url(valkey_url)
    client.flushall()
    client.close()

    assert store.leases.renew(claim, lease_s=60).lease is LeaseState.MISSING
    assert store.leases.adopt(claim, jobdir, lease_s=60) is LeaseState.HELD
    assert store.leases.report(claim, [LogLine("goes on")])


def test_the_streams_of_several_jobs_are_read_at_once(store: Store, jobdir: JobDir, tmp_path: Path) -> None:
    """Each after a position of its own; a job of which nothing is new is not among the answers."""
    other = submit(store, tmp_path / "jobs", "second")

    found = store.events.read_of({jobdir.id: "0", other.id: store.events.last_id(other.id)})

    assert list(found) == [jobdir.id]
    events, after_id = found[jobdir.id]
    assert [type(stored.event) for stored in events] == [StateChanged]
    assert after_id == store.events.last_id(jobdir.id)


def test_what_was_put_back_and_deleted_meanwhile_is_dropped_again(store: Store, jobdir: JobDir) -> None:
    """Whoever deletes a job moves its directory first: a slow hand that restores it sees that afterwards."""
    jobs_dir = jobdir.path.parent
    kept = submit(store, jobs_dir, "kept")
    bury(jobs_dir, jobdir.id)

    assert drop_deleted(jobs_dir, [jobdir.id, kept.id], store)
    assert not drop_deleted(jobs_dir, [kept.id], store)

    assert store.jobs.get(kept.id).state is JobState.QUEUED
    with pytest.raises(JobNotFound):
        store.jobs.get(jobdir.id)


def test_a_job_that_is_deleted_while_it_is_adopted_is_lost(store: Store, jobdir: JobDir, valkey_url: str) -> None:
    """Its directory goes between the look at it and the script: the record that was made must not stay."""

    class DeletedJustNow(JobDir):
        def exists(self) -> bool:
            bury(self.path.parent, self.id)
            return super().exists()

    claim = store.leases.claim("worker", lease_s=60)
    assert claim is not None
    client = redis.Redis.from_url(valkey_url)
    client.flushall()
    client.close()

    adopted = store.leases.adopt(claim, DeletedJustNow(jobdir.path, jobdir.datasets), lease_s=60)

    assert adopted is LeaseState.LOST
    with pytest.raises(JobNotFound):
        store.jobs.get(jobdir.id)
