"""Hearing of a wish at once, instead of with the next heartbeat. Only a hint: the wish itself is in the record."""

from typing import Any

from keepfit.shared.errors import StoreUnavailable
from keepfit.shared.store import keys
from keepfit.shared.store.scripts import Link


class WishChannel:
    """The channel of one running job."""

    def __init__(self, link: Link, job_id: str) -> None:
        self._link = link
        self._name = keys.wishes(job_id)
        self._pubsub: Any = None

    def heard(self, timeout_s: float) -> bool:
        """Wait up to ``timeout_s`` for a wish. Raises StoreUnavailable at once when the server is away."""
        try:
            message = self._link.read(lambda r: self._subscribed(r).get_message(timeout=timeout_s))
        except StoreUnavailable:
            self.close()
            raise
        return message is not None and message["type"] == "message"

    def close(self) -> None:
        """Give the connection back."""
        if self._pubsub is not None:
            self._pubsub.close()
            self._pubsub = None

    def _subscribed(self, client: Any) -> Any:
        if self._pubsub is None:
            pubsub = client.pubsub()
            pubsub.subscribe(self._name)
            self._pubsub = pubsub
        return self._pubsub
