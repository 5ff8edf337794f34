"""What the keepers of the workers need: top-ups of the task queue, drills, the boot mark, the rebuild lock."""

import uuid
from typing import Any

from shared.jobdir import JobDir
from shared.states import JobState
from shared.store import keys
from shared.store.jobs import fields_of, flat
from shared.store.scripts import Link

REBUILD_LOCK_MS = 10_000


class Upkeep:
    """The keepers' side of the store."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def topup(self, gap_s: float, most: int) -> int:
        """How many kicks to publish now: jobs are ready and no kick waits in the task queue."""
        return int(self._link.run("topup", round(gap_s * 1000), most))

    def ready(self) -> int:
        """How many jobs may be claimed now."""
        return int(self._link.read(lambda r: r.zcard(keys.READY)))

    def drilled(self, owner: str) -> bool:
        """Whether the worker of ``owner`` is asked to die; asks only once."""
        return bool(self._link.read(lambda r: r.delete(keys.drill(owner))))

    def booted(self) -> bool:
        """Whether the server still has what was written to it; False after a wipe or on a new server."""
        return bool(self._link.read(lambda r: r.exists(keys.BOOT)))

    def mark_booted(self) -> None:
        """Say that the records are whole again."""
        self._link.read(lambda r: r.set(keys.BOOT, uuid.uuid4().hex))

    def uptime_s(self) -> float:
        """Seconds since the server started."""
        return float(self._link.read(lambda r: r.info("server"))["uptime_in_seconds"])

    def lock_rebuild(self, who: str) -> bool:
        """Take the right to rebuild, for some seconds; False if another keeper has it."""
        return bool(self._link.read(lambda r: r.set(keys.REBUILD, who, nx=True, px=REBUILD_LOCK_MS)))

    def restore(self, jobdir: JobDir, state: JobState, reason: str, result: str = "") -> bool:
        """Put back a job that the server does not know. False if it knows it."""
        fields = fields_of(jobdir)
        if result:
            fields["result"] = result
        return bool(self._link.run("restore", jobdir.id, state.value, reason, *flat(fields)))

    def forget(self, job_id: str) -> bool:
        """Drop the record of a job that nobody runs; its directory stays. False for a running job."""
        return bool(self._link.run("forget", job_id))

    def known(self, job_ids: list[str]) -> dict[str, tuple[JobState, int]]:
        """The state and the number of the latest wish of each job that the server knows; the others are left out."""

        def ask(client: Any) -> list[list[str | None]]:
            pipe = client.pipeline(transaction=False)
            for job_id in job_ids:
                pipe.hmget(keys.job(job_id), "state", "wish_number")
            return list(pipe.execute())

        rows = self._link.read(ask)
        pairs = zip(job_ids, rows, strict=True)
        return {job_id: (JobState(state), int(number or 0)) for job_id, (state, number) in pairs if state}
