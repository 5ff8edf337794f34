"""Whether a worker of this host is alive, as an exit code: the health check of the worker's container.

    python -m keepfit.worker.health

Knows the store only.
"""

import contextlib
import socket
import sys

from keepfit.shared.errors import StoreRefused, StoreUnavailable
from keepfit.shared.settings import get_settings
from keepfit.shared.store import open_store


def main() -> int:
    """0 if a worker of this host has been heard of in the last seconds; else 1, and the reason."""
    host = socket.gethostname()
    try:
        with contextlib.closing(open_store(get_settings().broker_url)) as store:
            hosts = {worker.host for worker in store.workers.list()}
    except (StoreUnavailable, StoreRefused) as exc:
        print(exc)
        return 1
    if host not in hosts:
        print(f"no worker of {host} is alive")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
