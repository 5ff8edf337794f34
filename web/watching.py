"""A job's events as lines and a bar in a terminal.

job = watch_job(client, job_id, Console())     # returns when the job rests
"""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from shared.spec import printable
from shared.states import JobState
from web.client import RESTING, Job, KeepfitClient, ServerEvent


def watch_job(client: KeepfitClient, job_id: str, console: Console) -> Job:
    """Show what happens to the job until it has ended or is paused, and return it."""
    job = client.job(job_id)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(printable(job.name), total=None)
        for event in client.events(job_id):
            if event.type == "progress":
                bar.update(task, completed=event.data["step"], total=event.data["steps"])
            elif line := line_for(event):
                console.print(line, highlight=False, markup=False)
            # Only a look at the job itself says that it rests *now*; an old event may be of an earlier rest.
            if event.type in ("state", "now") and (job := client.job(job_id)).state in RESTING:
                break
    for name, value in job.metrics.items():
        console.print(f"{name} {value:.4f}", highlight=False)
    return job


def line_for(event: ServerEvent) -> str:
    """The line that says ``event``; empty for what is not worth a line."""
    data = event.data
    match event.type:
        case "state":
            state = "recovering" if data["state"] == JobState.QUEUED and data["attempt"] else data["state"]
            return f"{state}: {data['reason']}" if data["reason"] else str(state)
        case "attempt":
            where = f"step {data['step']}" if data["resumed_attempt"] else "the beginning"
            return f"attempt {data['attempt']} on {data['host']} (process {data['pid']}) from {where}"
        case "epoch":
            return f"epoch {data['epoch'] + 1}  {_numbers(data['logs'])}  {data['seconds']:.1f} s"
        case "checkpoint-failed":
            return f"a checkpoint could not be written: {data['reason']}"
        case "checkpoint-rejected":
            return f"checkpoint {data['name']} is damaged and was set aside: {data['reason']}"
        case "log":
            return str(data["text"])
    return ""


def _numbers(logs: Mapping[str, Any]) -> str:
    return "  ".join(f"{name} {value:.4f}" for name, value in logs.items())
