"""A job's events as lines and a bar in a terminal.

job = watch_job(client, job_id, plain_console())     # returns when the job rests
"""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from keepfit.shared.jobs.states import JobState
from keepfit.shared.spec import printable
from keepfit.web.client import RESTING, Client, Job, ServerEvent
from keepfit.web.words.catalogue import _
from keepfit.web.words.reasons import told
from keepfit.web.words.states import state_name


def watch_job(client: Client, job_id: str, console: Console) -> Job:
    """Show what happens to the job until it has ended or is paused, and return it."""
    job = client.job(job_id)
    job = _told(client, job, console) if job.state in RESTING else _followed(client, job, console)
    for name, value in job.metrics.items():
        console.print(f"{_(name)} {number(value)}")
    return job


def _told(client: Client, job: Job, console: Console) -> Job:
    """What became of a job that rests: its epochs, from its files, and its end."""
    for row in client.history(job.id).get("epochs", []):
        logs = {name: value for name, value in row.items() if name not in ("step", "epoch")}
        console.print(f"{_('epoch {number}', number=round(row['epoch']))}  {_numbers(logs)}")
    console.print(f"{state_name(job.state)}: {told(job.raw)}" if job.reason else state_name(job.state))
    return job


def _followed(client: Client, job: Job, console: Console) -> Job:
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    fresh = False
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(printable(job.name), total=None)
        for event in client.events(job.id):
            if event.type == "progress":
                bar.update(task, completed=event.data.get("step"), total=event.data.get("steps"))
            elif line := line_for(event):
                console.print(line)
            fresh = fresh or bool(event.id)
            # The stream begins with all that has happened, in parts, and `now` comes after each part. So the job's
            # end counts at a `now` before which nothing came; an old event may be of an earlier rest.
            if event.type == "now":
                if not fresh and (job := client.job(job.id)).state in RESTING:
                    break
                fresh = False
    return job


def line_for(event: ServerEvent) -> str:
    """The line that says ``event``; empty for what is not worth a line."""
    data = event.data
    match event.type:
        case "state":
            state = state_name(data["state"], data["state"] == JobState.QUEUED and bool(data["attempt"]))
            return f"{state}: {told(data)}" if data.get("reason") else state
        case "attempt":
            resumed = bool(data.get("resumed_attempt"))
            where = _("step {number}", number=data["step"]) if resumed else _("the beginning")
            about = {"number": data["attempt"], "host": data["host"], "pid": data["pid"], "start": where}
            return _("attempt {number} on {host} (process {pid}) from {start}", **about)
        case "epoch":
            took = _("{seconds} s", seconds=f"{data.get('seconds') or 0:.1f}")
            return f"{_('epoch {number}', number=data['epoch'] + 1)}  {_numbers(data['logs'])}  {took}"
        case "checkpoint-failed":
            return _("a checkpoint could not be written: {why}", why=data["reason"])
        case "checkpoint-rejected":
            return _("checkpoint {name} is damaged and was set aside: {why}", name=data["name"], why=data["reason"])
        case "log":
            return str(data["text"])
    return ""


def number(value: float | None) -> str:
    """A metric with four digits; what was not finite travels as none."""
    return _("not a number") if value is None else f"{value:.4f}"


def _numbers(logs: Mapping[str, Any]) -> str:
    return "  ".join(f"{_(name)} {number(value)}" for name, value in logs.items())
