"""The commands that start a service here. What that takes is imported when one of them is called."""

import signal
from pathlib import Path
from typing import Any

import click

from keepfit.web.cli.terminal import plain_console, settings_of, whole_installation


@click.command()
@click.option("--data-dir", type=click.Path(path_type=Path, file_okay=False), help="Where everything is kept.")
@click.option("--host", help="Address to listen on (127.0.0.1).")
@click.option("--port", type=click.IntRange(1, 65535), help="Port to listen on (8080).")
@click.option("--redis-port", type=click.IntRange(1, 65535), help="Port of the embedded server (6390).")
@click.option("--redis-url", help="Use this Redis or Valkey server instead of the embedded one.")
@click.option("--workers", type=click.IntRange(1, 64), help="Worker processes (1).")
@click.option("--slots", type=click.IntRange(1, 64), help="Jobs that each worker runs at a time (2).")
@click.option("--threads", type=click.IntRange(0, 256), help="Threads of one job; 0 divides the cores.")
@click.option("--drills/--no-drills", default=None, help="Show the button that kills a job's worker.")
def up(**options: Any) -> None:
    """Start the whole service here; Ctrl-C stops it."""
    with whole_installation():
        from keepfit.shared.launch.service import up as start
    settings = settings_of(**options)
    raise SystemExit(start(settings, plain_console()))


@click.command()
@click.option("--stay", is_flag=True, help="Leave the service running at the end, to look at the pages.")
def demo(stay: bool) -> None:
    """Train, kill the worker, recover, compare the bits, evaluate."""
    with whole_installation():
        from keepfit.shared.launch import service as _needed_by_it  # noqa: F401
        from keepfit.web.cli.demo import tell
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends like Ctrl-C, so that the service is stopped
    raise SystemExit(tell(plain_console(), stay))
