"""What happens to a job, as values: encoded into the job's Redis stream and its files. Pure.

    fields = encode(EpochEnded(epoch=0, step=113, logs={"loss": 0.5}, seconds=0.4))
    event = decode(fields)

``StateChanged`` is written by the Lua scripts only, in the same script as the state itself.
Floats travel as JSON numbers (repr, so exact).
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from shared.durable import from_json, to_json


@dataclass(frozen=True)
class Event:
    """Something that happened to a job."""

    type: ClassVar[str]


@dataclass(frozen=True)
class StateChanged(Event):
    """The job has a new state, and why."""

    type: ClassVar[str] = "state"
    state: str
    attempt: int
    reason: str = ""
    outcome: str = ""


@dataclass(frozen=True)
class WishChanged(Event):
    """A person wants something else of the job."""

    type: ClassVar[str] = "wish"
    wish: str
    number: int


@dataclass(frozen=True)
class AttemptStarted(Event):
    """An attempt has restored its state and begins to compute."""

    type: ClassVar[str] = "attempt"
    attempt: int
    host: str
    pid: int
    step: int
    """The step that it resumed at; 0 for a fresh start."""
    epoch: int = 0
    batch: int = 0
    resumed_attempt: int = 0
    """The attempt whose checkpoint it took; 0 for a fresh start."""
    exact: bool = True
    differs: tuple[str, ...] = ()
    """What differs from the environment of the attempt resumed from, when not exact."""
    plan: str = ""


@dataclass(frozen=True)
class Progress(Event):
    """Where training is, between two chunks."""

    type: ClassVar[str] = "progress"
    step: int
    steps: int
    epoch: int
    epochs: int
    batch: int
    batches: int
    logs: Mapping[str, float] = field(default_factory=dict)
    """Running means of this epoch: loss, accuracy."""
    steps_per_s: float = 0.0
    eta_s: float | None = None
    phase: str = "train"


@dataclass(frozen=True)
class EpochEnded(Event):
    """One epoch is done, validation included."""

    type: ClassVar[str] = "epoch"
    epoch: int
    step: int
    logs: Mapping[str, float]
    seconds: float


@dataclass(frozen=True)
class CheckpointSaved(Event):
    """A checkpoint is durable."""

    type: ClassVar[str] = "checkpoint"
    step: int
    epoch: int
    batch: int
    bytes: int
    seconds: float


@dataclass(frozen=True)
class CheckpointFailed(Event):
    """A checkpoint could not be written; training goes on."""

    type: ClassVar[str] = "checkpoint-failed"
    step: int
    reason: str
    failures: int


@dataclass(frozen=True)
class CheckpointRejected(Event):
    """A checkpoint was damaged; it was set aside and the one before is used."""

    type: ClassVar[str] = "checkpoint-rejected"
    name: str
    reason: str


@dataclass(frozen=True)
class LogLine(Event):
    """One line of the attempt's log."""

    type: ClassVar[str] = "log"
    text: str
    level: str = "info"


_TYPES: dict[str, type[Event]] = {
    cls.type: cls
    for cls in (
        StateChanged,
        WishChanged,
        AttemptStarted,
        Progress,
        EpochEnded,
        CheckpointSaved,
        CheckpointFailed,
        CheckpointRejected,
        LogLine,
    )
}

_FIELDS = {cls: frozenset(f.name for f in dataclasses.fields(cls)) for cls in _TYPES.values()}


def encode(event: Event) -> dict[str, str]:
    """``event`` as the flat fields of a stream entry: ``type`` and ``data`` (JSON)."""
    return {"type": event.type, "data": to_json(dataclasses.asdict(event))}


def decode(fields: Mapping[str, str]) -> Event | None:
    """The event in ``fields``; None for a type that this version does not know."""
    return event_of(fields.get("type", ""), from_json(fields["data"])) if fields.get("type") in _TYPES else None


def event_of(kind: str, values: Mapping[str, Any]) -> Event | None:
    """The event of the type ``kind`` with these values; None for a type that this version does not know."""
    cls = _TYPES.get(kind)
    if cls is None:
        return None
    known = _FIELDS[cls]
    return cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items() if name in known})
