"""The audit file: one line for each attempt that begins and for each end that counted. Append only.

Kept beside the job directories for people who want to know afterwards who did what, and for the
chaos tests, which check it. Nothing reads it to decide anything; a line that cannot be written is lost.
"""

import contextlib
import os
import time
from pathlib import Path

from keepfit.shared.durable import to_json
from keepfit.shared.store import Claim


def note(data_dir: Path, claim: Claim, event: str) -> None:
    """Append one line: ``begin``, ``end:<state>``, ``lost``; by a keeper ``lapsed:<state>``."""
    line = {
        "at_ms": time.time_ns() // 1_000_000,
        "job": claim.job_id,
        "attempt": claim.attempt,
        "owner": claim.owner,
        "by": os.getpid(),
        "event": event,
    }
    with contextlib.suppress(OSError):
        fd = os.open(data_dir / "audit.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(fd, (to_json(line) + "\n").encode())  # one write: lines of several processes never mix
        finally:
            os.close(fd)
