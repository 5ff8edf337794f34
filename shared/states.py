"""The states of a job, the transitions between them and who may make each. Pure.

    queued --claim--> running --finish--> succeeded | failed | cancelled | paused | queued

A wish (run, pause, cancel) is a flag on the job, never a state: the attempt, or the keeper when
the attempt is dead, turns it into a state. Each row of ``TRANSITIONS`` is one script of
``shared/store/lua``.
"""

from dataclasses import dataclass
from enum import StrEnum


class JobState(StrEnum):
    """Where a job is."""

    QUEUED = "queued"
    """Waits for a free slot; with an attempt behind it people see "recovering"."""
    RUNNING = "running"
    """A worker holds its lease."""
    PAUSED = "paused"
    """Stopped at a checkpoint by a wish, or because it could not go on without a person."""
    SUCCEEDED = "succeeded"
    """All epochs are done, the model is exported."""
    FAILED = "failed"
    """It cannot succeed as it stands; the reason says why."""
    CANCELLED = "cancelled"
    """A person gave it up. Its checkpoints stay until it is deleted."""


class Wish(StrEnum):
    """What a person wants of a job."""

    RUN = "run"
    PAUSE = "pause"
    CANCEL = "cancel"


class Outcome(StrEnum):
    """How one attempt ended."""

    FINISHED = "finished"
    """The job's work is done."""
    STOPPED = "stopped"
    """It obeyed a wish or a drain, with a checkpoint, and lost no step."""
    INTERRUPTED = "interrupted"
    """It died or was killed; the job goes on from its latest checkpoint."""
    FAILED = "failed"
    """An error that trying again would not cure."""


class Actor(StrEnum):
    """Who may make a transition."""

    PERSON = "person"
    OWNER = "owner"
    KEEPER = "keeper"


LARGEST_PRIORITY = 9
"""Priorities go from its negative to itself; higher runs first."""

ENDS = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})
"""States that only a person leaves."""


@dataclass(frozen=True)
class Transition:
    """One allowed change of state: the script that makes it, and by whom."""

    script: str
    source: JobState | None
    target: JobState
    actors: frozenset[Actor]


def _row(script: str, source: JobState | None, target: JobState, *actors: Actor) -> Transition:
    return Transition(script, source, target, frozenset(actors))


_S, _A = JobState, Actor
TRANSITIONS: tuple[Transition, ...] = (
    _row("create", None, _S.QUEUED, _A.PERSON, _A.KEEPER),
    _row("claim", _S.QUEUED, _S.RUNNING, _A.OWNER),
    _row("adopt", None, _S.RUNNING, _A.OWNER),
    _row("adopt", _S.QUEUED, _S.RUNNING, _A.OWNER),
    *(_row("finish", _S.RUNNING, target, _A.OWNER, _A.KEEPER) for target in _S if target is not _S.RUNNING),
    *(_row("reap", _S.RUNNING, target, _A.KEEPER) for target in (_S.QUEUED, _S.PAUSED, _S.CANCELLED, _S.FAILED)),
    _row("request", _S.QUEUED, _S.PAUSED, _A.PERSON),
    _row("request", _S.QUEUED, _S.CANCELLED, _A.PERSON),
    _row("request", _S.PAUSED, _S.QUEUED, _A.PERSON),
    _row("request", _S.PAUSED, _S.CANCELLED, _A.PERSON),
    _row("request", _S.FAILED, _S.QUEUED, _A.PERSON),
    _row("request", _S.CANCELLED, _S.QUEUED, _A.PERSON),
    *(_row("restore", None, state, _A.KEEPER) for state in _S if state is not _S.RUNNING),
)


def allowed(script: str, source: JobState | None, target: JobState) -> bool:
    """Whether ``script`` may take a job from ``source`` (None: no record) to ``target``."""
    return any(t.script == script and t.source == source and t.target == target for t in TRANSITIONS)


def wish_allowed(state: JobState, wish: Wish) -> bool:
    """Whether a person may express ``wish`` about a job in ``state``."""
    if state is JobState.SUCCEEDED:
        return False
    if state in ENDS:
        return wish is Wish.RUN
    return True
