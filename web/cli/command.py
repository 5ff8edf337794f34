"""The `keepfit` command: starts the service, and does from a terminal what the pages do.

    keepfit up
    keepfit submit --name first --epochs 10 --watch
    keepfit verify

Each error is one message that says what to do; exit code 0 is success, 1 a problem, 2 a wrong command line.
Who has installed the client alone has every command about jobs; the others say what they need.
"""

import click

from keepfit.web.cli.care import doctor, verify_checkpoints
from keepfit.web.cli.jobs import COMMANDS as ABOUT_JOBS
from keepfit.web.cli.remove import remove
from keepfit.web.cli.service import demo, up
from keepfit.web.cli.terminal import URL_HELP, Commands, Option, option


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@option("--url", help=URL_HELP)
@click.version_option(package_name="keepfit", cls=Option)
@click.pass_context
def main(ctx: click.Context, url: str | None) -> None:
    """Trains Keras models in the background and never loses one."""
    ctx.obj = url


for _command in (up, *ABOUT_JOBS, remove, demo, verify_checkpoints, doctor):
    main.add_command(_command)
