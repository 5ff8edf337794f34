"""The states of a job, the transitions between them and the script that makes each. Pure.

    queued --claim--> running --finish--> succeeded | failed | cancelled | paused | queued

A wish (run, pause, cancel) is a flag on the job, never a state: the attempt, or the keeper when
the attempt is dead, turns it into a state. Each row of ``TRANSITIONS`` is made by one script of
``shared/store/lua``; the other scripts there change no state.
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


class Cause(StrEnum):
    """Whose fault an interruption was."""

    PROCESS = "process"
    """The training process ended or was killed while its worker lived."""
    MEMORY = "memory"
    """The kernel killed it because memory had run out."""
    SILENCE = "silence"
    """It fell silent while its worker lived."""
    WORKER = "worker"
    """Its whole worker was killed, cut off or lost its power: no fault of the job."""
    SERVER = "server"
    """It could not go on talking to the queue server: no fault of the job."""


OWN_FAULTS = frozenset({Cause.PROCESS, Cause.MEMORY, Cause.SILENCE})
"""Interruptions that use up the job's restart budget; the others only make it wait a little."""

LARGEST_PRIORITY = 9
"""Priorities go from its negative to itself; higher runs first."""

ENDS = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})
"""States that only a person leaves."""


@dataclass(frozen=True)
class Transition:
    """One change of state that may be, and the script that makes it. None stands for no record."""

    script: str
    source: JobState | None
    target: JobState | None


_S = JobState
TRANSITIONS: tuple[Transition, ...] = (
    Transition("create", None, _S.QUEUED),
    *(Transition("put_back", None, state) for state in _S if state is not _S.RUNNING),
    *(Transition("forget", state, None) for state in _S),
    *(Transition("remove", state, None) for state in _S),
    Transition("claim", _S.QUEUED, _S.RUNNING),
    Transition("adopt", None, _S.RUNNING),
    Transition("adopt", _S.QUEUED, _S.RUNNING),
    *(Transition("finish", _S.RUNNING, state) for state in _S if state is not _S.RUNNING),
    *(Transition("reap", _S.RUNNING, state) for state in (_S.QUEUED, _S.PAUSED, _S.CANCELLED, _S.FAILED)),
    Transition("request", _S.QUEUED, _S.PAUSED),
    Transition("request", _S.QUEUED, _S.CANCELLED),
    Transition("request", _S.PAUSED, _S.QUEUED),
    Transition("request", _S.PAUSED, _S.CANCELLED),
    Transition("request", _S.FAILED, _S.QUEUED),
    Transition("request", _S.CANCELLED, _S.QUEUED),
)
"""All of them: ``tests/store`` sees each of these made, and none besides."""


def wish_allowed(state: JobState, wish: Wish) -> bool:
    """Whether a person may express ``wish`` about a job in ``state``."""
    if state is JobState.SUCCEEDED:
        return False
    if state in ENDS:
        return wish is Wish.RUN
    return True
