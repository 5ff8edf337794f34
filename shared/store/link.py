"""The server connection: asks, runs the scripts, and tells apart what a failure means.

Away (no answer, or one that says "not now") is ``StoreUnavailable``: trying again helps. Every other error of
the server is ``StoreRefused``: a fault of ours or a key of the wrong type, logged here with its cause.

    link = Link("redis://127.0.0.1:6390/0")
    link.run(scripts.Leave(name="lab-1"))
    link.ask(lambda r: r.hgetall(keys.job(job_id)))

Knows how to talk to the server, not what is said (``scripts``). A ``Link`` must be made after a fork, never before.
"""

import logging
import re
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.commands.core import Script
from redis.retry import Retry

from keepfit.shared.errors import StoreRefused, StoreUnavailable
from keepfit.shared.store import keys, scripts
from keepfit.shared.store.scripts import Answer

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
        """The registered scripts, by name."""
        return {scripts.name_of(row): self._redis.register_script(scripts.text_of(row)) for row in scripts.ROWS}

    def run(self, call: scripts.Script[Answer]) -> Answer:
        """Run one script. Raises StoreUnavailable, StoreRefused."""
        return call.read(self.ask(lambda r: self._send(call, r), f"script {scripts.name_of(type(call))}"))

    def run_many(self, calls: Sequence[scripts.Script[Answer]]) -> list[Answer]:
        """Run scripts in one round trip. Raises StoreUnavailable, StoreRefused."""

        def ask(client: Any) -> list[Any]:
            pipe = client.pipeline(transaction=False)
            for call in calls:
                self._send(call, pipe)
            return list(pipe.execute())

        answers = self.ask(ask, f"scripts {scripts.name_of(type(calls[0]))}") if calls else []
        return [call.read(raw) for call, raw in zip(calls, answers, strict=True)]

    def _send(self, call: scripts.Script[Any], client: Any) -> Any:
        script = self._scripts[scripts.name_of(type(call))]
        return script(keys=list(keys.SCRIPT_KEYS.values()), args=call.arguments(), client=client)

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

        rows = self.ask(ask, "hashes")
        for name, row in zip(names, rows, strict=True):
            if isinstance(row, redis.RedisError):
                self._log_refusal(f"hash {name}", row)
        return [NO_HASH if isinstance(row, redis.RedisError) else row for row in rows]

    def ask(self, question: Callable[[Any], Any], what: str = "a command") -> Any:
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
