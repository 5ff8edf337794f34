"""What of a job changes from second to second, in words: sent over the stream and put into the page.

    now = live_view(record, waiting, now_ms)

One place for these words: the page's script only puts them where they belong.
"""

from dataclasses import dataclass

from keepfit.shared.jobs.states import JobState, Wish
from keepfit.shared.reasons import Reason
from keepfit.shared.store import Waiting
from keepfit.shared.store.records import JobRecord
from keepfit.web.jobs.results import stopped_after, stopped_early
from keepfit.web.words import wording
from keepfit.web.words.catalogue import _, marked
from keepfit.web.words.reasons import in_words, says_the_state

RUNNING = marked("running")
_PHASES = {
    "train": marked("Training"),
    "validate": marked("Validating"),
    "evaluate": marked("Evaluating"),
    "finalise": marked("Testing and saving the final model"),
}
_DONE = {"evaluate": marked("Evaluated")}
"""What a job of a kind has done when it ends, where "finished" says too little."""


@dataclass(frozen=True)
class LiveView:
    """The moving parts of a job's page, as text; ``percent`` is for the progress bar."""

    tone: str
    label: str
    headline: str
    percent: float
    done: str
    epoch: str
    batch: str
    speed: str
    time_left: str
    loss: str
    primary: str
    heartbeat: str
    checkpoint: str
    attempt: str
    """What the running attempt does, for its line in the table."""


@dataclass(frozen=True)
class Place:
    """How far a job is, of what counts: a dead attempt's steps beyond the checkpoint do not."""

    share: float
    epoch: str
    batch: str
    reported: bool
    """Whether the last report tells of it, so that its loss and metrics hold."""


def live_view(record: JobRecord, waiting: Waiting | None, now_ms: int | None, told_to_die: bool = False) -> LiveView:
    """The moving parts of ``record``.

    ``now_ms`` is None while the clock of its times is not known; ``told_to_die``: a drill kills its worker.
    """
    progress, logs = record.progress, record.progress.get("logs", {})
    silent = told_to_die or wording.stalled(record, now_ms)
    told = record.state is JobState.RUNNING and record.progress_attempt == record.attempt and not silent
    speed = progress.get("steps_per_s") or 0.0
    place = place_of(record)
    return LiveView(
        tone=wording.tone(record, now_ms),
        label=wording.state_label(record, now_ms),
        headline=headline(record, waiting, now_ms, told_to_die),
        percent=round(place.share * 100, 1),
        done=wording.done(place.share),
        epoch=place.epoch,
        batch=place.batch,
        speed=_("{number} steps/s", number=f"{speed:,.0f}") if told and speed else wording.NOTHING,
        time_left=wording.duration(progress.get("eta_s") if told else None),
        loss=wording.metric(logs.get("loss") if place.reported else None),
        primary=wording.metric(record.task.primary_in(logs) if place.reported else None),
        heartbeat=_heartbeat(record, now_ms),
        checkpoint=_kept(record),
        attempt=_attempt(record, now_ms, told_to_die),
    )


def place_of(record: JobRecord) -> Place:
    """How far ``record`` is: by its last report, or by its checkpoint where the reporting attempt is dead."""
    progress = record.progress
    step, steps, batches = (int(progress.get(name) or 0) for name in ("step", "steps", "batches"))
    epoch, epochs = int(progress.get("epoch") or 0), progress.get("epochs")
    if record.state is JobState.SUCCEEDED:
        return Place(1.0, _last_epoch(record, epoch, epochs), wording.of(progress.get("batch"), batches), reported=True)
    waits = record.state in {JobState.QUEUED, JobState.PAUSED}
    anew = record.state is JobState.RUNNING and record.progress_attempt != record.attempt
    if batches and (anew or (waits and step > record.checkpoint_step)):
        step = record.checkpoint_step
        epoch, batch = divmod(step, batches)
        return Place(
            step / steps if steps else 0.0, wording.of(epoch + 1, epochs), wording.of(batch, batches), reported=False
        )
    share = step / steps if steps else 0.0
    return Place(share, wording.of(epoch + 1, epochs), wording.of(progress.get("batch"), batches), reported=True)


def _last_epoch(record: JobRecord, epoch: int, epochs: int | None) -> str:
    early = stopped_early(record.result, epochs)
    if early is None:
        return wording.of(epoch + 1, epochs)
    stopped, planned = early
    return _("{epochs}, stopped early", epochs=wording.of(stopped, planned))


def headline(record: JobRecord, waiting: Waiting | None, now_ms: int | None, told_to_die: bool = False) -> str:
    """What happens to the job just now and why, in a sentence."""
    match record.state:
        case JobState.QUEUED:
            return _queued(record, waiting)
        case JobState.RUNNING:
            return _running(record, now_ms, told_to_die)
        case JobState.SUCCEEDED:
            return _succeeded(record)
        case JobState.PAUSED:
            kept = _("Its latest checkpoint is {step}.", step=_checkpoint(record)) if record.checkpoint_step else ""
            return _with_reason("Paused", record.reason, kept)
        case JobState.FAILED:
            return _with_reason("Failed", record.reason)
        case JobState.CANCELLED:
            kept = _("Its checkpoints are kept, so it can still be resumed.")
            anew = _("It has no checkpoint: if it is resumed, it starts from the beginning.")
            return _with_reason("Cancelled", record.reason, kept if record.checkpoint_step else anew)


def _queued(record: JobRecord, waiting: Waiting | None) -> str:
    why = in_words(waiting.reason) if waiting else ""
    if not record.attempt:
        return wording.sentence(_("Waiting to start: {why}", why=why) if why else _("Waiting to start"))
    place = {"start": _checkpoint(record), "cause": in_words(record.reason) or _("its attempt ended")}
    if wording.was_asked_to_run(record):
        said = _("Resumed; goes on from {start} as soon as a worker is free", **place)
    else:
        said = _("Recovering: {cause}; goes on from {start} as soon as a worker is free", **place)
    return wording.sentence(f"{said} ({why})" if why else said)


def _running(record: JobRecord, now_ms: int | None, told_to_die: bool) -> str:
    start = _checkpoint(record)
    if told_to_die:
        return _("Its worker was told to die; it goes on by itself from {start}.", start=start)
    if silence := _silence(record, now_ms):
        return _(
            "Not heard of for {time}. If its worker is gone, it goes on by itself from {start}.",
            time=silence,
            start=start,
        )
    if record.wish is Wish.PAUSE:
        return _("Pausing: it writes a checkpoint first, then stops.")
    if record.wish is Wish.CANCEL:
        return _("Cancelling: it stops at the next step.")
    if not record.progress:
        return _("Starting.")
    told = record.progress_attempt == record.attempt
    doing = _(_PHASES.get(str(record.progress.get("phase")), "Training") if told else marked("Starting"))
    if record.attempt < 2:
        return _("{doing}.", doing=doing)
    return _("{doing}, attempt {number}.", doing=doing, number=record.attempt)


def _succeeded(record: JobRecord) -> str:
    task, value = record.task, record.task.primary_in(record.result.get("metrics", {}))
    done = _(_DONE.get(record.kind, marked("Finished")))
    shown = wording.primary(task, value)
    measured = _("{done}: test {metric} {value}.", done=done, metric=_(task.title), value=shown)
    said = measured if value is not None else _("{done}.", done=done)
    early = stopped_early(record.result, record.progress.get("epochs"))
    return f"{said} {stopped_after(*early)}" if early else said


def _with_reason(word: str, reason: Reason, more: str = "") -> str:
    why = in_words(reason)
    said = why if says_the_state(reason) else f"{_(word)}: {why}" if why else _(word)
    return f"{wording.sentence(said)} {more}".strip()


def _kept(record: JobRecord) -> str:
    """The latest checkpoint, and since when none could be written."""
    latest = wording.step(record.checkpoint_step) if record.checkpoint_step else wording.NOTHING
    failed = record.checkpoint_failure
    if not failed:
        return latest
    return _(
        "{latest}; failed at {step}: {reason} ({failures} in all)",
        latest=latest,
        step=wording.step(failed["step"]),
        reason=failed["reason"],
        failures=failed["failures"],
    )


def _checkpoint(record: JobRecord) -> str:
    return wording.step(record.checkpoint_step) if record.checkpoint_step else _("the beginning")


def _silence(record: JobRecord, now_ms: int | None) -> str:
    """For how long nothing was heard of a stalled job; empty for one that is not."""
    if now_ms is None or not wording.stalled(record, now_ms):
        return ""
    return wording.duration((now_ms - record.heartbeat_ms) / 1000)


def _attempt(record: JobRecord, now_ms: int | None, told_to_die: bool) -> str:
    if told_to_die:
        return _("its worker was told to die")
    silence = _silence(record, now_ms)
    return _("no word for {time}", time=silence) if silence else _(RUNNING)


def _heartbeat(record: JobRecord, now_ms: int | None) -> str:
    if record.state is not JobState.RUNNING or not record.heartbeat_ms or now_ms is None:
        return wording.NOTHING
    return _("{seconds} s ago", seconds=f"{max(0.0, (now_ms - record.heartbeat_ms) / 1000):.1f}")
