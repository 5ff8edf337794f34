"""The commands that look after a data directory here: are all checkpoints whole, do disk and server agree?"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keepfit.shared import datadir
from keepfit.shared.checkpoints.manifest import checkpoints_of, verify
from keepfit.shared.errors import CorruptCheckpoint, StoreUnavailable
from keepfit.shared.jobs.directory import JobDir, list_jobdirs, open_jobdir
from keepfit.shared.settings import Settings
from keepfit.web.cli.terminal import Command, option, settings_of, whole_installation
from keepfit.web.words.catalogue import _, n_

if TYPE_CHECKING:
    from keepfit.shared.store import Store  # late otherwise: who has only the client has no redis


@click.command(name="verify", cls=Command)
@click.argument("job_id", metavar="[ID]", required=False)
@option("--data-dir", type=click.Path(path_type=Path, exists=True, file_okay=False))
def verify_checkpoints(job_id: str | None, data_dir: Path | None) -> None:
    """Check every byte of every checkpoint of a data directory, or of one job."""
    jobs_dir = _jobs_dir(settings_of(data_dir=data_dir))
    jobdirs = [open_jobdir(jobs_dir, job_id)] if job_id else sorted(list_jobdirs(jobs_dir), key=lambda j: j.id)
    counts = [_verify_job(jobdir) for jobdir in jobdirs]
    good, damaged = (sum(column) for column in zip(*counts, strict=True)) if counts else (0, 0)
    found = {"jobs": len(jobdirs), "good": good, "damaged": damaged}
    click.echo(_("{jobs} jobs, {good} checkpoints are whole, {damaged} damaged.", **found))
    raise SystemExit(1 if damaged else 0)


def _jobs_dir(settings: Settings) -> Path:
    """The folder of the jobs, in a data directory that is there: nothing found in none would look like all is well."""
    if not settings.data_dir.is_dir():
        raise click.ClickException(
            _(
                "There is no data directory {path}. Name the one of your Keepfit with --data-dir.",
                path=settings.data_dir,
            )
        )
    datadir.check(settings.data_dir)
    return settings.jobs_dir


def _verify_job(jobdir: JobDir) -> tuple[int, int]:
    good = damaged = 0
    for checkpoint in checkpoints_of(jobdir):
        attempt, step = _("attempt {number}", number=checkpoint.attempt), _("step {number}", number=checkpoint.step)
        where = f"{jobdir.id}  {attempt}  {step}"
        try:
            manifest = verify(checkpoint)
        except CorruptCheckpoint as exc:
            if not checkpoint.path.exists():  # a running job has replaced it by a newer one
                continue
            damaged += 1
            click.echo(f"{where}  " + _("DAMAGED: {why}", why=exc))
        else:
            good += 1
            click.echo(f"{where}  " + _("whole, {size} bytes", size=f"{manifest.bytes:,}"))
    return good, damaged


@click.command(cls=Command)
@option("--repair", is_flag=True, help="Make the server say what the disk says, where they differ.")
@option("--data-dir", type=click.Path(path_type=Path, exists=True, file_okay=False))
@option("--redis-port", type=click.IntRange(1, 65535), help="Port of the embedded server (6390).")
@option("--redis-url", help="The external server, if one is used.")
def doctor(repair: bool, **options: Any) -> None:
    """Compare what the disk and the queue server say of each job."""
    with whole_installation():
        from keepfit.shared.jobs.doctor import examine, mend
    settings = settings_of(**options)
    jobs_dir, left = _jobs_dir(settings), 0
    with _store(settings) as store:
        for finding in examine(jobs_dir, store):
            mended = bool(finding.problem) and repair and mend(finding, jobs_dir, store)
            left += bool(finding.problem) and not mended
            verdict = f"MENDED: {finding.problem}" if mended else finding.problem or "agree"
            click.echo(f"{finding.job_id}  disk: {finding.disk}  server: {finding.server}  {verdict}")
    if left:
        advice = "" if repair else " " + _("Mend them with --repair.")
        raise click.ClickException(n_("{n} job differs.", "{n} jobs differ.", left) + advice)


@contextmanager
def _store(settings: Settings) -> Iterator["Store"]:
    """The store, with errors that say how to name another server."""
    from keepfit.shared.store import open_store

    try:
        store = open_store(settings.broker_url)
    except ValueError as exc:  # not shown: the address may hold a password
        raise click.ClickException(_("The --redis-url is wrong. One looks like redis://127.0.0.1:6379/0.")) from exc
    with closing(store):
        try:
            yield store
        except StoreUnavailable as exc:
            raise click.ClickException(
                f"{exc} Is Keepfit up? If its server is elsewhere, name it: --redis-port for the embedded one, "
                "--redis-url for another."
            ) from exc
