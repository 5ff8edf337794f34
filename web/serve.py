"""Serves the web side: `python -m keepfit.web.serve`. One process; waitress reads and writes, threads answer.

Waitress hands a request to a thread when it is whole: however slowly a client sends, or if it stops
half-way, no thread waits for it. What it lacks is added here: a time for a request to arrive and for
its answer to be taken, streams that hold no thread (``connections``) and end on SIGTERM.
"""

import contextlib
import logging
import os
import resource
import signal
import socket
import sys
from types import FrameType
from typing import Any

from flask import Flask
from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer

from keepfit.shared import datadir
from keepfit.shared.addresses import warning_of
from keepfit.shared.errors import KeepfitError
from keepfit.shared.launch.holding import hold_web
from keepfit.shared.launch.preflight import make_private
from keepfit.shared.settings import Settings, get_settings
from keepfit.web.app import create_app
from keepfit.web.connections import Channel, handing_over
from keepfit.web.hub import MOST_LISTENERS

THREADS = 64
"""For pages; a stream holds none."""
PAGES = 300
"""Connections that no stream may take."""
CONNECTIONS = 2000
"""Beyond it those that have not sent a whole request make room."""
ACCEPTED_AT_ONCE = 64
LARGEST_BODY = 2**20
"""Read to its end, so that a body beyond the application's own limit leaves the connection usable."""
STOP_S = 2.0

log = logging.getLogger(__name__)


class _Server(TcpWSGIServer):
    """Waitress, which closes what is overdue."""

    channel_class = Channel

    def handle_accept(self) -> None:
        """Take all that wait: each round of the loop looks at every connection, so one a round would be few."""
        for _ in range(ACCEPTED_AT_ONCE):
            known = len(self._map)
            super().handle_accept()
            if len(self._map) == known:
                return

    def maintenance(self, now: float) -> None:
        """Called each second."""
        crowded = len(self._map) >= self.adj.connection_limit
        for channel in list(self.active_channels.values()):
            if channel.overdue(now) or (crowded and not channel.busy and not channel.total_outbufs_len):
                channel.will_close = True


def listener(settings: Settings) -> socket.socket:
    """The socket that the web side listens on. On ``::`` it takes IPv4 too, where the system can."""
    if settings.host == "::":
        both = socket.has_dualstack_ipv6()
        return socket.create_server(("::", settings.port), family=socket.AF_INET6, dualstack_ipv6=both, backlog=1024)
    family, *_, where = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0]
    return socket.create_server(where, family=family, backlog=1024)


def _room() -> int:
    """How many connections there may be, after asking the system for as many open files as that takes.

    Without a free file a server can only wait, at full speed, for the connection that it cannot take.
    """
    others = THREADS + 128  # each thread's connection to the queue server, files that are read, the index
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS + others if hard == resource.RLIM_INFINITY else min(CONNECTIONS + others, hard)
    if soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # some systems have a lower limit of their own
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return max(64, min(CONNECTIONS, soft - others))


def _serve(app: Flask, settings: Settings, sock: socket.socket) -> None:
    """Answer until SIGTERM or SIGINT; then end the streams, and what is being answered within ``STOP_S``."""
    at, room = app.extensions["keepfit"], _room()
    at.hub.most = min(MOST_LISTENERS, max(room // 2, room - PAGES))
    options: dict[str, Any] = {
        "threads": THREADS,
        "connection_limit": room,
        "cleanup_interval": 1,
        "asyncore_use_poll": True,
        "max_request_header_size": 32 * 1024,
        "max_request_body_size": LARGEST_BODY,
        "outbuf_high_watermark": 256 * 1024,
        "ident": None,
        # Nobody's X-Forwarded-* is believed, but that of the proxy which is named.
        "clear_untrusted_proxy_headers": True,
    }
    if settings.trusted_proxy:
        options |= {"trusted_proxy": settings.trusted_proxy, "trusted_proxy_headers": {"x-forwarded-proto"}}
    server = _Server(
        handing_over(app),
        adj=Adjustments(sockets=[sock], **options),
        _sock=sock,
        sockinfo=_described(sock),
        bind_socket=False,
    )

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  the signal module's signature
        at.closing.set()
        raise SystemExit(0)

    at.feeder.start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    try:
        wasyncore.loop(timeout=1, map=server._map, use_poll=True)  # noqa: SLF001  its own run() waits for 5 s at the end
    finally:
        at.hub.ring_all()
        server.task_dispatcher.shutdown(timeout=STOP_S)


def _described(sock: socket.socket) -> tuple[Any, ...]:
    return (sock.family, sock.type, sock.proto, sock.getsockname())


def main() -> None:
    """Serve the data directory of the settings; exit code 1 with a message where that cannot be."""
    os.umask(0o077)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # that a request waited a moment
    settings = get_settings()
    try:
        datadir.check(settings.data_dir)
        with hold_web(settings.data_dir):
            make_private(settings.data_dir)
            if warning := warning_of(settings):
                log.warning(warning)
            with listener(settings) as sock:
                _serve(create_app(settings), settings, sock)
    except (KeepfitError, OSError) as exc:
        sys.exit(str(exc))


if __name__ == "__main__":
    main()
