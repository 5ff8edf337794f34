"""Everything that Keepfit keeps in Redis. The only package that imports redis.

    store = open_store(settings.broker_url)
    store.jobs.create(jobdir)            # after the directory is durable
    store.events.read(job_id, after_id="0", block_ms=5000)
    store.leases.claim(owner, hint="", lease_s=3)      # workers only

Whatever changes a job is a Lua script, which runs on the server's clock and writes the state and its event
together; only marks of the keepers (booted, drilled, how far a rebuild is) are plain commands. A server that does
not answer, or cannot serve now, is ``StoreUnavailable``; whatever else it answers with an error is ``StoreRefused``
(``link``).
"""

from dataclasses import dataclass

from keepfit.shared.store.counters import Counters
from keepfit.shared.store.events import EventLog, StoredChange, StoredEvent
from keepfit.shared.store.jobs import Jobs, Waiting
from keepfit.shared.store.keepers import Upkeep, WishChannel, Workers
from keepfit.shared.store.leases import Budget, Claim, Leases, Renewal, Running
from keepfit.shared.store.link import Link
from keepfit.shared.store.records import JobRecord, LeaseState, WorkerRecord

__all__ = [
    "Budget",
    "Claim",
    "Counters",
    "EventLog",
    "JobRecord",
    "Jobs",
    "LeaseState",
    "Leases",
    "Link",
    "Renewal",
    "Running",
    "Store",
    "StoredChange",
    "StoredEvent",
    "Upkeep",
    "Waiting",
    "WishChannel",
    "WorkerRecord",
    "Workers",
    "open_store",
]


@dataclass(frozen=True)
class Store:
    """All that is kept in Redis, over one pool of connections."""

    link: Link
    jobs: Jobs
    leases: Leases
    events: EventLog
    workers: Workers
    upkeep: Upkeep
    counters: Counters

    def ping(self) -> None:
        """Raises StoreUnavailable when the server does not answer."""
        self.link.ask(lambda r: r.ping())

    def now_ms(self) -> int:
        """The server's clock, in milliseconds since 1970."""
        seconds, micros = self.link.ask(lambda r: r.time())
        return int(seconds) * 1000 + int(micros) // 1000

    def close(self) -> None:
        """Give the connections back."""
        self.link.close()


def open_store(url: str, timeout_s: float = 2.0) -> Store:
    """The store at ``url``; connects on first use. Make it after a fork, never before."""
    link = Link(url, timeout_s)
    parts = Jobs(link), Leases(link), EventLog(link), Workers(link), Upkeep(link), Counters(link)
    return Store(link, *parts)
