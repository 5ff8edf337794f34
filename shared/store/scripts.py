"""A typed row for each script of ``lua/``: its arguments by name, and what it answers.

    link.run(scripts.Bump(job_id="4f3a", owner=owner, attempt=3, floor=7))     # 8, or LeaseState.LOST

The fields of a row are the names by which its script knows its arguments: ``text_of`` writes the head that gives each
of them its number, so that neither side counts, and ``ARGV`` and ``KEYS`` stand nowhere else. The last field may be
many: a list in the script. Knows what is asked and answered; leaves asking to ``link``, and meaning to the callers.
"""

import dataclasses
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Generic, Literal, NamedTuple, TypeVar, get_type_hints

from keepfit.shared.actors import How
from keepfit.shared.jobs.states import Cause, JobState, Outcome, Wish
from keepfit.shared.reasons import Reason, read_text
from keepfit.shared.store import keys
from keepfit.shared.store.records import LeaseState, Lost

_LUA = Path(__file__).parent / "lua"
Argument = str | int
Names = tuple[str, ...]
"""Many of a kind."""
Pairs = tuple[tuple[str, Argument], ...]
"""Names and values, in turn in the script's list."""
Answer = TypeVar("Answer", covariant=True)


@dataclass(frozen=True, kw_only=True)
class Script(Generic[Answer]):
    """One call of one script. ``read`` is what its raw answer means."""

    def read(self, raw: Any) -> Answer:
        """The answer, typed."""
        raise NotImplementedError

    def arguments(self) -> list[Argument]:
        """The values, in the order of the head."""
        return [part for field in dataclasses.fields(self) for part in _flat(getattr(self, field.name))]


class _Done(Script[None]):
    """Whoever asks need not know more."""

    def read(self, raw: Any) -> None:  # noqa: ARG002
        return None


class _YesNo(Script[bool]):
    def read(self, raw: Any) -> bool:
        return bool(raw)


@dataclass(frozen=True, kw_only=True)
class _Fenced(Script[Answer]):
    """Of one attempt: it has effect only while its owner holds the lease."""

    job_id: str
    owner: str
    attempt: int


@dataclass(frozen=True, kw_only=True)
class Create(Script[Literal["created", "known", "another"]]):
    """A job that a person submitted."""

    job_id: str
    created_ms: int
    record: Pairs

    def read(self, raw: Any) -> Literal["created", "known", "another"]:
        """What became of it."""
        answer: Literal["created", "known", "another"] = raw
        return answer


class Claimed(NamedTuple):
    """The job that a claim took."""

    job_id: str
    attempt: int
    previous_end: Reason


@dataclass(frozen=True, kw_only=True)
class Claim(Script[Claimed | None]):
    """The hinted job, else the best one."""

    owner: str
    hint: str
    """A job id; empty for none."""
    lease_ms: int
    reads: int
    """The highest version of a spec that the worker reads."""
    slots: int | None
    """How many jobs of long kinds the worker may run; None for any number."""
    kinds: Names

    def read(self, raw: Any) -> Claimed | None:
        """Nothing when no job is ready."""
        return Claimed(raw[0], int(raw[1]), read_text(raw[2])) if raw else None


@dataclass(frozen=True, kw_only=True)
class Bump(_Fenced[int | Lost]):
    """A higher number for an attempt."""

    floor: int
    """The highest number on disk."""

    def read(self, raw: Any) -> int | Lost:
        """The new number."""
        return LeaseState.LOST if raw == LeaseState.LOST else int(raw)


class Renewed(NamedTuple):
    """What a heartbeat is answered with."""

    lease: LeaseState
    wish: str


@dataclass(frozen=True, kw_only=True)
class Renew(_Fenced[Renewed]):
    """A heartbeat."""

    lease_ms: int

    def read(self, raw: Any) -> Renewed:
        """How the lease is, and what is wished."""
        return Renewed(LeaseState(raw[0]), raw[1])


@dataclass(frozen=True, kw_only=True)
class Report(_Fenced[LeaseState]):
    """Events."""

    events: Pairs
    """Their types and data (JSON)."""

    def read(self, raw: Any) -> LeaseState:
        """Held or lost."""
        return LeaseState(raw)


@dataclass(frozen=True, kw_only=True)
class Finish(_Fenced[JobState | Lost]):
    """The end of an attempt."""

    outcome: Outcome
    reason: Reason
    cause: Cause
    """Of an interruption."""
    result: str
    """JSON; empty for none."""
    budget: int
    """Own faults in a row that are allowed."""
    backoff_ms: int
    by: How
    """Whether the attempt's own worker says so, or a keeper."""
    pause_with_reason: bool
    """Whatever the wish: it cannot go on without a person."""

    def read(self, raw: Any) -> JobState | Lost:
        """The state after it."""
        return LeaseState.LOST if raw == LeaseState.LOST else JobState(raw)


@dataclass(frozen=True, kw_only=True)
class Reap(Script[dict[str, JobState]]):
    """The end of every attempt whose lease has lapsed."""

    reason: Reason
    budget: int
    backoff_ms: int
    silent: Names
    """The jobs whose worker lives."""

    def read(self, raw: Any) -> dict[str, JobState]:
        """The new state of each job."""
        return {job_id: JobState(state) for job_id, state in zip(raw[::2], raw[1::2], strict=True)}


@dataclass(frozen=True, kw_only=True)
class Adopt(_Fenced[LeaseState]):
    """A live owner takes its job back."""

    lease_ms: int
    record: Pairs

    def read(self, raw: Any) -> LeaseState:
        """Held or lost."""
        return LeaseState(raw)


class Requested(NamedTuple):
    """What became of a wish: done, and the state after it; refused, and the state as it is; no such job."""

    how: Literal["done", "refused", "missing"]
    state: str


@dataclass(frozen=True, kw_only=True)
class Request(Script[Requested]):
    """A person's wish."""

    job_id: str
    wish: Wish
    wish_number: int
    by: str
    """Who has made it (JSON); empty where nobody knows."""
    priority: int | None
    """None for unchanged."""
    only_priority: bool

    def read(self, raw: Any) -> Requested:
        """What became of it."""
        return Requested(raw[0], raw[1])


@dataclass(frozen=True, kw_only=True)
class PutBack(_YesNo):
    """A job that Redis does not know."""

    job_id: str
    state: JobState
    reason: Reason
    record: Pairs


@dataclass(frozen=True, kw_only=True)
class Forget(_YesNo):
    """A record that is to be put back."""

    job_id: str
    damaged: bool
    """Whether some detail of it cannot be read."""


@dataclass(frozen=True, kw_only=True)
class Remove(_Done):
    """A job whose directory is gone."""

    job_id: str


@dataclass(frozen=True, kw_only=True)
class Drill(_YesNo):
    """The worker of a job is to kill itself."""

    job_id: str
    kept_ms: int


@dataclass(frozen=True, kw_only=True)
class Beat(_Done):
    """A worker lives."""

    name: str
    host: str
    pid: int
    slots: int
    busy: int
    takes: bool
    silent_ms: int
    """A worker that has not beaten for so long is not alive."""


@dataclass(frozen=True, kw_only=True)
class Leave(_Done):
    """A worker stops."""

    name: str


@dataclass(frozen=True, kw_only=True)
class TopUp(Script[int]):
    """How many kicks to publish."""

    gap_ms: int
    most: int

    def read(self, raw: Any) -> int:
        """So many."""
        return int(raw)


@dataclass(frozen=True, kw_only=True)
class Lock(_YesNo):
    """The right to compare."""

    who: str
    lock_ms: int


@dataclass(frozen=True, kw_only=True)
class Mend(Script[dict[str, str]]):
    """Jobs that are not where their record says."""

    repair: bool
    job_ids: Names

    def read(self, raw: Any) -> dict[str, str]:
        """What was wrong with each of those where something was, one word."""
        return dict(zip(raw[::2], raw[1::2], strict=True))


@dataclass(frozen=True, kw_only=True)
class Sound(Script[list[str]]):
    """Keys of the wrong type."""

    repair: bool

    def read(self, raw: Any) -> list[str]:
        """Their names."""
        return list(raw)


ROWS: tuple[type[Script[Any]], ...] = (
    *(Create, Claim, Bump, Renew, Report, Finish, Reap, Adopt, Request),
    *(PutBack, Forget, Remove, Drill, Beat, Leave, TopUp, Lock, Mend, Sound),
)
"""One for each file of ``lua/`` but ``common.lua``."""


def ms(seconds: float) -> int:
    """``seconds`` as the scripts take a duration."""
    return round(seconds * 1000)


def name_of(row: type[Script[Any]]) -> str:
    """The name of its script: ``put_back`` for ``PutBack``."""
    return re.sub(r"(?<=.)([A-Z])", r"_\1", row.__name__).lower()


def common_text() -> str:
    """What stands before every script: the names of the keys, and what more than one transition does."""
    names, numbers = zip(*((name, f"KEYS[{n}]") for n, name in enumerate(keys.SCRIPT_KEYS, 1)), strict=True)
    return f"local {', '.join(names)} = {', '.join(numbers)}\n{(_LUA / 'common.lua').read_text()}"


def text_of(row: type[Script[Any]]) -> str:
    """The whole text of its script: the common part, the names of the arguments, its file."""
    head = "\n".join(_head(row))
    return f"{common_text()}\n{head}\n{(_LUA / f'{name_of(row)}.lua').read_text()}"


def _head(row: type[Script[Any]]) -> Iterator[str]:
    """One line of Lua for each argument."""
    hints = get_type_hints(row)
    fields = dataclasses.fields(row)
    for n, field in enumerate(fields, 1):
        hint = hints[field.name]
        if hint in (Names, Pairs):
            assert n == len(fields), f"{row.__name__}.{field.name} takes all arguments that are left"
            yield f"local {field.name} = {{}}; for i = {n}, #ARGV do {field.name}[i - {n - 1}] = ARGV[i] end"
        else:
            yield f"local {field.name} = {_lua_value(hint, f'ARGV[{n}]')}"


def _lua_value(hint: Any, argument: str) -> str:
    if hint is bool:
        return f"{argument} == '1'"
    if hint in (int, int | None):  # nothing where there is none
        return f"tonumber({argument})"
    assert hint in (str, Reason) or issubclass(hint, StrEnum), hint
    return argument


def _flat(value: Any) -> Iterator[Argument]:
    """As the server takes it: ``True`` as 1, None as nothing, many as many."""
    match value:
        case tuple():
            for part in value:
                yield from _flat(part)
        case None:
            yield ""
        case bool():
            yield int(value)
        case StrEnum():
            yield value.value
        case Reason():
            yield value.to_text()
        case _:
            yield value
