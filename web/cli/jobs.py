"""The commands about jobs: they speak to a service over HTTP, and do from a terminal what the pages do."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import click

from keepfit.shared.catalog.cards import Card
from keepfit.shared.catalog.library import builtin_library
from keepfit.shared.jobs.states import JobState
from keepfit.shared.spec import KINDS, printable
from keepfit.shared.spec.task import DEFAULT_TASK
from keepfit.web.cli.terminal import client_of, columns, job_command, labelled, option, plain_console
from keepfit.web.cli.watching import number, watch_job
from keepfit.web.client import Job
from keepfit.web.jobs.results import remarks
from keepfit.web.words.catalogue import _, marked
from keepfit.web.words.reasons import told
from keepfit.web.words.states import how_done, state_name, wish_name
from keepfit.web.words.wording import per_cent

FILES = ("model.keras", "weights.h5")
STATES = tuple(state.value for state in JobState)
_ENDED = {JobState.FAILED: marked("Job {id} has failed"), JobState.CANCELLED: marked("Job {id} was cancelled")}
_NO_TEXT = marked("{file} is not text, so it is no JSON: it must hold one JSON object, such as {example}.")


def _names(cards: Sequence[Card]) -> str:
    """What comes with Keepfit: told, not checked, for the service that a job is sent to says what there is."""
    return f"[{'|'.join(card.name for card in cards)}]"


@job_command("submit")
@click.argument("spec", required=False, type=click.File("rb"))
@option("--name", help="Name of the job.")
@option("--data", metavar=_names(builtin_library().datasets()), help="Data set.")
@option("--model", metavar=_names(builtin_library().models()), help="Model.")
@option("--epochs", type=int)
@option("--batch-size", type=int)
@option("--learning-rate", type=float)
@option("--seed", type=int)
@option("--validation-share", type=float)
@option("--checkpoint-interval", "checkpoint_interval_s", type=float, help="Seconds.")
@option("--key", help="Idempotency key: the same key is the same job.")
@option("--watch", is_flag=True, help="Stay and show how it goes.")
@click.pass_context
def submit(ctx: click.Context, /, spec: BinaryIO | None, key: str | None, watch: bool, **options: Any) -> None:
    """Submit a job: from the file SPEC (JSON; - for standard input), from options, or both."""
    content = _overridden(_read_spec(spec), _from_options(options))
    if "name" not in content:
        raise click.UsageError(_("The job needs a name: --name NAME."))
    with client_of(ctx) as client:
        job = client.submit(content, key=key)
        _say_accepted(job)
        if watch:
            with _leaving(job.id):
                _finish(watch_job(client, job.id, plain_console()))


def _read_spec(spec: BinaryIO | None) -> dict[str, Any]:
    if spec is None:
        return {}
    needed = {"file": spec.name, "example": '{"name": "first"}'}
    text = spec.read()
    if not text.strip():
        raise click.ClickException(_("{file} is empty: it must hold one JSON object, such as {example}.", **needed))
    try:
        content = json.loads(text)
    except UnicodeDecodeError as exc:
        raise click.ClickException(_(_NO_TEXT, **needed)) from exc
    except (ValueError, RecursionError) as exc:
        if b"\0" in text:
            raise click.ClickException(_(_NO_TEXT, **needed)) from exc
        raise click.ClickException(
            _("{file} is not JSON ({why}): it must hold one JSON object, such as {example}.", why=exc, **needed)
        ) from exc
    if not isinstance(content, dict):
        raise click.ClickException(_("{file} must hold one JSON object, such as {example}.", **needed))
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


@job_command("list")
@option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many.")
@option("--offset", type=click.IntRange(min=0), default=0, help="How many of the newest to pass over.")
@option("--all", "everything", is_flag=True, help="All of them, whatever the limit.")
@option("--state", type=click.Choice(STATES), help="Only jobs in this state.")
@option("--kind", type=click.Choice([*KINDS]), help="Only trainings, or only evaluations.")
@click.pass_context
def list_jobs(
    ctx: click.Context, limit: int, offset: int, everything: bool, state: str | None, kind: str | None
) -> None:
    """List the newest jobs."""
    with client_of(ctx) as client:
        jobs = client.jobs(None if everything else limit, offset=offset, state=state, kind=kind)
    if not jobs:
        asked = state or kind or offset
        none = _("There are no jobs yet: keepfit submit --name first")
        click.echo(_("There are no such jobs.") if asked else none)
        return
    rows = [(job.id, printable(job.name), _state(job), _done(job), _primary(job)) for job in jobs]
    for line in columns(("ID", _("NAME"), _("STATE"), _("DONE"), _("RESULT")), rows):
        click.echo(line)


@job_command("show")
@click.argument("job_id", metavar="ID")
@option("--json", "as_json", is_flag=True, help="Everything, as JSON.")
@click.pass_context
def show(ctx: click.Context, job_id: str, as_json: bool) -> None:
    """Show one job."""
    with client_of(ctx) as client:
        job = client.job(job_id)
    if as_json:
        click.echo(json.dumps(dict(job.raw), indent=1))
        return
    rows = [(_("name"), printable(job.name)), (_("state"), _state(job)), (_("why"), told(job.raw))]
    rows += [(_("done"), _done(job)), (_("attempt"), str(job.attempt or "")), (_(DEFAULT_TASK.title), _primary(job))]
    rows += [(_("loss"), number(job.metrics["loss"]) if "loss" in job.metrics else "")]
    rows += [(_("note"), said) for said in remarks(job.result, job.progress.get("epochs"))]
    rows += [(_("by"), _by(job.raw.get("by")))]
    if wished := _by(job.raw.get("wish_by")):
        rows += [(_("wish"), _("{wish}, by {who}", wish=wish_name(job.raw["wish"]), who=wished))]
    rows += [(_("weights"), job.weights_sha256), (_("page"), job.url)]
    for line in labelled(rows):
        click.echo(line)


@job_command("watch")
@click.argument("job_id", metavar="ID")
@click.pass_context
def watch(ctx: click.Context, job_id: str) -> None:
    """Show how a job goes, until it ends or is paused."""
    with client_of(ctx) as client, _leaving(job_id):
        _finish(watch_job(client, job_id, plain_console()))


def _wish_command(action: str, explained: str) -> click.Command:
    @job_command(action, help=explained)
    @click.argument("job_id", metavar="ID")
    @click.pass_context
    def command(ctx: click.Context, job_id: str) -> None:
        with client_of(ctx) as client:
            job: Job = getattr(client, action)(job_id)
        if message := job.raw.get("message"):
            click.echo(_(message))
        else:
            click.echo(_("{id}: {state}; wish: {wish}", id=job.id, state=_state(job), wish=wish_name(job.raw["wish"])))

    return command


@job_command("priority", context_settings={"ignore_unknown_options": True})  # so that -3 is a number
@click.argument("job_id", metavar="ID")
@click.argument("number", metavar="PRIORITY", type=click.IntRange(-9, 9))
@click.pass_context
def priority(ctx: click.Context, job_id: str, number: int) -> None:
    """Have a job wait before others, or behind them: -9 to 9, higher runs first, 0 is the middle."""
    with client_of(ctx) as client:
        job = client.prioritise(job_id, number)
    click.echo(_("{id}: priority {number}", id=job.id, number=job.raw["priority"]))


@job_command("evaluate")
@click.argument("job_id", metavar="ID")
@option("--data", metavar=_names(builtin_library().datasets()), help="Data set; by default the job's own.")
@option("--no-wait", is_flag=True, help="Only submit it, and print its id.")
@click.pass_context
def evaluate(ctx: click.Context, job_id: str, data: str | None, no_wait: bool) -> None:
    """Measure a job's model on a data set, and print the metric that counts, and the loss."""
    with client_of(ctx) as client:
        job = client.evaluate(job_id, data)
        _say_accepted(job)
        if no_wait:
            return
        with _leaving(job.id):
            job = client.wait(job.id)
    _finish(job)
    click.echo(f"{_(DEFAULT_TASK.title)} {_primary(job)}   {_('loss')} {number(job.metrics.get('loss'))}")


@job_command("download")
@click.argument("job_id", metavar="ID")
@option("--file", "name", type=click.Choice(FILES), default=FILES[0], show_default=True)
@option("--to", "target", type=click.Path(path_type=Path, dir_okay=False), help="File to write.")
@click.pass_context
def download(ctx: click.Context, job_id: str, name: str, target: Path | None) -> None:
    """Write a job's model or weights to a file."""
    # `load_weights` takes no file whose name does not end in .weights.h5
    target = target or Path(f"{job_id}.keras" if name == FILES[0] else f"{job_id}.weights.h5")
    if not target.parent.is_dir():
        raise click.ClickException(_("There is no directory {path}.", path=target.parent))
    with client_of(ctx) as client:
        click.echo(client.download(job_id, name, target))


COMMANDS = (
    submit,
    list_jobs,
    show,
    watch,
    _wish_command("pause", marked("Have a job stop at a checkpoint.")),
    _wish_command("resume", marked("Have a paused, cancelled or failed job go on.")),
    _wish_command("cancel", marked("Give a job up.")),
    priority,
    evaluate,
    download,
)


def _say_accepted(job: Job) -> None:
    """The id and page of a new job; why it waits goes beside it, out of the way of a pipe."""
    click.echo(f"{job.id}  {job.url}")
    waiting = job.raw.get("waiting") or {}
    if said := job.raw.get("message") or told(waiting):
        click.echo(_("waiting: {why}", why=said) if "message" not in job.raw else _(said), err=True)


@contextmanager
def _leaving(job_id: str) -> Iterator[None]:
    """Ctrl-C leaves the terminal only; the job goes on, and says how it can be seen again."""
    try:
        yield
    except KeyboardInterrupt as exc:
        raise click.ClickException(
            _("Not watched any more; the job goes on. See it with: keepfit watch {id}", id=job_id)
        ) from exc


def _finish(job: Job) -> None:
    """Say how a job ended; anything but success is exit code 1."""
    if job.state is JobState.SUCCEEDED:
        return
    said = _ENDED.get(job.state, marked("Job {id} is {state}"))
    why = f": {told(job.raw)}" if job.reason else ""
    raise click.ClickException(_(said, id=job.id, state=_state(job)) + why)


def _state(job: Job) -> str:
    return state_name(job.state, job.recovering)


def _by(actor: Mapping[str, Any] | None) -> str:
    """Who has done something, and how; empty where nobody knows."""
    return f"{printable(actor['who'])}, {how_done(actor['how'])}" if actor else ""


def _done(job: Job) -> str:
    if job.state is JobState.SUCCEEDED:  # the last report may be from before the last step
        return per_cent("100")
    steps = job.progress.get("steps") or 0
    return per_cent(str(100 * (job.progress.get("step") or 0) // steps)) if steps else ""


def _primary(job: Job) -> str:
    value = DEFAULT_TASK.primary_in(job.metrics)
    return "" if value is None else number(value)
