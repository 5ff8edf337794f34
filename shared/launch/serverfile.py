"""The embedded server's append-only file, set aside when the server cannot read it: the disk has everything.

    files = ServerFiles(settings.data_dir)
    files.ended("ended with exit code 1")    # after each end before it answered; a sentence when it was set aside
    files.answered()

Every job is made again from its directory. Only a server that fails for a reason of its own (its port,
its rights, a full disk) keeps its file.
"""

import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

FAILURES = 2
"""Ends in a row without an answer, after which the file is taken for the cause."""
KEPT = 2
"""Damaged files that are kept for whoever wants to look at them; older ones are removed."""
LOG_BYTES = 4096

_OTHER_CAUSE = re.compile(
    rb"listening socket|bind:|Permission denied|No space left|Read-only file system|out of memory", re.IGNORECASE
)


@dataclass
class ServerFiles:
    """What the embedded server keeps in ``data_dir``, and how often it has failed over it."""

    data_dir: Path
    failures: int = 0
    tried: bool = False
    """Whether its file was set aside since it last answered: once is enough."""

    def answered(self) -> None:
        """It runs."""
        self.failures, self.tried = 0, False

    def ended(self, reason: str) -> str:
        """It has ended before it answered. Sets its file aside after some times; then says so, else nothing."""
        self.failures += not reason.endswith(("SIGKILL", "SIGTERM"))  # somebody's, no word of its own
        if self.failures < FAILURES or self.tried or _OTHER_CAUSE.search(self._last_words()):
            return ""
        self.tried = True
        return self._set_aside()

    def _set_aside(self) -> str:
        redis = self.data_dir / "redis"
        aside = redis / time.strftime("damaged-%Y%m%d-%H%M%S", time.gmtime())
        try:
            (redis / "appendonlydir").rename(aside)
        except OSError:  # there is none, or it cannot be moved: the server's log has the cause
            return ""
        for old in sorted(redis.glob("damaged-*"))[:-KEPT]:
            shutil.rmtree(old, ignore_errors=True)
        return (
            f"The server could not read its file; it was set aside as {aside}. All jobs are made again from the disk."
        )

    def _last_words(self) -> bytes:
        try:
            with (self.data_dir / "logs" / "server.log").open("rb") as log:
                log.seek(max(0, log.seek(0, 2) - LOG_BYTES))
                return log.read()
        except OSError:
            return b""
