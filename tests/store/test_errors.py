"""What a failure of the server is called: away, or refused; and that nobody takes the one for the other."""

import logging
import shutil
import signal
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from keepfit.shared.errors import StoreRefused, StoreUnavailable
from keepfit.shared.jobs.directory import JobDir, create_jobdir
from keepfit.shared.jobs.events import LogLine
from keepfit.shared.spec import parse_spec
from keepfit.shared.store import Claim, Store, keys, open_store
from keepfit.worker import heartbeat as beating
from keepfit.worker.heartbeat import Heartbeat
from keepfit.worker.reporting import StreamReporter
from keepfit.worker.training.interfaces import StopReason, StopSignal
from tests.harness.processes import Valkey
from tests.harness.waiting import wait_until


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Valkey]:
    """A server that a test may put into any condition."""
    with Valkey(tmp_path / "own") as server:
        yield server
        server.stop(signal.SIGKILL)  # without its disk it would not end by itself


@pytest.fixture
def jobdir(tmp_path: Path, store: Store) -> JobDir:
    """A job that was just submitted."""
    jobdir, _ = create_jobdir(tmp_path / "jobs", parse_spec({"name": "job"}))
    store.jobs.create(jobdir)
    return jobdir


@pytest.fixture
def claim(jobdir: JobDir, store: Store) -> Claim:
    """Its running attempt."""
    claim = store.leases.claim("owner", hint=jobdir.id, lease_s=60)
    assert claim
    return claim


CONDITIONS = {
    "no memory": [["CONFIG", "SET", "maxmemory", "1"]],
    "read only": [["REPLICAOF", "127.0.0.1", "1"]],
    "password": [["CONFIG", "SET", "requirepass", "secret"]],
    "no disk": [["CONFIG", "SET", "appendonly", "no"], ["CONFIG", "SET", "save", "3600 1"], ["BGSAVE"]],
}


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_server_that_cannot_serve_now_is_away(own_server: Valkey, condition: str) -> None:
    """Full, a replica, without a disk or behind a new password: trying again helps, so it is an outage."""
    store = open_store(own_server.url)
    for command in CONDITIONS[condition]:
        if command == ["BGSAVE"]:
            shutil.rmtree(own_server.directory)
        store.link.ask(partial(_execute, command=command))
    fresh = open_store(own_server.url)

    def away() -> bool:
        try:
            fresh.workers.beat("worker", host="host", pid=1, slots=1, busy=0)
        except StoreUnavailable:
            return True
        return False

    wait_until(away, "it cannot serve")
    fresh.close()
    store.close()


def _execute(client: Any, command: list[str]) -> Any:
    return client.execute_command(*command)


def test_a_wrong_request_is_refused_and_no_outage(
    store: Store, jobdir: JobDir, caplog: pytest.LogCaptureFixture
) -> None:
    """A key of the wrong type, a number out of range, a script that fails: refused, with the script's name, logged."""
    store.link.ask(lambda r: r.set(keys.READY, "x"))

    with pytest.raises(StoreRefused, match="claim"):
        store.leases.claim("owner", lease_s=60)
    with pytest.raises(StoreRefused, match="out of range"):
        store.jobs.list(10, 10**20)
    assert [*store.link.hashes([keys.READY, keys.job(jobdir.id)])[1]]  # one row costs itself

    logged = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert any("script claim" in line and "WRONGTYPE" in line for line in logged)


def test_a_refused_heartbeat_stops_the_attempt_if_it_stays_refused(
    store: Store, jobdir: JobDir, claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A damaged key is mended by a keeper within seconds; a fault that stays is never retried unheard for ever."""
    monkeypatch.setattr(beating, "REFUSED_S", 0.5)
    stop = StopSignal()
    with Heartbeat(store.leases, claim, jobdir, stop, lambda: False, lambda: None, 60, 0.05) as heartbeat:
        wait_until(lambda: store.jobs.get(jobdir.id).heartbeat_ms, "it beats")
        store.link.ask(lambda r: r.set(keys.LEASES, "x"))
        wait_until(stop.is_set, "the attempt is asked to stop", timeout_s=5)

        assert stop.reason is StopReason.DRAIN  # with a checkpoint, and given back
        assert "WRONGTYPE" in str(heartbeat.fault)
        assert not heartbeat.lost


def test_a_refused_heartbeat_that_is_mended_stops_nothing(store: Store, jobdir: JobDir, claim: Claim) -> None:
    """The training goes on, and so does the lease."""
    stop = StopSignal()
    with Heartbeat(store.leases, claim, jobdir, stop, lambda: False, lambda: None, 60, 0.05) as heartbeat:
        store.link.ask(lambda r: r.set(keys.LEASES, "x"))
        wait_until(heartbeat._thread.is_alive, "it beats")
        store.link.ask(lambda r: r.delete(keys.LEASES))
        wait_until(lambda: [r.claim for r in store.leases.running()] == [claim], "the lease is back")

    assert not stop.is_set()


def test_refused_events_keep_no_later_ones_back(store: Store, jobdir: JobDir, claim: Claim) -> None:
    """They are dropped from the stream, with a word; the files have them."""
    store.link.ask(lambda r: r.rename(keys.job(jobdir.id), keys.job("aside")))
    store.link.ask(lambda r: r.set(keys.job(jobdir.id), "x"))
    done = threading.Event()
    with StreamReporter(store.leases, claim, done.is_set) as reporter:
        reporter.report(LogLine("refused"))
        wait_until(reporter._queue.empty, "it was taken")
        store.link.ask(lambda r: r.rename(keys.job("aside"), keys.job(jobdir.id)))
        reporter.report(LogLine("later"))
        wait_until(
            lambda: LogLine("later") in [s.event for s in store.events.read(jobdir.id)], "the later one is there"
        )
