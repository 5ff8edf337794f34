"""How the service is, for machines: /health in a few words, /metrics as Prometheus reads it.

    health(desk)            # {"status": "ok", "workers": 1, ...}
    exposition(desk)        # text

Whoever can ask learns numbers and states: no address, no path, no name of a job.
"""

import shutil
from collections.abc import Iterable
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from keepfit.shared.errors import KeepfitError, StoreUnavailable
from keepfit.shared.store import Store
from keepfit.web.desk import Desk

AWAY = "The queue server does not answer."
NO_WORKER, NONE_TAKES = "no worker is alive", "no worker takes jobs"


def health(desk: Desk) -> dict[str, Any]:
    """Whether the web side, the queue server and workers are there, and how far a rebuild is."""
    desk.feeder.start()  # who starts the service asks this first, before anybody opens the list
    filling = desk.feeder.index.filling
    found: dict[str, Any] = {"status": "degraded", "web": "ok", "redis": "ok", "workers": None, "problem": ""}
    found["listed"] = {"done": filling.done, "total": filling.total} if filling else None
    try:
        workers = desk.store.workers.list()
        found["rebuild"] = _rebuild(desk)
    except StoreUnavailable:
        return found | {"redis": AWAY, "problem": AWAY, "rebuild": None}
    problem = NO_WORKER if not workers else NONE_TAKES if not any(w.takes for w in workers) else ""
    return found | {"status": "degraded" if problem else "ok", "workers": len(workers), "problem": problem}


def exposition(desk: Desk) -> bytes:
    """The numbers of this moment. While the queue server is away, those that it alone knows are left out."""
    registry = CollectorRegistry()
    registry.register(_Gauges(desk))
    return generate_latest(registry)


def _rebuild(desk: Desk) -> dict[str, int] | None:
    """How many of the jobs on disk a server that was wiped knows again; None while nothing is missing."""
    if desk.store.upkeep.booted():
        return None
    known = desk.store.jobs.count(), sum(desk.feeder.index.counts().values())
    done, total = desk.store.upkeep.rebuilding() or known
    return {"done": done, "total": total} if done < total else None


class _Gauges(Collector):
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def collect(self) -> Iterable[Metric]:
        yield _gauge("free_disk_bytes", "Free bytes of the disk that the data directory is on.", self._free_disk())
        listed = sum(self._desk.feeder.index.counts().values())
        yield _gauge("listed_jobs", "Jobs that the list of this web process knows.", listed)
        try:
            yield from [*self._of_server(self._desk.store)]
        except KeepfitError:
            yield _gauge("queue_server_up", "Whether the queue server answers.", 0)

    def _of_server(self, store: Store) -> Iterable[Metric]:
        jobs = GaugeMetricFamily("keepfit_jobs", "Jobs by state.", labels=["state"])
        for state, number in store.jobs.counts().items():
            jobs.add_metric([state.value], number)
        yield jobs
        waited_s = (store.jobs.oldest_queued_ms() or 0) / 1000
        yield _gauge("oldest_queued_seconds", "How long the job has waited that waits the longest.", waited_s)
        beats = GaugeMetricFamily("keepfit_worker_beat_age_seconds", "Time since a worker's beat.", labels=["worker"])
        takes = GaugeMetricFamily("keepfit_worker_takes_jobs", "Whether a worker takes jobs.", labels=["worker"])
        for worker in store.workers.list():
            beats.add_metric([worker.name], worker.age_ms / 1000)
            takes.add_metric([worker.name], worker.takes)
        yield from (beats, takes)
        yield from _counters(store.counters.read())
        rebuild = _rebuild(self._desk) or {"done": 0, "total": 0}
        yield _gauge("rebuild_done_jobs", "Jobs that a rebuild has put back.", rebuild["done"])
        yield _gauge("rebuild_total_jobs", "Jobs that a rebuild has to put back; 0 without.", rebuild["total"])
        yield _gauge("queue_server_up", "Whether the queue server answers.", 1)

    def _free_disk(self) -> float:
        try:
            return float(shutil.disk_usage(self._desk.settings.data_dir).free)
        except OSError:
            return 0.0


def _counters(read: dict[str, int]) -> Iterable[Metric]:
    """The store's counters; those of the form ``name:value`` become one family with a label."""
    labels = {"interrupted": "cause", "ended": "state"}
    families: dict[str, CounterMetricFamily] = {}
    for counter, number in read.items():
        name, _, value = counter.partition(":")
        label = [labels[name]] if name in labels else []
        says = f"{name.capitalize()} since the queue server was last wiped."
        family = families.setdefault(name, CounterMetricFamily(f"keepfit_{name}", says, labels=label))
        family.add_metric([value] if label else [], number)
    return families.values()


def _gauge(name: str, says: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"keepfit_{name}", says, value=value)
