"""What the templates render: frozen values, every word and number ready. No template computes.

row = job_row(record)
page = JobPage(..., attempts=attempt_rows(history, record))     # put together by ``assemble``
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest

from keepfit.shared.errors import DamagedFile, NewerVersion
from keepfit.shared.jobs.states import JobState, Outcome, Wish
from keepfit.shared.spec import DATASETS, MODELS, DataSpec, JobSpec, TrainingSpec, TrainSpec, kind_named
from keepfit.shared.store.records import JobRecord
from keepfit.web.deeds.evaluate import EVALUABLE
from keepfit.web.jobs.downloads import exports
from keepfit.web.jobs.history import Attempt, History, LogTail
from keepfit.web.jobs.live import RUNNING, LiveView, place_of
from keepfit.web.jobs.reading import Seen
from keepfit.web.jobs.results import remarks
from keepfit.web.words import wording

KILLED = "it was killed or lost"
"""Of an attempt that left no word, where the queue server no longer knows why."""


@dataclass(frozen=True)
class JobRow:
    """One line of the list of jobs."""

    id: str
    name: str
    kind: str
    tone: str
    label: str
    detail: str
    percent: float
    done: str
    accuracy: str
    accuracy_of: str
    created_ms: int


@dataclass(frozen=True)
class FilterLink:
    """A part of the list, above it."""

    label: str
    number: int
    state: JobState | None
    current: bool


@dataclass(frozen=True)
class Button:
    """Something a person can do now."""

    action: str
    label: str
    style: str = ""
    explained: str = ""


@dataclass(frozen=True)
class AttemptRow:
    """One attempt in the table."""

    number: int
    started_ms: int
    worker: str
    start: str
    end: str
    exact: str
    differs: str
    runs: bool = False
    """Whether ``end`` is what it does now, which the stream keeps up to date."""


@dataclass(frozen=True)
class ResultView:
    """How a job ended: the numbers on its page."""

    accuracy: str
    loss: str
    weights_sha256: str
    exact: bool
    exactness: str
    remarks: tuple[str, ...]
    """What else there is to know about this end, a sentence each."""
    files: tuple[str, ...]
    """Names of the exports that can be downloaded."""


@dataclass(frozen=True)
class EvaluationRow:
    """An evaluation, on its source's page."""

    id: str
    data: str
    tone: str
    label: str
    accuracy: str
    loss: str
    created_ms: int


@dataclass(frozen=True)
class JobPage:
    """A job's page."""

    id: str
    name: str
    kind: str
    data: str
    notice: str
    live: LiveView
    created_ms: int
    submitted_by: str
    """Who has submitted it, and how; empty where nobody wrote it down."""
    since_ms: int
    facts: tuple[tuple[str, str], ...]
    source: str
    source_name: str
    buttons: tuple[Button, ...]
    recovered: str
    result: ResultView | None
    attempts: tuple[AttemptRow, ...]
    evaluations: tuple[EvaluationRow, ...]
    can_evaluate: bool
    log: LogTail
    log_after: str
    """The stream id up to which the page is made; the live stream goes on after it."""


def job_row(record: JobRecord, now_ms: int | None = None) -> JobRow:
    """``record`` as a line of the list."""
    accuracy, accuracy_of = best_known_accuracy(record)
    share = place_of(record).share
    kind = kind_named(record.kind)
    what = [MODELS[record.model].title] if record.model in MODELS else []
    what += [DATASETS[record.data].title] if record.data in DATASETS else []
    return JobRow(
        id=record.id,
        name=record.name,
        kind=record.kind,
        tone=wording.tone(record, now_ms),
        label=wording.state_label(record, now_ms),
        detail=" on ".join(what) if kind.trains else f"{kind.title} on {' '.join(what)}",
        percent=round(share * 100, 1),
        done=f"{share * 100:.0f} %",
        accuracy=wording.NOTHING if accuracy is None else wording.percent(accuracy),
        accuracy_of=accuracy_of,
        created_ms=record.created_ms,
    )


def filter_links(counts: Mapping[JobState, int], state: JobState | None, kind: str | None) -> tuple[FilterLink, ...]:
    """The states that there are jobs in; none while that is only one and nobody asked for it."""
    found = [s for s in JobState if counts[s] or s is state]
    if len(found) < 2 and state is None and kind is None:
        return ()
    every = FilterLink("All", sum(counts.values()), None, state is None)
    return every, *(FilterLink(wording.LABELS[s], counts[s], s, s is state) for s in found)


def best_known_accuracy(record: JobRecord) -> tuple[float | None, str]:
    """The accuracy that says most about the job, and on which data it was measured."""
    final = record.result.get("metrics", {}).get("accuracy")
    if final is not None:
        return float(final), "test"
    running = record.progress.get("logs", {}).get("accuracy") if place_of(record).reported else None
    return (None, "") if running is None else (float(running), "training")


def buttons(record: JobRecord, drills: bool) -> tuple[Button, ...]:
    """What a person can do to the job in its state. ``drills``: a worker can be killed, and lives."""
    found: list[Button] = []
    kept = "Goes on from the latest checkpoint." if record.checkpoint_step else "Starts from the beginning."
    running, queued = record.state is JobState.RUNNING, record.state is JobState.QUEUED
    if (running or queued) and record.wish is Wish.RUN:
        explained = "Stops after a checkpoint; nothing is lost." if running else "Waits until it is resumed."
        found.append(Button("pause", "Pause", explained=explained))
    if running and record.wish is Wish.PAUSE:
        found.append(Button("resume", "Keep running", "primary"))
    if record.state is JobState.PAUSED:
        found.append(Button("resume", "Resume", "primary"))
    if record.state is JobState.FAILED:
        found.append(Button("resume", "Try again", "primary", kept))
    if record.state is JobState.CANCELLED:
        found.append(Button("resume", "Resume", explained=kept))
    if queued:
        found.append(Button("sooner", "Sooner", "quiet", "Goes before others in the queue: priority one higher."))
        found.append(Button("later", "Later", "quiet", "Lets others go first: priority one lower."))
    if record.state in {JobState.RUNNING, JobState.QUEUED, JobState.PAUSED} and record.wish is not Wish.CANCEL:
        found.append(Button("cancel", "Cancel", "quiet"))
    if drills and running:
        explained = "Kills the worker with -9, to see the job recover."
        found.append(Button("drill", "Kill this worker", "danger", explained))
    return tuple(found)


def facts(seen: Seen) -> tuple[tuple[str, str], ...]:
    """What the job was asked to do."""
    try:
        spec = seen.jobdir.spec
    except NewerVersion:
        return (("Kind", seen.record.kind), ("Spec", "needs a newer version of Keepfit"))
    except DamagedFile as exc:
        return (("Damaged", str(exc)),)
    if not isinstance(spec, TrainSpec):
        return tuple(_data_set(spec))
    training = spec.training
    priority = seen.record.priority
    return (
        *_data_set(spec),
        ("Model", MODELS[spec.model.name].title),
        ("Epochs", wording.count(training.epochs)),
        ("Batch size", wording.count(training.batch_size)),
        ("Learning rate", f"{training.learning_rate:g}"),
        ("Seed", str(training.seed)),
        ("Validation share", f"{training.validation_share:g}"),
        ("Checkpoint every", f"{training.checkpoint_interval_s:g} s"),
        *_extras(training),
        *([("Priority", f"{priority:+d}")] if priority else []),
    )


def _data_set(spec: JobSpec) -> Iterator[tuple[str, str]]:
    data = getattr(spec, "data", None)  # a kind may have none
    if isinstance(data, DataSpec):
        yield "Data set", DATASETS[data.name].title


def _extras(training: TrainingSpec) -> Iterator[tuple[str, str]]:
    """What only some jobs ask for."""
    if training.checkpoint_every_steps:
        steps = training.checkpoint_every_steps
        yield "Checkpoint also every", f"{wording.count(steps)} {'step' if steps == 1 else 'steps'}"
    if stopping := training.early_stopping:
        least = f", least change {stopping.min_delta:g}" if stopping.min_delta else ""
        best = ", restores the best weights" if stopping.restore_best_weights else ""
        yield "Early stopping", f"on {stopping.monitor}, patience {stopping.patience}{least}{best}"
    if plateau := training.reduce_lr:
        floor = f", not below {plateau.min_lr:g}" if plateau.min_lr else ""
        rest = f", cooldown {plateau.cooldown}" if plateau.cooldown else ""
        said = f"on {plateau.monitor}, factor {plateau.factor:g}, patience {plateau.patience}"
        yield "Reduced learning rate", said + floor + rest
    if training.plan != "auto":
        yield "Plan", training.plan


def attempt_rows(history: History, record: JobRecord, now: str = RUNNING) -> tuple[AttemptRow, ...]:
    """The attempts' table, the latest first; ``now``: what the running one does."""
    rows = []
    for attempt, following in zip_longest(history.attempts, history.attempts[1:]):
        started, runs = attempt.started, _runs(attempt, following, record)
        rows.append(
            AttemptRow(
                number=attempt.number,
                started_ms=attempt.started_ms,
                worker=f"{attempt.host}, process {attempt.pid}" if attempt.host else wording.NOTHING,
                start=_start(attempt, runs=runs),
                end=now if runs else _end(attempt, following, record),
                exact="" if started is None or not started.resumed_attempt else "exact" if started.exact else "differs",
                differs=", ".join(started.differs) if started else "",
                runs=runs,
            )
        )
    return tuple(reversed(rows))


def _runs(attempt: Attempt, following: Attempt | None, record: JobRecord) -> bool:
    latest = following is None and record.attempt == attempt.number
    return latest and record.state is JobState.RUNNING and not attempt.result


def _start(attempt: Attempt, runs: bool) -> str:
    started = attempt.started
    if started is None:
        return "restoring" if runs else wording.NOTHING
    if not started.resumed_attempt:
        return "the beginning"
    return f"step {wording.count(started.step)}, of attempt {started.resumed_attempt}"


def _end(attempt: Attempt, following: Attempt | None, record: JobRecord) -> str:
    if attempt.result:
        return _outcome(attempt, record.kind)
    said = wording.sentence(_cause(attempt, following, record)).removesuffix(".")
    reached = f" at step {wording.count(attempt.last_step)}" if attempt.last_step else ""
    return said + reached + _done_again(attempt, following)


def _cause(attempt: Attempt, following: Attempt | None, record: JobRecord) -> str:
    """Why an attempt ended that could not write it down: it stays so, whatever a person wished of the job since."""
    if following is None:
        known = record.last_end if record.attempt == attempt.number else ""
        return known or KILLED
    return following.after or KILLED


def _outcome(attempt: Attempt, kind: str) -> str:
    outcome, reason = str(attempt.result.get("outcome")), str(attempt.result.get("reason", ""))
    if outcome == Outcome.STOPPED and not kind_named(kind).trains:
        return "Stopped"
    if outcome == Outcome.STOPPED and "could not be written" in reason:
        return wording.sentence(reason).removesuffix(".")
    if outcome == Outcome.STOPPED:
        step = attempt.result.get("step") or attempt.last_step
        return f"Stopped with a checkpoint at step {wording.count(step)}"
    said = "Finished" if outcome == Outcome.FINISHED else outcome.capitalize()
    return f"{said}: {reason}" if reason else said


def _done_again(attempt: Attempt, following: Attempt | None) -> str:
    """How much a kill has cost. Reports come about once a second, so nobody knows it to the step."""
    if following is None or following.started is None:
        return ""
    lost = attempt.last_step - following.started.step
    if lost <= 0:
        return ""
    return f"; about {wording.count(lost)} {'step' if lost == 1 else 'steps'} done again"


def recovered(history: History, record: JobRecord) -> str:
    """What the latest recovery was like, in a sentence; empty if there was none."""
    if len(history.attempts) < 2 or record.recovering:
        return ""
    before, latest = history.attempts[-2:]
    if before.result or latest.started is None:
        return ""
    start = f"step {wording.count(latest.started.step)}" if latest.started.step else "the beginning"
    return (
        f"Recovered: {_cause(before, latest, record)} in attempt {before.number}, at step "
        f"{wording.count(before.last_step)}; attempt {latest.number} went on from {start}"
        f"{_done_again(before, latest)}."
    )


def result_view(seen: Seen, history: History) -> ResultView | None:
    """The end of a job that has succeeded."""
    result = seen.record.result
    if seen.record.state is not JobState.SUCCEEDED or not result:
        return None
    metrics = result.get("metrics", {})
    accuracy = metrics.get("accuracy")
    exact, exactness = _exactness(history)
    return ResultView(
        accuracy=wording.NOTHING if accuracy is None else wording.percent(accuracy),
        loss=wording.metric(metrics.get("loss")),
        weights_sha256=str(result.get("weights_sha256", "")),
        exact=exact,
        exactness=exactness if kind_named(seen.record.kind).trains else "",
        remarks=remarks(result, seen.record.progress.get("epochs")),
        files=exports(seen.jobdir),
    )


def _exactness(history: History) -> tuple[bool, str]:
    resumed = [a.started for a in history.attempts if a.started is not None and a.started.resumed_attempt]
    if not resumed and len(history.attempts) < 2:
        return True, "Never interrupted"
    if not resumed:
        damaged = any(attempt.rejected for attempt in history.attempts)
        why = "Interrupted, and its checkpoints were damaged" if damaged else "Interrupted before its first checkpoint"
        return True, f"{why}; started again from the beginning"
    differs = sorted({what for started in resumed for what in started.differs})
    if all(started.exact for started in resumed):
        return True, "Exact: the same bits as uninterrupted"
    return False, f"Resumed, but not bit-exact: {', '.join(differs) or 'the environment'} changed"


def evaluation_row(seen: Seen) -> EvaluationRow:
    """An evaluation as a line on its source's page."""
    record = seen.record
    metrics = record.result.get("metrics", {})
    accuracy = metrics.get("accuracy")
    return EvaluationRow(
        id=record.id,
        data=DATASETS[record.data].title if record.data in DATASETS else record.data,
        tone=wording.tone(record),
        label=wording.state_label(record),
        accuracy=wording.NOTHING if accuracy is None else wording.percent(accuracy),
        loss=wording.metric(metrics.get("loss")),
        created_ms=record.created_ms,
    )


def can_evaluate(record: JobRecord) -> bool:
    """Whether the evaluation form is offered."""
    return kind_named(record.kind).trains and record.state in EVALUABLE
