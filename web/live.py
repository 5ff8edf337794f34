"""What of a job changes from second to second, in words: sent over the stream and put into the page.

    now = live_view(record, waiting, now_ms)

One place for these words: the page's script only puts them where they belong.
"""

from dataclasses import dataclass

from shared.states import JobState, Wish
from shared.store import Waiting
from shared.store.records import JobRecord
from web import wording

_PHASES = {
    "train": "Training",
    "validate": "Validating",
    "evaluate": "Evaluating",
    "finalise": "Testing and saving the final model",
}


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
    accuracy: str
    heartbeat: str
    checkpoint: str


def live_view(record: JobRecord, waiting: Waiting | None, now_ms: int | None) -> LiveView:
    """The moving parts of ``record``. ``now_ms`` is None while the clock of its times is not known."""
    progress, logs = record.progress, record.progress.get("logs", {})
    told = record.state is JobState.RUNNING and record.progress_attempt == record.attempt
    steps, step = progress.get("steps") or 0, progress.get("step") or 0
    done = record.state is JobState.SUCCEEDED
    share = 1.0 if done else (step / steps if steps else 0.0)
    speed = progress.get("steps_per_s") or 0.0
    return LiveView(
        tone=wording.tone(record, now_ms),
        label=wording.state_label(record, now_ms),
        headline=headline(record, waiting, now_ms),
        percent=round(share * 100, 1),
        done=f"{share * 100:.0f} %",
        epoch=_of(int(progress.get("epoch") or 0) + 1, progress.get("epochs")),
        batch=_of(progress.get("batch"), progress.get("batches")),
        speed=f"{speed:,.0f} steps/s" if told and speed else wording.NOTHING,
        time_left=wording.duration(progress.get("eta_s") if told else None),
        loss=wording.metric(logs.get("loss")),
        accuracy=wording.metric(logs.get("accuracy")),
        heartbeat=_heartbeat(record, now_ms),
        checkpoint=_kept(record),
    )


def headline(record: JobRecord, waiting: Waiting | None, now_ms: int | None) -> str:
    """What happens to the job just now and why, in a sentence."""
    match record.state:
        case JobState.QUEUED:
            return _queued(record, waiting)
        case JobState.RUNNING:
            return _running(record, now_ms)
        case JobState.SUCCEEDED:
            return _succeeded(record)
        case JobState.PAUSED:
            kept = f"Its latest checkpoint is {_checkpoint(record)}." if record.checkpoint_step else ""
            return _with_reason("Paused", record.reason, kept)
        case JobState.FAILED:
            return _with_reason("Failed", record.reason)
        case JobState.CANCELLED:
            return _with_reason("Cancelled", record.reason, "Its checkpoints are kept, so it can still be resumed.")


def _queued(record: JobRecord, waiting: Waiting | None) -> str:
    why = waiting.reason if waiting else ""
    if not record.attempt:
        return wording.sentence(f"Waiting to start: {why}" if why else "Waiting to start")
    said = "Resumed" if wording.was_asked_to_run(record) else f"Recovering: {record.reason or 'its attempt ended'}"
    goes_on = f"goes on from {_checkpoint(record)} as soon as a worker is free"
    return wording.sentence(f"{said}; {goes_on}" + (f" ({why})" if why else ""))


def _running(record: JobRecord, now_ms: int | None) -> str:
    if now_ms is not None and wording.stalled(record, now_ms):
        age = wording.duration((now_ms - record.heartbeat_ms) / 1000)
        return f"Not heard of for {age}. If its worker is gone, it goes on by itself from {_checkpoint(record)}."
    if record.wish is Wish.PAUSE:
        return "Pausing: it writes a checkpoint first, then stops."
    if record.wish is Wish.CANCEL:
        return "Cancelling: it stops at the next step."
    if not record.progress:
        return "Starting."
    told = record.progress_attempt == record.attempt
    doing = _PHASES.get(str(record.progress.get("phase")), "Training") if told else "Starting"
    return f"{doing}." if record.attempt < 2 else f"{doing}, attempt {record.attempt}."


def _succeeded(record: JobRecord) -> str:
    accuracy = record.result.get("metrics", {}).get("accuracy")
    done = "Evaluated" if record.kind == "evaluate" else "Finished"
    return f"{done}: test accuracy {wording.percent(accuracy)}." if accuracy is not None else f"{done}."


def _with_reason(word: str, reason: str, more: str = "") -> str:
    # A reason such as "paused by a person" says the state itself.
    said = reason if reason.lower().startswith(word.lower()) else f"{word}: {reason}" if reason else word
    return f"{wording.sentence(said)} {more}".strip()


def _kept(record: JobRecord) -> str:
    """The latest checkpoint, and since when none could be written."""
    latest = f"step {wording.count(record.checkpoint_step)}" if record.checkpoint_step else wording.NOTHING
    failed = record.checkpoint_failure
    if not failed:
        return latest
    return f"{latest}; failed at step {wording.count(failed['step'])}: {failed['reason']} ({failed['failures']} in all)"


def _checkpoint(record: JobRecord) -> str:
    return f"step {wording.count(record.checkpoint_step)}" if record.checkpoint_step else "the beginning"


def _heartbeat(record: JobRecord, now_ms: int | None) -> str:
    if record.state is not JobState.RUNNING or not record.heartbeat_ms or now_ms is None:
        return wording.NOTHING
    return f"{max(0.0, (now_ms - record.heartbeat_ms) / 1000):.1f} s ago"


def _of(value: int | None, total: int | None) -> str:
    return f"{wording.count(value)} of {wording.count(total)}" if value is not None and total else wording.NOTHING
