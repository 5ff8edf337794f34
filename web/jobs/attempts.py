"""A job's attempts in words: each a row of the table, the latest recovery a sentence.

rows = attempt_rows(history, record, live.attempt)
"""

from dataclasses import dataclass
from itertools import zip_longest

from keepfit.shared.jobs.states import JobState, Outcome
from keepfit.shared.reasons import NONE, Code, read
from keepfit.shared.spec import kind_named
from keepfit.shared.store.records import JobRecord
from keepfit.web.jobs.history import Attempt, History
from keepfit.web.jobs.live import RUNNING
from keepfit.web.words import wording
from keepfit.web.words.catalogue import _, marked, n_
from keepfit.web.words.reasons import in_words

KILLED = marked("it was killed or lost")
"""Of an attempt that left no word, where the queue server no longer knows why."""
_OUTCOMES = {
    Outcome.FINISHED.value: marked("Finished"),
    Outcome.STOPPED.value: marked("Stopped"),
    Outcome.INTERRUPTED.value: marked("Interrupted"),
    Outcome.FAILED.value: marked("Failed"),
}


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


def attempt_rows(history: History, record: JobRecord, now: str = "") -> tuple[AttemptRow, ...]:
    """The attempts' table, the latest first; ``now``: what the running one does."""
    rows = []
    for attempt, following in zip_longest(history.attempts, history.attempts[1:]):
        started, runs = attempt.started, _runs(attempt, following, record)
        rows.append(
            AttemptRow(
                number=attempt.number,
                started_ms=attempt.started_ms,
                worker=_worker(attempt),
                start=_start(attempt, runs=runs),
                end=(now or _(RUNNING)) if runs else _end(attempt, following, record),
                exact="" if started is None or not started.resumed_attempt else "exact" if started.exact else "differs",
                differs=", ".join(started.differs) if started else "",
                runs=runs,
            )
        )
    return tuple(reversed(rows))


def _worker(attempt: Attempt) -> str:
    return _("{host}, process {pid}", host=attempt.host, pid=attempt.pid) if attempt.host else wording.NOTHING


def _runs(attempt: Attempt, following: Attempt | None, record: JobRecord) -> bool:
    latest = following is None and record.attempt == attempt.number
    return latest and record.state is JobState.RUNNING and not attempt.result


def _start(attempt: Attempt, runs: bool) -> str:
    started = attempt.started
    if started is None:
        return _("restoring") if runs else wording.NOTHING
    if not started.resumed_attempt:
        return _("the beginning")
    return _("{step}, of attempt {number}", step=wording.step(started.step), number=started.resumed_attempt)


def _end(attempt: Attempt, following: Attempt | None, record: JobRecord) -> str:
    if attempt.result:
        return _outcome(attempt, record.kind)
    said = wording.sentence(_cause(attempt, following, record)).removesuffix(".")
    if attempt.last_step:
        said = _("{ended} at {step}", ended=said, step=wording.step(attempt.last_step))
    return said + _done_again(attempt, following)


def _cause(attempt: Attempt, following: Attempt | None, record: JobRecord) -> str:
    """Why an attempt ended that could not write it down: it stays so, whatever a person wished of the job since."""
    if following is None:
        known = record.last_end if record.attempt == attempt.number else NONE
        return in_words(known) or _(KILLED)
    return in_words(following.previous_end) or _(KILLED)


def _outcome(attempt: Attempt, kind: str) -> str:
    outcome, reason = str(attempt.result.get("outcome")), read(attempt.result.get("reason"))
    if outcome == Outcome.STOPPED and not kind_named(kind).trains:
        return _("Stopped")
    if outcome == Outcome.STOPPED and reason.code == Code.STEP_STOPPED_UNSAVED:
        return wording.sentence(in_words(reason)).removesuffix(".")
    if outcome == Outcome.STOPPED:
        step = attempt.result.get("step") or attempt.last_step
        return _("Stopped with a checkpoint at {step}", step=wording.step(step))
    said = _(_OUTCOMES.get(outcome, outcome.capitalize()))
    return f"{said}: {in_words(reason)}" if reason else said


def _done_again(attempt: Attempt, following: Attempt | None) -> str:
    """How much a kill has cost. Reports come about once a second, so nobody knows it to the step."""
    if following is None or following.started is None:
        return ""
    lost = attempt.last_step - following.started.step
    if lost <= 0:
        return ""
    return n_("; about {n} step done again", "; about {n} steps done again", lost)


def recovered(history: History, record: JobRecord) -> str:
    """What the latest recovery was like, in a sentence; empty if there was none."""
    if len(history.attempts) < 2 or record.recovering:
        return ""
    before, latest = history.attempts[-2:]
    if before.result or latest.started is None:
        return ""
    said = _(
        "Recovered: {cause} in attempt {before}, at {step}; attempt {latest} went on from {start}",
        cause=_cause(before, latest, record),
        before=before.number,
        step=wording.step(before.last_step),
        latest=latest.number,
        start=wording.step(latest.started.step) if latest.started.step else _("the beginning"),
    )
    return f"{said}{_done_again(before, latest)}."
