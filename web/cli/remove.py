"""The command that deletes jobs for good: says first what goes with them and what it frees, and asks."""

from collections.abc import Mapping, Sequence
from typing import Any

import click

from keepfit.shared.spec import printable
from keepfit.web.cli.terminal import client_of, columns, job_command, option
from keepfit.web.client import Client, RequestRefused
from keepfit.web.words.catalogue import _
from keepfit.web.words.states import state_name
from keepfit.web.words.wording import size

GONE = 410


@job_command("rm")
@click.argument("job_ids", metavar="ID...", nargs=-1, required=True)
@option("--yes", is_flag=True, help="Do not ask.")
@option("--cancel", is_flag=True, help="Also a job that is running.")
@click.pass_context
def remove(ctx: click.Context, job_ids: Sequence[str], yes: bool, cancel: bool) -> None:
    """Delete jobs for good, with their evaluations."""
    with client_of(ctx) as client:
        found = {job_id: _look(client, job_id) for job_id in dict.fromkeys(job_ids)}
        doomed = {job_id: deletion for job_id, deletion in found.items() if deletion}
        for job_id in (one for one in found if one not in doomed):
            click.echo(_("{id} was deleted before.", id=job_id))
        for line in columns(("ID", _("NAME"), _("STATE"), _("FREES")), _rows([*doomed.values()])) if doomed else ():
            click.echo(line)
        if any(deletion["running"] for deletion in doomed.values()) and not cancel:
            raise click.ClickException(_("A job that is running is not deleted: cancel it first, or say --cancel."))
        if doomed and not yes:
            click.confirm(_("Delete for good?"), abort=True)
        for job_id in doomed:
            deleted = client.delete(job_id, cancel=cancel)
            freed = _("{id} deleted, {size} freed.") if deleted["freed"] else _("{id} deleted, {size} free soon.")
            click.echo(freed.format(id=job_id, size=size(deleted["bytes"])))


def _look(client: Client, job_id: str) -> Mapping[str, Any] | None:
    """What would be deleted; None if that was done before. Raises RequestRefused."""
    try:
        return client.deletion(job_id)
    except RequestRefused as exc:
        if exc.status == GONE:
            return None
        raise


def _rows(doomed: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Each job and what goes with it, and the space of all of that."""
    rows: list[tuple[str, ...]] = []
    for deletion in doomed:
        space = size(deletion["bytes"])
        for job in deletion["jobs"]:
            rows.append((job["id"], printable(job["name"]), state_name(job["state"]), space))
            space = _("with it")
    return rows
