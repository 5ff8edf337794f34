"""Each candidate for the web server, serving the real web side: `python web_servers.py NAME PORT`.

What each needs lies in ``.venv-peers``; ``bench/web_servers.py`` starts and measures them.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

THREADS = 600
"""Threads of those that hold one for each stream; connections of the others are bounded by more."""
PROJECT = Path(__file__).resolve().parent.parent.parent


def application() -> Any:
    """The web side as it is, but for its bound on streams."""
    from keepfit.web.app import create_app

    app = create_app()
    app.extensions["keepfit"].hub.most = THREADS - 50
    app.extensions["keepfit"].feeder.start()
    return app


def _gunicorn(port: str, *options: str) -> None:
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "-c",
        "/dev/null",
        "--bind",
        f"127.0.0.1:{port}",
        "--log-level",
        "error",
    ]
    subprocess.run([*command, *options, "bench.peers.web_servers:application()"], check=False, cwd=PROJECT)


def gthread(port: str) -> None:
    """As in version 0.1: 128 threads."""
    _gunicorn(port, "-k", "gthread", "--threads", "128", "--worker-connections", "512", "--keep-alive", "15")


def gthread_600(port: str) -> None:
    """The same with a thread for each stream to come."""
    _gunicorn(port, "-k", "gthread", "--threads", str(THREADS), "--worker-connections", "2000", "--keep-alive", "15")


def gevent(port: str) -> None:
    """Everything in one thread, switched where it waits for a socket."""
    _gunicorn(port, "-k", "gevent", "--worker-connections", "2000", "--keep-alive", "15")


def keepfit(_port: str) -> None:
    """What was chosen, as it is: waitress reads requests whole, threads answer."""
    from keepfit.web.serve import main

    main()


def cheroot(port: str) -> None:
    """A pool of threads that read and answer."""
    from cheroot.wsgi import Server  # type: ignore[import-not-found,unused-ignore]

    Server(("127.0.0.1", int(port)), application(), numthreads=THREADS, request_queue_size=1024).start()


def granian(port: str) -> None:
    """Rust reads and writes, threads answer."""
    from granian import Granian  # type: ignore[import-not-found,unused-ignore]
    from granian.constants import Interfaces  # type: ignore[import-not-found,unused-ignore]

    Granian(
        "bench.peers.web_servers:application",
        factory=True,
        address="127.0.0.1",
        port=int(port),
        interface=Interfaces.WSGI,
        blocking_threads=THREADS,
        backpressure=2000,
        backlog=2048,
        log_enabled=False,
    ).serve()


def uvicorn(port: str) -> None:
    """An event loop, with a bridge to threads."""
    import uvicorn as server  # type: ignore[import-not-found,unused-ignore]
    from a2wsgi import WSGIMiddleware  # type: ignore[import-not-found,unused-ignore]

    bridged = WSGIMiddleware(application(), workers=THREADS)
    server.run(bridged, host="127.0.0.1", port=int(port), log_level="error")


SERVERS = (gthread, gthread_600, gevent, keepfit, cheroot, granian, uvicorn)

if __name__ == "__main__":
    next(s for s in SERVERS if s.__name__ == sys.argv[1])(sys.argv[2])
