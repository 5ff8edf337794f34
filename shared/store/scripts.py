"""The server connection: runs the scripts of ``lua/`` and tells apart what a failure means.

Away (no answer, or one that says "not now") is ``StoreUnavailable``: trying again helps. Every other error of
the server is ``StoreRefused``: a fault of ours or a key of the wrong type, logged here with its cause.

    link = Link("redis://127.0.0.1:6390/0")
    link.run("claim", owner, hint, 3000)
    link.read(lambda r: r.hgetall(keys.job(job_id)))

Knows how to talk to the server, not what is said. A ``Link`` must be made after a fork, never before.
"""

import logging
import re
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.commands.core import Script
from redis.retry import Retry

from keepfit.shared.errors import StoreRefused, StoreUnavailable
from keepfit.shared.store import keys

_LUA = Path(__file__).parent / "lua"
Argument = str | int | float
AWAY = {"LOADING", "BUSY", "READONLY", "MISCONF", "OOM", "NOREPLICAS", "MASTERDOWN"}
"""Codes with which a server says that it cannot serve just now, or not any more."""
AWAY |= {"CLUSTERDOWN", "TRYAGAIN", "NOAUTH", "WRONGPASS", "NOPERM", "UNKILLABLE"}
"""The last ones while a password changes, or a script is stuck."""
LOG_GAP_S = 10.0
NO_HASH = {"(type)": "not a hash"}
"""Stands for a key of another type: no decoder takes it for a record."""
_CODE = re.compile(r"(?:.*caused error: )?([A-Z]+)\b", re.DOTALL)

log = logging.getLogger(__name__)

CONNECTIONS = 4096
"""redis-py stops at 100 and calls the next one an outage: a waiting reader of events holds one."""


class Link:
    """One process' connection pool. Never retries by itself: the callers know what a failure means."""

    def __init__(self, url: str, timeout_s: float = 0.5) -> None:
        """``timeout_s`` bounds connecting and each answer; redis-py's defaults may block for a minute."""
        self.url = url
        self._redis: Any = redis.Redis.from_url(
            url,
            decode_responses=True,
            encoding_errors="replace",  # bytes that are no text cost their field, not the answer
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
            health_check_interval=0,
            max_connections=CONNECTIONS,
        )
        self._logged: dict[str, float] = {}
        self.refusals = 0
        """How often something was refused: a reason for a keeper to look at the keys."""

    @cached_property
    def _scripts(self) -> dict[str, Script]:
        common = (_LUA / "common.lua").read_text()
        return {
            path.stem: self._redis.register_script(common + path.read_text())
            for path in _LUA.glob("*.lua")
            if path.stem != "common"
        }

    def run(self, script: str, *args: Argument) -> Any:
        """Run one named script. Raises StoreUnavailable, StoreRefused."""
        return self.read(
            lambda r: self._scripts[script](keys=list(keys.SCRIPT_KEYS), args=list(args), client=r), f"script {script}"
        )

    def run_many(self, script: str, calls: Sequence[Sequence[Argument]]) -> list[Any]:
        """Run one named script many times, in one round trip. Raises StoreUnavailable, StoreRefused."""

        def ask(client: Any) -> list[Any]:
            pipe = client.pipeline(transaction=False)
            for args in calls:
                self._scripts[script](keys=list(keys.SCRIPT_KEYS), args=list(args), client=pipe)
            return list(pipe.execute())

        answers: list[Any] = self.read(ask, f"script {script}") if calls else []
        return answers

    def hashes(self, names: Sequence[str]) -> list[dict[str, str]]:
        """The hashes of these keys, in one round trip; {} for a key that is not there, NO_HASH for one of another type.

        Raises StoreUnavailable.
        """

        def ask(client: Any) -> list[Any]:
            pipe = client.pipeline(transaction=False)
            for name in names:
                pipe.hgetall(name)
            rows = list(pipe.execute(raise_on_error=False))
            for row in rows:
                if isinstance(row, redis.RedisError) and not str(row).startswith("WRONGTYPE"):
                    raise row
            return rows

        rows = self.read(ask, "hashes")
        for name, row in zip(names, rows, strict=True):
            if isinstance(row, redis.RedisError):
                self._log_refusal(f"hash {name}", row)
        return [NO_HASH if isinstance(row, redis.RedisError) else row for row in rows]

    def read(self, question: Callable[[Any], Any], what: str = "a command") -> Any:
        """Ask ``question`` of the client; ``what`` it is, for the log. Raises StoreUnavailable, StoreRefused."""
        try:
            return question(self._redis)
        except (redis.ConnectionError, redis.TimeoutError, redis.InvalidResponse, OSError) as exc:
            raise StoreUnavailable(f"The queue server does not answer ({exc}).") from exc
        except redis.RedisError as exc:
            if _code_of(exc) in AWAY:
                raise StoreUnavailable(f"The queue server cannot serve now ({exc}).") from exc
            self._log_refusal(what, exc)
            raise StoreRefused(f"The queue server refused {what} ({exc}).") from exc

    def close(self) -> None:
        """Give the connections back."""
        self._redis.close()

    def _log_refusal(self, what: str, exc: redis.RedisError) -> None:
        """Once in a while for each kind of request: some are made four times a second."""
        self.refusals += 1
        now = time.monotonic()
        if now - self._logged.get(what, -LOG_GAP_S) >= LOG_GAP_S:
            self._logged[what] = now
            log.error("the queue server refused %s: %s", what, exc)


def _code_of(exc: redis.RedisError) -> str:
    code = getattr(exc, "status_code", None) or ""
    if code in ("", "ERR"):
        found = _CODE.match(str(exc))
        code = found[1] if found else ""
    return str(code)
