"""The `keepfit` command: starts the service, and does from a terminal what the pages do.

    keepfit up
    keepfit submit --name first --epochs 10 --watch
    keepfit verify

Knows the HTTP client, and for `up` and `verify` the data directory. Each error is one message that
says what to do; exit code 0 is success, 1 a problem, 2 a wrong command line.
"""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from shared.doctor import examine, mend
from shared.errors import CorruptCheckpoint, KeepfitError, StoreUnavailable
from shared.jobdir import JobDir, list_jobdirs, open_jobdir
from shared.manifest import checkpoints_of, verify
from shared.settings import Settings
from shared.spec import DATASETS, MODELS, printable
from shared.states import JobState
from shared.store import Store, open_store
from web.client import Job, KeepfitClient
from web.demo import main as demo
from web.watching import watch_job

FILES = ("model.keras", "weights.h5")


class _Commands(click.Group):
    """Turns our own errors into a message and exit code 1; everything else is a bug and shows as one."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (KeepfitError, TimeoutError) as exc:
            raise click.ClickException(str(exc)) from exc


def _settings(**given: Any) -> Settings:
    """Settings from the environment, overridden by the options that were given."""
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as exc:
        lines = [f"KEEPFIT_{str(e['loc'][0]).upper()}: {e['msg']}" for e in exc.errors()]
        raise click.UsageError("A setting is wrong. " + "; ".join(lines)) from exc


@contextmanager
def _client(ctx: click.Context) -> Iterator[KeepfitClient]:
    settings = _settings()
    with KeepfitClient(ctx.obj or f"http://{settings.host}:{settings.port}", patience_s=3.0) as client:
        yield client


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--url", help="Address of the Keepfit to speak to, such as http://127.0.0.1:8080.")
@click.version_option(package_name="keepfit")
@click.pass_context
def main(ctx: click.Context, url: str | None) -> None:
    """Trains Keras models in the background and never loses one."""
    ctx.obj = url


@main.command()
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
    try:
        from shared.launch.service import up as start
    except ImportError as exc:
        raise click.ClickException(
            f"{exc.name} is not installed. `keepfit up` needs everything: pip install 'keepfit[worker,embedded]'."
        ) from exc
    settings = _settings(**options)
    raise SystemExit(start(settings, Console()))


@main.command()
@click.argument("spec", required=False, type=click.File("rb"))
@click.option("--name", help="Name of the job.")
@click.option("--data", type=click.Choice(list(DATASETS)), help="Data set.")
@click.option("--model", type=click.Choice(list(MODELS)), help="Model.")
@click.option("--epochs", type=int)
@click.option("--batch-size", type=int)
@click.option("--learning-rate", type=float)
@click.option("--seed", type=int)
@click.option("--validation-share", type=float)
@click.option("--checkpoint-interval", "checkpoint_interval_s", type=float, help="Seconds.")
@click.option("--key", help="Idempotency key: the same key is the same job.")
@click.option("--watch", is_flag=True, help="Stay and show how it goes.")
@click.pass_context
def submit(ctx: click.Context, /, spec: Any, key: str | None, watch: bool, **options: Any) -> None:
    """Submit a job: from the file SPEC (JSON; - for standard input), from options, or both."""
    content = _overridden(_read_spec(spec), _from_options(options))
    if "name" not in content:
        raise click.UsageError("The job needs a name: --name NAME.")
    with _client(ctx) as client:
        job = client.submit(content, key=key)
        if "message" in job.raw:
            click.echo(job.raw["message"], err=True)
        click.echo(f"{job.id}  {job.url}")
        if watch:
            _finish(watch_job(client, job.id, Console()))


def _read_spec(spec: Any) -> dict[str, Any]:
    if spec is None:
        return {}
    needed = 'it must hold one JSON object, such as {"name": "first"}.'
    text = spec.read()
    if not text.strip():
        raise click.ClickException(f"{spec.name} is empty: {needed}")
    try:
        content = json.loads(text)
    except UnicodeDecodeError as exc:
        raise click.ClickException(f"{spec.name} is not text, so it is no JSON: {needed}") from exc
    except (ValueError, RecursionError) as exc:
        if b"\0" in text:
            raise click.ClickException(f"{spec.name} is not text, so it is no JSON: {needed}") from exc
        raise click.ClickException(f"{spec.name} is not JSON ({exc}): {needed}") from exc
    if not isinstance(content, dict):
        raise click.ClickException(f'{spec.name} must hold one JSON object, such as {{"name": "first"}}.')
    return content


def _from_options(options: dict[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in options.items() if value is not None}
    spec: dict[str, Any] = {name: given.pop(name) for name in ("name",) if name in given}
    spec |= {name: {"name": given.pop(name)} for name in ("data", "model") if name in given}
    return spec | ({"training": given} if given else {})


def _overridden(spec: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """``spec`` with single fields replaced by ``options``."""
    training = spec.get("training")
    if isinstance(training, dict) and "training" in options:
        options = options | {"training": training | options["training"]}
    return spec | options


@main.command(name="list")
@click.option("--limit", type=click.IntRange(1, 200), default=20, show_default=True)
@click.pass_context
def list_jobs(ctx: click.Context, limit: int) -> None:
    """List the newest jobs."""
    with _client(ctx) as client:
        jobs = client.jobs(limit)
    if not jobs:
        click.echo("There are no jobs yet: keepfit submit --name first")
        return
    table = Table(box=None, pad_edge=False)
    for title in ("ID", "NAME", "STATE", "DONE", "ACCURACY"):
        table.add_column(title, no_wrap=title != "NAME")
    for job in jobs:
        table.add_row(job.id, Text(printable(job.name)), _state(job), _done(job), _accuracy(job))
    Console(soft_wrap=True).print(table)


@main.command()
@click.argument("job_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Everything, as JSON.")
@click.pass_context
def show(ctx: click.Context, job_id: str, as_json: bool) -> None:
    """Show one job."""
    with _client(ctx) as client:
        job = client.job(job_id)
    if as_json:
        click.echo(json.dumps(dict(job.raw), indent=1))
        return
    rows = [("name", printable(job.name)), ("state", _state(job)), ("why", job.reason), ("done", _done(job))]
    rows += [("attempt", str(job.attempt or "")), ("accuracy", _accuracy(job))]
    rows += [("loss", f"{job.metrics['loss']:.4f}" if "loss" in job.metrics else "")]
    rows += [("weights", job.weights_sha256), ("page", job.url)]
    for title, value in rows:
        if value:
            click.echo(f"{title:<9} {value}")


@main.command()
@click.argument("job_id", metavar="ID")
@click.pass_context
def watch(ctx: click.Context, job_id: str) -> None:
    """Show how a job goes, until it ends or is paused."""
    with _client(ctx) as client:
        _finish(watch_job(client, job_id, Console()))


def _wish_command(action: str, explained: str) -> None:
    @main.command(name=action, help=explained)
    @click.argument("job_id", metavar="ID")
    @click.pass_context
    def command(ctx: click.Context, job_id: str) -> None:
        with _client(ctx) as client:
            job: Job = getattr(client, action)(job_id)
        click.echo(job.raw.get("message") or f"{job.id}: {_state(job)}; wish: {job.raw['wish']}")


_wish_command("pause", "Have a job stop at a checkpoint.")
_wish_command("resume", "Have a paused, cancelled or failed job go on.")
_wish_command("cancel", "Give a job up.")


@main.command(context_settings={"ignore_unknown_options": True})  # so that -3 is a number
@click.argument("job_id", metavar="ID")
@click.argument("number", metavar="-9..9", type=click.IntRange(-9, 9))
@click.pass_context
def priority(ctx: click.Context, job_id: str, number: int) -> None:
    """Have a job wait before others, or behind them; 0 is the middle."""
    with _client(ctx) as client:
        job = client.prioritise(job_id, number)
    click.echo(f"{job.id}: priority {job.raw['priority']}")


@main.command()
@click.argument("job_id", metavar="ID")
@click.option("--data", type=click.Choice(list(DATASETS)), help="Data set; by default the job's own.")
@click.pass_context
def evaluate(ctx: click.Context, job_id: str, data: str | None) -> None:
    """Measure a job's model on a data set, and print accuracy and loss."""
    with _client(ctx) as client:
        job = client.wait(client.evaluate(job_id, data).id)
    _finish(job)
    click.echo(f"accuracy {job.metrics['accuracy']:.4f}   loss {job.metrics['loss']:.4f}")


@main.command()
@click.argument("job_id", metavar="ID")
@click.option("--file", "name", type=click.Choice(FILES), default=FILES[0], show_default=True)
@click.option("--to", "target", type=click.Path(path_type=Path, dir_okay=False), help="File to write.")
@click.pass_context
def download(ctx: click.Context, job_id: str, name: str, target: Path | None) -> None:
    """Write a job's model or weights to a file."""
    # `load_weights` takes no file whose name does not end in .weights.h5
    target = target or Path(f"{job_id}.keras" if name == FILES[0] else f"{job_id}.weights.h5")
    if not target.parent.is_dir():
        raise click.ClickException(f"There is no directory {target.parent}.")
    with _client(ctx) as client:
        click.echo(client.download(job_id, name, target))


@main.command(name="verify")
@click.argument("job_id", metavar="[ID]", required=False)
@click.option("--data-dir", type=click.Path(path_type=Path, exists=True, file_okay=False))
def verify_checkpoints(job_id: str | None, data_dir: Path | None) -> None:
    """Check every byte of every checkpoint of a data directory, or of one job."""
    jobs_dir = _jobs_dir(_settings(data_dir=data_dir))
    jobdirs = [open_jobdir(jobs_dir, job_id)] if job_id else sorted(list_jobdirs(jobs_dir), key=lambda j: j.id)
    counts = [_verify_job(jobdir) for jobdir in jobdirs]
    good, damaged = (sum(column) for column in zip(*counts, strict=True)) if counts else (0, 0)
    click.echo(f"{len(jobdirs)} jobs, {good} checkpoints are whole, {damaged} damaged.")
    raise SystemExit(1 if damaged else 0)


def _jobs_dir(settings: Settings) -> Path:
    """The folder of the jobs, in a data directory that is there: nothing found in none would look like all is well."""
    if not settings.data_dir.is_dir():
        raise click.ClickException(
            f"There is no data directory {settings.data_dir}. Name the one of your Keepfit with --data-dir."
        )
    return settings.jobs_dir


def _verify_job(jobdir: JobDir) -> tuple[int, int]:
    good = damaged = 0
    for checkpoint in checkpoints_of(jobdir):
        where = f"{jobdir.id}  attempt {checkpoint.attempt}  step {checkpoint.step}"
        try:
            manifest = verify(checkpoint)
        except CorruptCheckpoint as exc:
            if not checkpoint.path.exists():  # a running job has replaced it by a newer one
                continue
            damaged += 1
            click.echo(f"{where}  DAMAGED: {exc}")
        else:
            good += 1
            click.echo(f"{where}  whole, {manifest.bytes:,} bytes")
    return good, damaged


@main.command()
@click.option("--repair", is_flag=True, help="Make the server say what the disk says, where they differ.")
@click.option("--data-dir", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--redis-port", type=click.IntRange(1, 65535), help="Port of the embedded server (6390).")
@click.option("--redis-url", help="The external server, if one is used.")
def doctor(repair: bool, **options: Any) -> None:
    """Compare what the disk and the queue server say of each job."""
    settings = _settings(**options)
    jobs_dir, left = _jobs_dir(settings), 0
    with _store(settings) as store:
        for finding in examine(jobs_dir, store):
            mended = bool(finding.problem) and repair and mend(finding, jobs_dir, store)
            left += bool(finding.problem) and not mended
            verdict = f"MENDED: {finding.problem}" if mended else finding.problem or "agree"
            click.echo(f"{finding.job_id}  disk: {finding.disk}  server: {finding.server}  {verdict}")
    if left:
        raise click.ClickException(f"{left} jobs differ." + ("" if repair else " Mend them with --repair."))


@contextmanager
def _store(settings: Settings) -> Iterator[Store]:
    """The store, with errors that say how to name another server."""
    try:
        store = open_store(settings.broker_url)
    except ValueError as exc:  # not shown: the address may hold a password
        raise click.ClickException("The --redis-url is wrong. One looks like redis://127.0.0.1:6379/0.") from exc
    with closing(store):
        try:
            yield store
        except StoreUnavailable as exc:
            raise click.ClickException(
                f"{exc} Is Keepfit up? If its server is elsewhere, name it: --redis-port for the embedded one, "
                "--redis-url for another."
            ) from exc


main.add_command(demo)


def _finish(job: Job) -> None:
    """Say how a job ended; anything but success is exit code 1."""
    if job.state is not JobState.SUCCEEDED:
        raise click.ClickException(f"Job {job.id} is {job.state}. {job.reason}".strip())


def _state(job: Job) -> str:
    return "recovering" if job.recovering else job.state.value


def _done(job: Job) -> str:
    if job.state is JobState.SUCCEEDED:  # the last report may be from before the last step
        return "100 %"
    steps = job.progress.get("steps") or 0
    return f"{100 * job.progress['step'] // steps} %" if steps else ""


def _accuracy(job: Job) -> str:
    return f"{job.metrics['accuracy']:.4f}" if "accuracy" in job.metrics else ""


if __name__ == "__main__":
    main()
