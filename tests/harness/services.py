"""The real service for tests: `keepfit up` on free ports, with a look at its parts and its health."""

from pathlib import Path

import httpx
import psutil

from keepfit.shared.settings import Settings
from tests.harness.processes import Household, Part, free_port


def part_of(launcher: Part, word: str) -> psutil.Process | None:
    """The running part of ``keepfit up`` whose command line has ``word`` in it."""
    for child in psutil.Process(launcher.pid).children():
        try:
            if any(word in argument for argument in child.cmdline()):
                return child
        except psutil.NoSuchProcess:
            continue
    return None


class Service:
    """A running `keepfit up`, with its address."""

    def __init__(self, household: Household, data_dir: Path, *options: str) -> None:
        self.household, self.data_dir = household, data_dir
        self.port, self.redis_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.options = ["--data-dir", str(data_dir), "--port", str(self.port), "--redis-port", str(self.redis_port)]
        self.options += options
        self.settings = Settings(data_dir=data_dir, port=self.port, redis_port=self.redis_port)
        self.process: Part = household.start_service(*self.options)

    @property
    def redis_url(self) -> str:
        """The embedded server's address, with its password."""
        return self.settings.broker_url

    def part(self, word: str) -> psutil.Process | None:
        """The running part whose command line has ``word`` in it."""
        return part_of(self.process, word)

    def health(self) -> dict[str, object]:
        """What /health says; empty while it does not answer."""
        try:
            answer: dict[str, object] = httpx.get(f"{self.url}/health", timeout=2).json()
            return answer
        except httpx.TransportError:
            return {}
