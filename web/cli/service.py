"""The commands that start a service here. What that takes is imported when one of them is called."""

import signal
from pathlib import Path
from typing import Any

import click

from keepfit.web.cli.terminal import Command, option, plain_console, settings_of, whole_installation
from keepfit.web.words.catalogue import _


@click.command(cls=Command)
@option("--data-dir", type=click.Path(path_type=Path, file_okay=False), help="Where everything is kept.")
@option("--host", help="Address to listen on (127.0.0.1).")
@option("--port", type=click.IntRange(1, 65535), help="Port to listen on (8080).")
@option("--redis-port", type=click.IntRange(1, 65535), help="Port of the embedded server (6390).")
@option("--redis-url", help="Use this Redis or Valkey server instead of the embedded one.")
@option("--workers", type=click.IntRange(1, 64), help="Worker processes (1).")
@option("--slots", type=click.IntRange(1, 64), help="Jobs that each worker runs at a time (2).")
@option("--threads", type=click.IntRange(0, 256), help="Threads of one job; 0 divides the cores.")
@option("--drills/--no-drills", default=None, help="Show the button that kills a job's worker.")
def up(**options: Any) -> None:
    """Start the whole service here; Ctrl-C stops it."""
    with whole_installation():
        from keepfit.shared.launch.service import up as start
    settings = settings_of(**options)
    raise SystemExit(start(settings, plain_console(), _))


@click.command(cls=Command)
@option("--stay", is_flag=True, help="Leave the service running at the end, to look at the pages.")
def demo(stay: bool) -> None:
    """Train, kill the worker, recover, compare the bits, evaluate."""
    with whole_installation():
        from keepfit.shared.launch import service as _needed_by_it  # noqa: F401
        from keepfit.web.cli.demo import tell
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends like Ctrl-C, so that the service is stopped
    raise SystemExit(tell(plain_console(), stay))
