"""Numbers, times and states in words for people, in the language that is spoken. Pure; the templates' filters."""

import datetime as dt
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from keepfit.shared.actors import Actor
from keepfit.shared.jobs.states import JobState, Wish
from keepfit.shared.reasons import Code
from keepfit.shared.spec.task import Task
from keepfit.web.words.catalogue import _, marked
from keepfit.web.words.states import how_done

if TYPE_CHECKING:
    from keepfit.shared.store.records import JobRecord  # not loaded: who has only the client has no redis

NOTHING = "\N{EN DASH}"
"""Stands where there is no value."""

OUTAGE = marked("Live updates are paused: the queue server does not answer. This page shows what is on disk.")
REBUILDING = marked(
    "Live updates are paused: the queue server is being rebuilt from the disk. This page shows what is there."
)


def filling(done: int, total: int) -> str:
    """What the list says while it does not know every job yet."""
    return _(
        "This list is being put together from the disk: {done} of {total} jobs so far, newest first.",
        done=count(done),
        total=count(total),
    )


LABELS = {
    JobState.QUEUED: marked("Queued"),
    JobState.RUNNING: marked("Running"),
    JobState.PAUSED: marked("Paused"),
    JobState.SUCCEEDED: marked("Succeeded"),
    JobState.FAILED: marked("Failed"),
    JobState.CANCELLED: marked("Cancelled"),
}
_ASKED = {Wish.PAUSE: marked("Pausing"), Wish.CANCEL: marked("Cancelling")}


def actor(by: Actor) -> str:
    """Who has done something, and how: local, page."""
    return f"{by.who}, {how_done(by.how)}"


_WISHED = {
    (JobState.PAUSED, Wish.PAUSE): marked("Paused by {who}"),
    (JobState.CANCELLED, Wish.CANCEL): marked("Cancelled by {who}"),
    (JobState.QUEUED, Wish.RUN): marked("Resumed by {who}"),
    (JobState.RUNNING, Wish.RUN): marked("Resumed by {who}"),
    (JobState.RUNNING, Wish.PAUSE): marked("Told to pause by {who}"),
    (JobState.RUNNING, Wish.CANCEL): marked("Told to cancel by {who}"),
}
"""Of the states in which a job is because somebody has wished it, or which it is about to leave so."""


def wished(record: "JobRecord") -> str:
    """Who has brought the job where it is; empty where nobody has, or nobody knows."""
    said = _WISHED.get((record.state, record.wish)) if record.wish_by else None
    return _(said, who=actor(record.wish_by)) if said and record.wish_by else ""


def state_label(record: "JobRecord", now_ms: int | None = None) -> str:
    """The state in one word: what it is, or what it is about to be. ``now_ms``: the server's clock, if known."""
    if stalled(record, now_ms):
        return _("Stalled")
    if record.state is JobState.RUNNING:
        return _(_ASKED.get(record.wish, LABELS[record.state]))
    if record.recovering and not was_asked_to_run(record):
        return _("Recovering")
    return _(LABELS[record.state])


def stalled(record: "JobRecord", now_ms: int | None) -> bool:
    """Whether a job's lease has lapsed and nobody has noticed yet: it must not be called running."""
    return record.state is JobState.RUNNING and now_ms is not None and now_ms > record.lease_ms > 0


def was_asked_to_run(record: "JobRecord") -> bool:
    """Whether a job that waits with an attempt behind it does so because a person resumed it."""
    return record.state is JobState.QUEUED and record.attempt > 0 and record.reason.code == Code.RESUMED


def tone(record: "JobRecord", now_ms: int | None = None) -> str:
    """The state's colour: a CSS class."""
    if stalled(record, now_ms) or (record.recovering and not was_asked_to_run(record)):
        return "recovering"
    return record.state.value


def count(value: float) -> str:
    """A whole number with thousands marked: 1,240."""
    return f"{int(value):,}"


def percent(share: float) -> str:
    """A share as per cent with two digits: 94.12 %, never torn apart at a line's end."""
    return per_cent(f"{share * 100:.2f}", "\N{NO-BREAK SPACE}")


def done(share: float) -> str:
    """How much of a job is done: 94 %."""
    return per_cent(f"{share * 100:.0f}")


def per_cent(number: str, space: str = " ") -> str:
    """A number of per cent, as each language writes it."""
    return _("{number}{space}%", number=number, space=space)


def step(number: int) -> str:
    """A step of training: step 1,240."""
    return _("step {number}", number=count(number))


def of(value: int | None, total: int | None) -> str:
    """How many of how many: 3 of 10."""
    return _("{value} of {total}", value=count(value), total=count(total)) if value is not None and total else NOTHING


def metric(value: float | None) -> str:
    """A loss, or another metric, with four digits."""
    return f"{value:.4f}" if value is not None and math.isfinite(value) else NOTHING


def primary(task: Task, value: float | None) -> str:
    """The primary metric of a task: a share in per cent, anything else like a loss."""
    if not task.is_share:
        return metric(value)
    return NOTHING if value is None else percent(value)


def capital(text: str) -> str:
    """``text`` as it stands at the beginning of a line."""
    return text[:1].upper() + text[1:]


def duration(seconds: float | None) -> str:
    """A time span in the one or two units that matter: 40 s, 3 min 20 s, 2 h 5 min."""
    if seconds is None:
        return NOTHING
    whole = max(0, round(seconds))
    if whole < 60:
        return _("{seconds} s", seconds=whole)
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        short = _("{minutes} min", minutes=minutes)
        return _("{minutes} min {seconds} s", minutes=minutes, seconds=rest) if rest else short
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        short = _("{hours} h", hours=hours)
        return _("{hours} h {minutes} min", hours=hours, minutes=minutes) if minutes else short
    return _("{days} days {hours} h", days=hours // 24, hours=hours % 24)


def size(number_of_bytes: int) -> str:
    """A file's size: 1.2 MB."""
    if number_of_bytes < 1000:
        return _("{number} bytes", number=number_of_bytes)
    if number_of_bytes < 1_000_000:
        return f"{number_of_bytes / 1000:.0f} kB"
    if number_of_bytes < 1_000_000_000:
        return f"{number_of_bytes / 1_000_000:.1f} MB"
    return f"{number_of_bytes / 1_000_000_000:.1f} GB"


def sentence(text: str) -> str:
    """``text`` with a capital at its start and a full stop at its end."""
    text = text.strip()
    if not text:
        return ""
    text = text[0].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else text + "."


def iso(ms: int) -> str:
    """A time for machines, for the ``datetime`` attribute."""
    return _utc(ms).isoformat(timespec="seconds").replace("+00:00", "Z")


def clock(ms: int) -> str:
    """A time for people where there is no JavaScript to make it local: 2026-11-24 04:05 UTC."""
    return _utc(ms).strftime("%Y-%m-%d %H:%M UTC")


def _utc(ms: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(ms / 1000, tz=dt.UTC)


FILTERS: dict[str, Callable[..., Any]] = {
    "capital": capital,
    "count": count,
    "percent": percent,
    "metric": metric,
    "duration": duration,
    "size": size,
    "sentence": sentence,
    "iso": iso,
    "clock": clock,
}
