"""What the templates render: frozen values, every word and number ready. No template computes.

row = job_row(record)
page = JobPage(..., result=result_view(seen, history))     # put together by ``assemble``
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from keepfit.shared.catalog.library import builtin_library
from keepfit.shared.errors import DamagedFile, NewerVersion
from keepfit.shared.jobs.states import JobState, Wish
from keepfit.shared.spec import DataSpec, JobSpec, TrainingSpec, TrainSpec, kind_named
from keepfit.shared.store.records import JobRecord
from keepfit.web.deeds.evaluate import EVALUABLE
from keepfit.web.jobs.attempts import AttemptRow
from keepfit.web.jobs.downloads import exports
from keepfit.web.jobs.history import History, LogTail
from keepfit.web.jobs.live import LiveView, place_of
from keepfit.web.jobs.reading import Seen
from keepfit.web.jobs.results import remarks
from keepfit.web.words import wording
from keepfit.web.words.catalogue import _, n_
from keepfit.web.words.refusals import in_words


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
    primary: str
    primary_of: str
    """Which metric that is, and of which data."""
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
class ResultView:
    """How a job ended: the numbers on its page."""

    primary: str
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
    primary: str
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
    metric: str
    """The title of the metric that counts, and its name among the numbers."""
    metric_name: str
    live: LiveView
    created_ms: int
    submitted_by: str
    """Who has submitted it, and how; empty where nobody wrote it down."""
    wished: str
    """Who has paused, resumed or cancelled it; empty where that is not why it is in its state."""
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
    value, value_of = best_known(record)
    share = place_of(record).share
    return JobRow(
        id=record.id,
        name=record.name,
        kind=record.kind,
        tone=wording.tone(record, now_ms),
        label=wording.state_label(record, now_ms),
        detail=_detail(record),
        percent=round(share * 100, 1),
        done=wording.done(share),
        primary=wording.primary(record.task, value),
        primary_of=value_of,
        created_ms=record.created_ms,
    )


def _detail(record: JobRecord) -> str:
    """What the job does with which data, as far as that is known here."""
    library = builtin_library()
    model, data = _(library.model_title(record.model)), _(library.dataset_title(record.data))
    kind = kind_named(record.kind)
    if not kind.trains:
        return _("{kind} on {data}", kind=_(kind.title), data=data) if data else _(kind.title)
    return _("{model} on {data}", model=model, data=data) if model and data else model or data


def filter_links(counts: Mapping[JobState, int], state: JobState | None, kind: str | None) -> tuple[FilterLink, ...]:
    """The states that there are jobs in; none while that is only one and nobody asked for it."""
    found = [s for s in JobState if counts[s] or s is state]
    if len(found) < 2 and state is None and kind is None:
        return ()
    every = FilterLink(_("All"), sum(counts.values()), None, state is None)
    return every, *(FilterLink(_(wording.LABELS[s]), counts[s], s, s is state) for s in found)


def best_known(record: JobRecord) -> tuple[float | None, str]:
    """The primary metric that says most about the job, and on which data it was measured."""
    task, title = record.task, _(record.task.title)
    final = task.primary_in(record.result.get("metrics", {}))
    if final is not None:
        return float(final), _("test {metric}", metric=title)
    running = task.primary_in(record.progress.get("logs", {})) if place_of(record).reported else None
    return (None, "") if running is None else (float(running), _("training {metric}", metric=title))


def buttons(record: JobRecord, drills: bool) -> tuple[Button, ...]:
    """What a person can do to the job in its state. ``drills``: a worker can be killed, and lives."""
    found: list[Button] = []
    anew = _("Starts from the beginning.")
    kept = _("Goes on from the latest checkpoint.") if record.checkpoint_step else anew
    running, queued = record.state is JobState.RUNNING, record.state is JobState.QUEUED
    if (running or queued) and record.wish is Wish.RUN:
        waits = _("Waits until it is resumed.")
        explained = _("Stops after a checkpoint; nothing is lost.") if running else waits
        found.append(Button("pause", _("Pause"), explained=explained))
    if running and record.wish is Wish.PAUSE:
        found.append(Button("resume", _("Keep running"), "primary"))
    if record.state is JobState.PAUSED:
        found.append(Button("resume", _("Resume"), "primary"))
    if record.state is JobState.FAILED:
        found.append(Button("resume", _("Try again"), "primary", kept))
    if record.state is JobState.CANCELLED:
        found.append(Button("resume", _("Resume"), explained=kept))
    if queued:
        found.append(Button("sooner", _("Sooner"), "quiet", _("Goes before others in the queue: priority one higher.")))
        found.append(Button("later", _("Later"), "quiet", _("Lets others go first: priority one lower.")))
    if record.state in {JobState.RUNNING, JobState.QUEUED, JobState.PAUSED} and record.wish is not Wish.CANCEL:
        found.append(Button("cancel", _("Cancel"), "quiet"))
    if drills and running:
        explained = _("Kills the worker with -9, to see the job recover.")
        found.append(Button("drill", _("Kill this worker"), "danger", explained))
    return tuple(found)


def facts(seen: Seen) -> tuple[tuple[str, str], ...]:
    """What the job was asked to do."""
    try:
        spec = seen.jobdir.spec
    except NewerVersion:
        return ((_("Kind"), seen.record.kind), (_("Spec"), _("needs a newer version of Keepfit")))
    except DamagedFile as exc:
        return ((_("Damaged"), in_words(exc)),)
    if not isinstance(spec, TrainSpec):
        return tuple(_data_set(spec))
    training = spec.training
    priority = seen.record.priority
    return (
        *_data_set(spec),
        (_("Model"), _(builtin_library().model_title(spec.model.name))),
        (_("Epochs"), wording.count(training.epochs)),
        (_("Batch size"), wording.count(training.batch_size)),
        (_("Learning rate"), f"{training.learning_rate:g}"),
        (_("Seed"), str(training.seed)),
        (_("Validation share"), f"{training.validation_share:g}"),
        (_("Checkpoint every"), _("{seconds} s", seconds=f"{training.checkpoint_interval_s:g}")),
        *_extras(training),
        *([(_("Priority"), f"{priority:+d}")] if priority else []),
    )


def _data_set(spec: JobSpec) -> Iterator[tuple[str, str]]:
    data = getattr(spec, "data", None)  # a kind may have none
    if isinstance(data, DataSpec):
        yield _("Data set"), _(builtin_library().dataset_title(data.name))


def _extras(training: TrainingSpec) -> Iterator[tuple[str, str]]:
    """What only some jobs ask for."""
    if training.checkpoint_every_steps:
        yield _("Checkpoint also every"), n_("{n} step", "{n} steps", training.checkpoint_every_steps)
    if stopping := training.early_stopping:
        said = [_("on {metric}", metric=stopping.monitor), _("patience {number}", number=stopping.patience)]
        said += [_("least change {number}", number=f"{stopping.min_delta:g}")] if stopping.min_delta else []
        said += [_("restores the best weights")] if stopping.restore_best_weights else []
        yield _("Early stopping"), ", ".join(said)
    if plateau := training.reduce_lr:
        said = [_("on {metric}", metric=plateau.monitor), _("factor {number}", number=f"{plateau.factor:g}")]
        said += [_("patience {number}", number=plateau.patience)]
        said += [_("not below {number}", number=f"{plateau.min_lr:g}")] if plateau.min_lr else []
        said += [_("cooldown {number}", number=plateau.cooldown)] if plateau.cooldown else []
        yield _("Reduced learning rate"), ", ".join(said)
    if training.plan != "auto":
        yield _("Plan"), training.plan


def result_view(seen: Seen, history: History) -> ResultView | None:
    """The end of a job that has succeeded."""
    result = seen.record.result
    if seen.record.state is not JobState.SUCCEEDED or not result:
        return None
    metrics = result.get("metrics", {})
    task = seen.record.task
    exact, exactness = _exactness(history)
    return ResultView(
        primary=wording.primary(task, task.primary_in(metrics)),
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
        return True, _("Never interrupted")
    if not resumed:
        damaged = any(attempt.rejected for attempt in history.attempts)
        if damaged:
            return True, _("Interrupted, and its checkpoints were damaged; started again from the beginning")
        return True, _("Interrupted before its first checkpoint; started again from the beginning")
    differs = sorted({what for started in resumed for what in started.differs})
    if all(started.exact for started in resumed):
        return True, _("Exact: the same bits as uninterrupted")
    what = ", ".join(differs) or _("the environment")
    return False, _("Resumed, but not bit-exact: {what} changed", what=what)


def evaluation_row(seen: Seen) -> EvaluationRow:
    """An evaluation as a line on its source's page."""
    record = seen.record
    metrics = record.result.get("metrics", {})
    return EvaluationRow(
        id=record.id,
        data=_(builtin_library().dataset_title(record.data)),
        tone=wording.tone(record),
        label=wording.state_label(record),
        primary=wording.primary(record.task, record.task.primary_in(metrics)),
        loss=wording.metric(metrics.get("loss")),
        created_ms=record.created_ms,
    )


def can_evaluate(record: JobRecord) -> bool:
    """Whether the evaluation form is offered."""
    return kind_named(record.kind).trains and record.state in EVALUABLE
