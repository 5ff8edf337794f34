"""The server connection: runs the scripts of ``lua/`` and translates every failure to reach the server.

    link = Link("redis://127.0.0.1:6390/0")
    link.run("claim", owner, hint, 3000)
    link.read(lambda r: r.hgetall(keys.job(job_id)))

Knows how to talk to the server, not what is said. A ``Link`` must be made after a fork, never before.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.commands.core import Script
from redis.retry import Retry

from shared.errors import StoreUnavailable
from shared.store import keys

_LUA = Path(__file__).parent / "lua"
Argument = str | int | float


class Link:
    """One process' connection pool. Never retries by itself: the callers know what a failure means."""

    def __init__(self, url: str, timeout_s: float = 0.5) -> None:
        """``timeout_s`` bounds connecting and each answer; redis-py's defaults may block for a minute."""
        self.url = url
        self._redis: Any = redis.Redis.from_url(
            url,
            decode_responses=True,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
            health_check_interval=0,
        )

    @cached_property
    def _scripts(self) -> dict[str, Script]:
        common = (_LUA / "common.lua").read_text()
        return {
            path.stem: self._redis.register_script(common + path.read_text())
            for path in _LUA.glob("*.lua")
            if path.stem != "common"
        }

    def run(self, script: str, *args: Argument) -> Any:
        """Run one named script. Raises StoreUnavailable."""
        return self.read(lambda r: self._scripts[script](keys=list(keys.SCRIPT_KEYS), args=list(args), client=r))

    def hashes(self, names: Sequence[str]) -> list[dict[str, str]]:
        """The hashes of these keys, in one round trip; {} for a key that is not there. Raises StoreUnavailable."""

        def ask(client: Any) -> list[dict[str, str]]:
            pipe = client.pipeline(transaction=False)
            for name in names:
                pipe.hgetall(name)
            return list(pipe.execute())

        answer: list[dict[str, str]] = self.read(ask)
        return answer

    def read(self, question: Callable[[Any], Any]) -> Any:
        """Ask ``question`` of the client. Raises StoreUnavailable."""
        try:
            return question(self._redis)
        except (redis.ConnectionError, redis.TimeoutError, redis.exceptions.BusyLoadingError, OSError) as exc:
            raise StoreUnavailable(f"The queue server does not answer ({exc}).") from exc
        except redis.ResponseError as exc:
            raise StoreUnavailable(f"The queue server refused a command ({exc}).") from exc

    def close(self) -> None:
        """Give the connections back."""
        self._redis.close()
