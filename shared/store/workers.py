"""The living workers: who beats, with how many slots, how many of them busy."""

from shared.store import keys
from shared.store.jobs import WORKER_SILENT_MS
from shared.store.records import WorkerRecord
from shared.store.scripts import Link


class Workers:
    """What the store knows of workers."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def beat(self, name: str, host: str, pid: int, slots: int, busy: int) -> None:
        """Say that the worker ``name`` lives."""
        self._link.run("beat", name, host, pid, slots, busy, WORKER_SILENT_MS)

    def leave(self, name: str) -> None:
        """Say that the worker ``name`` stops."""
        self._link.run("leave", name)

    def list(self) -> list[WorkerRecord]:
        """All workers that have been heard of in the last seconds, by name."""
        seconds, micros = self._link.read(lambda r: r.time())
        since = seconds * 1000 + micros // 1000 - WORKER_SILENT_MS
        seen = self._link.read(lambda r: r.zrangebyscore(keys.WORKERS, since, "+inf", withscores=True))
        rows = self._link.hashes([keys.worker(name) for name, _ in seen])
        return [
            WorkerRecord(name, raw["host"], int(raw["pid"]), int(raw["slots"]), int(raw["busy"]), int(score))
            for (name, score), raw in sorted(zip(seen, rows, strict=True), key=lambda row: row[0][0])
            if raw
        ]
