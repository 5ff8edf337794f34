"""Whether the parts are healthy: the server answers, the web server answers, the workers are registered.

    readiness = Readiness(settings)
    readiness.look(pids)      # one quick look; a list of what is new since the last one

Looks are short (0.3 s at most), since they are made between two rounds of supervision.
"""

import http.client
from collections.abc import Mapping
from dataclasses import dataclass, field

from keepfit.shared.addresses import nearest
from keepfit.shared.errors import KeepfitError, StoreRefused, StoreUnavailable
from keepfit.shared.settings import Settings
from keepfit.shared.store import Store, open_store

LOOK_S = 0.3


@dataclass
class Readiness:
    """What has been seen to be healthy so far."""

    settings: Settings
    healthy: dict[str, int] = field(default_factory=dict)
    """Name of a part -> how many jobs it takes at a time; 0 of one that takes none, and answers."""

    def __post_init__(self) -> None:
        """Opens the store; nothing connects yet."""
        self._store: Store = open_store(self.settings.broker_url, timeout_s=LOOK_S)

    def complete(self) -> bool:
        """Whether every part is healthy."""
        return len(self.healthy) == 2 + self.settings.workers

    def look(self, pids: Mapping[str, int]) -> list[str]:
        """Look at what is not healthy yet; ``pids`` are the processes of the parts. Returns new ones by name."""
        before = set(self.healthy)
        if "server" not in self.healthy:
            self._look_at_server()
        if "server" in self.healthy:
            self._look_at_web()
            self._look_at_workers(pids)
        return [name for name in self.healthy if name not in before]

    def close(self) -> None:
        """Give the connections back."""
        self._store.close()

    def server_answers(self) -> bool:
        """Whether the server takes commands now."""
        try:
            self._store.ping()
        except KeepfitError:  # away, or still reading its file
            return False
        return True

    def _look_at_server(self) -> None:
        if self.server_answers():
            self.healthy["server"] = 0

    def _look_at_web(self) -> None:
        if "web" in self.healthy:
            return
        connection = http.client.HTTPConnection(nearest(self.settings), self.settings.port, timeout=LOOK_S)
        try:
            connection.request("GET", "/health")
            if connection.getresponse().status == http.HTTPStatus.OK:
                self.healthy["web"] = 0
        except (OSError, http.client.HTTPException):
            return  # not yet
        finally:
            connection.close()

    def _look_at_workers(self, pids: Mapping[str, int]) -> None:
        try:
            registered = {worker.pid: worker for worker in self._store.workers.list()}
        except (StoreUnavailable, StoreRefused):
            return
        for name, pid in pids.items():
            if name.startswith("worker") and pid in registered and name not in self.healthy:
                self.healthy[name] = registered[pid].slots
