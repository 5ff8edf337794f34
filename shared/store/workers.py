"""The living workers: who beats, with how many slots, how many of them busy."""

from collections.abc import Mapping

from keepfit.shared.store import keys
from keepfit.shared.store.jobs import WORKER_SILENT_MS
from keepfit.shared.store.records import WorkerRecord
from keepfit.shared.store.scripts import Link


class Workers:
    """What the store knows of workers."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def beat(self, name: str, host: str, pid: int, slots: int, busy: int, takes: bool = True) -> None:
        """Say that the worker ``name`` lives. ``takes``: whether it takes jobs, or stops, or has gone deaf."""
        self._link.run("beat", name, host, pid, slots, busy, int(takes), WORKER_SILENT_MS)

    def leave(self, name: str) -> None:
        """Say that the worker ``name`` stops."""
        self._link.run("leave", name)

    def list(self) -> list[WorkerRecord]:
        """All workers that have been heard of in the last seconds, by name."""
        seconds, micros = self._link.read(lambda r: r.time())
        now = seconds * 1000 + micros // 1000
        seen = self._link.read(lambda r: r.zrangebyscore(keys.WORKERS, now - WORKER_SILENT_MS, "+inf", withscores=True))
        rows = self._link.hashes([keys.worker(name) for name, _ in seen])
        pairs = sorted(zip(seen, rows, strict=True), key=lambda row: str(row[0][0]))
        found = [_worker_record(name, raw, int(score), int(now)) for (name, score), raw in pairs]
        return [record for record in found if record is not None]


def _worker_record(name: str, raw: Mapping[str, str], seen_ms: int, now_ms: int) -> WorkerRecord | None:
    """Decode the hash of a worker; None for one that has just left, or that is damaged: its next beat mends it."""
    try:
        pid, slots, busy = (int(raw[field]) for field in ("pid", "slots", "busy"))
        takes = raw.get("takes") != "0"
        return WorkerRecord(name, raw["host"], pid, slots, busy, seen_ms, max(0, now_ms - seen_ms), takes)
    except (KeyError, ValueError):
        return None
