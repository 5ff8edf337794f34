"""What happens to a job, as values: encoded into the job's Redis stream and its files. Pure.

    fields = encode(EpochEnded(epoch=0, step=113, logs={"loss": 0.5}, seconds=0.4))
    event = decode(fields)
    event = from_row(to_row(event, at_ms))         # a line of metrics.jsonl

A type may get new fields, each with a default, and never changes what it means: so a row needs no version.
``StateChanged`` is written by the Lua scripts only, in the same script as the state itself.
Floats travel as JSON numbers (repr, so exact).
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, get_type_hints

from keepfit.shared.actors import Actor, actor_of
from keepfit.shared.durable import from_json, to_json
from keepfit.shared.reasons import NONE, Reason, read


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
    reason: Reason = NONE
    outcome: str = ""
    by: Actor | None = None
    """Who has brought it into that state: the person whose wish it is, or the service."""


@dataclass(frozen=True)
class WishChanged(Event):
    """A person wants something else of the job."""

    type: ClassVar[str] = "wish"
    wish: str
    number: int
    by: Actor | None = None


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

_NEEDED = frozenset({"step", "state", "wish", "name", "text"})
"""Without these a row says nothing; for any other field that is missing something can stand."""
_FIELDS = {cls: (dataclasses.fields(cls), get_type_hints(cls)) for cls in _TYPES.values()}


def encode(event: Event) -> dict[str, str]:
    """``event`` as the flat fields of a stream entry: ``type`` and ``data`` (JSON)."""
    return {"type": event.type, "data": to_json(dataclasses.asdict(event))}


def decode(fields: Mapping[str, str]) -> Event | None:
    """The event in ``fields``; None for one that this version does not know, and for one that cannot be read."""
    try:
        return event_of(fields.get("type"), from_json(fields.get("data", "")))
    except ValueError:
        return None


def to_row(event: Event, at_ms: int) -> str:
    """``event`` as a line of ``metrics.jsonl``, with the time at which it happened."""
    return to_json({"type": event.type, "ms": at_ms, **dataclasses.asdict(event)}) + "\n"


def from_row(line: str) -> Event | None:
    """The event in a line of ``metrics.jsonl``; None for what is none, or of no type that this version knows."""
    try:
        row = from_json(line)
    except ValueError:
        return None
    return event_of(row.get("type"), row) if isinstance(row, dict) else None


def event_of(kind: object, values: object) -> Event | None:
    """The event of the type ``kind`` with these values; None for one that this version does not know or cannot read.

    A field that is missing has a default where the row still says something without it: versions differ, and a
    row must not end a stream. One that is unknown is passed over. ``null`` among the logs was no finite number.
    """
    cls = _TYPES.get(kind) if isinstance(kind, str) else None
    if cls is None or not isinstance(values, Mapping):
        return None
    fields, hints = _FIELDS[cls]
    found: dict[str, Any] = {}
    for f in fields:
        value = values.get(f.name)
        if value is None and f.name in _NEEDED:
            return None
        if value is None and f.default is not dataclasses.MISSING:
            continue
        read, nothing = _READERS[hints[f.name]]
        try:
            found[f.name] = nothing if value is None else read(value)
        except TypeError:
            return None
    return cls(**found)


def _exactly(*types: type) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if type(value) not in types:
            raise TypeError
        return value

    return read


def _logs(value: object) -> dict[str, float]:
    if not isinstance(value, Mapping):
        raise TypeError
    known = {name: math.nan if v is None else v for name, v in value.items()}
    return {name: v for name, v in known.items() if type(v) in (int, float)}


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise TypeError
    return tuple(map(str, value))


_READERS: dict[Any, tuple[Callable[[Any], Any], Any]] = {
    int: (_exactly(int), 0),
    float: (_exactly(float, int), 0.0),
    float | None: (_exactly(float, int), None),
    int | None: (_exactly(int), None),
    str | None: (_exactly(str), None),
    bool: (_exactly(bool), False),
    Actor | None: (actor_of, None),
    str: (_exactly(str), ""),
    Reason: (read, NONE),
    Mapping[str, float]: (_logs, {}),
    tuple[str, ...]: (_texts, ()),
}
"""How a field of each type is read, and what stands for a missing one that has no default of its own."""
