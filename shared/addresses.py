"""Under which addresses the web side is reached, by whom, and by which names it may be called.

    url_of(settings)                     # what a person opens
    open_to_others(settings)             # whether anybody but this machine reaches it
    Hosts(settings).known("localhost:8080")

A page of another site that has its own name point at this machine (DNS rebinding) comes with that name
in ``Host``: only names that are ours are answered. An address cannot be borrowed like that, a name can.
"""

import ipaddress
import re
import socket
from dataclasses import dataclass

from keepfit.shared.settings import Settings

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
EVERY_ADDRESS = frozenset({"0.0.0.0", "::"})

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(:\d{1,5})?")


def bracketed(host: str) -> str:
    """``host`` as it stands in an address: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def url_of(settings: Settings) -> str:
    """The address that a person opens in a browser on this machine."""
    host = "localhost" if settings.host in EVERY_ADDRESS else settings.host
    return f"http://{bracketed(host)}:{settings.port}"


def nearest(settings: Settings) -> str:
    """The host to connect to from this machine."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)


def open_to_others(settings: Settings) -> bool:
    """Whether the pages can be reached from other machines.

    A container listens on every address of its own; who reaches it is decided by the address that its
    port is published on, KEEPFIT_BIND.
    """
    published = settings.bind if settings.bind and settings.host in EVERY_ADDRESS else settings.host
    return not _is_loopback(published)


def warning_of(settings: Settings) -> str:
    """What must be said to whoever starts an instance that others reach; empty on this machine's own addresses."""
    if not open_to_others(settings):
        return ""
    where = "every address of this machine" if settings.host in EVERY_ADDRESS else settings.host
    drills = " Recovery drills are off here." if settings.drills else ""
    return (
        f"It listens on {where}, and asks nobody for a password: whoever reaches that address can start, stop and "
        f"read all jobs.{drills}"
    )


def _is_loopback(host: str) -> bool:
    try:
        return all(
            ipaddress.ip_address(str(found[4][0]).partition("%")[0]).is_loopback
            for found in socket.getaddrinfo(host, None)
        )
    except (OSError, ValueError):
        return False


@dataclass(frozen=True)
class Hosts:
    """The names and addresses under which this instance answers."""

    settings: Settings

    def known(self, header: str | None) -> bool:
        """Whether ``header``, a request's ``Host``, names this instance. Any port: it may be published elsewhere."""
        name = _name_in(header or "")
        return name in self._names() or (self.settings.host in EVERY_ADDRESS and name in _addresses_of_this_machine())

    def _names(self) -> frozenset[str]:
        given = (_name_in(name.strip()) for name in self.settings.hosts.split(","))
        published = (self.settings.host.lower(), (self.settings.bind or "").lower())
        return LOOPBACK_NAMES | ({*given, *published} - EVERY_ADDRESS - {""})


def _name_in(written: str) -> str:
    """The name or address in ``name:port``, as ``Host`` has it and as people write it; empty if it is neither."""
    found = _HOST.fullmatch(written.lower())
    return found[1].strip("[]") if found else ""


def _addresses_of_this_machine() -> set[str]:
    """Asked each time: a laptop changes them."""
    import psutil  # late: who only has the client has no psutil, and needs none

    found = (address for addresses in psutil.net_if_addrs().values() for address in addresses)
    return {a.address.partition("%")[0].lower() for a in found if a.family in (socket.AF_INET, socket.AF_INET6)}
