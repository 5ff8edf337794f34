"""How gunicorn serves the web side: one process, many threads, gone within seconds when told to stop.

gunicorn -c web/gunicorn.conf.py --bind 127.0.0.1:8080 "web:create_app()"
"""

# ruff: noqa: N999 - gunicorn's own name for this file
import signal
from types import FrameType
from typing import Any

from shared.launch.tether import die_with_parent
from shared.settings import get_settings

_settings = get_settings()

bind = f"{_settings.host}:{_settings.port}"
wsgi_app = "web:create_app()"
workers = 1  # wishes are numbered in the process; threads do for many readers
worker_class = "gthread"
threads = 128  # each visible page holds one for its stream, at most desk.MOST_STREAMS of them
worker_connections = 512
keepalive = 15
timeout = 60  # of the process' main loop; a stream may last for ever
graceful_timeout = 2
accesslog = None
errorlog = "-"
loglevel = "warning"
control_socket_disable = True


def post_fork(server: Any, worker: Any) -> None:  # noqa: ARG001  gunicorn's signature
    """Go when the main process is killed: its successor needs the port at once."""
    die_with_parent(server.pid, signal.SIGKILL)


def post_worker_init(worker: Any) -> None:
    """Begin to fill the list's index; end the streams on SIGTERM, so that the process need not wait for them."""
    desk = worker.wsgi.extensions["keepfit"]
    desk.feeder.start()
    closing = desk.closing

    def stop(number: int, frame: FrameType | None) -> None:
        closing.set()
        (worker.handle_quit if number in (signal.SIGINT, signal.SIGQUIT) else worker.handle_exit)(number, frame)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, stop)
