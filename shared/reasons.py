"""Why something is as it is: a code and its arguments, which are stored, and compared; the words come last.

    reason = Reason.of(Code.STEP_STOPPED, step=1240, by="wish")
    str(reason)                          # "stopped at step 1,240 (wish)"
    reason.to_text()                     # '{"code":"step-stopped","args":{"step":1240,"by":"wish"}}', as Redis has it
    read_text(stored)                    # that again; or a sentence of version 0.1, which wrote no codes

``ENGLISH`` has the words of every code, for logs, for the files of a job and for the web side, which says them in other
languages too (``web.words.reasons``). Nothing is ever decided by a sentence: one that has another wording later is
still read, since ``EARLIER`` keeps the old wording.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from string import Formatter
from typing import Any, Self

from keepfit.shared.durable import from_json, to_json


class Code(StrEnum):
    """Every reason that this version gives."""

    SAID = "said"
    """Words of somebody else: of Keras, of the system, of an older or a newer version."""

    # What a person wished.
    RESUMED = "resumed"
    PAUSED = "paused"
    CANCELLED = "cancelled"

    # How an attempt died, as its keeper sees it.
    WORKER_KILLED = "worker-killed"
    PROCESS_KILLED = "process-killed"
    PROCESS_SIGNALLED = "process-signalled"
    PROCESS_ENDED = "process-ended"
    PROCESS_VANISHED = "process-vanished"
    KERNEL_KILLED = "kernel-killed"
    SILENT = "silent"
    BUDGET_USED_UP = "budget-used-up"

    # How an attempt ended by itself, without an end of its job.
    STEP_STOPPED = "step-stopped"
    STEP_STOPPED_UNSAVED = "step-stopped-unsaved"
    LEASE_LOST = "lease-lost"
    WORKER_STOPPED = "worker-stopped"
    WORKER_STOPPED_EARLY = "worker-stopped-early"
    HEARTBEAT_FAILED = "heartbeat-failed"
    ADOPTED = "adopted"

    # What a person has to put right first.
    NO_WRITES = "no-writes"
    DISK_FULL = "disk-full"
    DISK_REFUSED = "disk-refused"
    LITTLE_SPACE = "little-space"
    ATTEMPT_REMOVED = "attempt-removed"
    JOB_DAMAGED = "job-damaged"
    WISH_DAMAGED = "wish-damaged"
    NEWER_JOB = "newer-job"

    # Why a job failed.
    OUT_OF_MEMORY = "out-of-memory"
    LABEL_OUTSIDE = "label-outside"
    XLA_CANNOT = "xla-cannot"
    KERAS_REFUSED = "keras-refused"
    UNEXPECTED = "unexpected"
    NOT_FETCHED = "not-fetched"
    OF_ANOTHER = "of-another"
    OF_OTHER_DATA = "of-other-data"
    NONE_FITS = "none-fits"
    NOTHING_TO_EVALUATE = "nothing-to-evaluate"
    NO_TRAINING = "no-training"

    # Why a queued job does not run yet.
    WAITS_FOR_NEWER = "waits-for-newer"
    WAITS_BACKING_OFF = "waits-backing-off"
    WAITS_NOBODY_ALIVE = "waits-nobody-alive"
    WAITS_NOBODY_TAKES = "waits-nobody-takes"
    WAITS_ONE_BEFORE = "waits-one-before"
    WAITS_SOME_BEFORE = "waits-some-before"
    WAITS_NEXT = "waits-next"
    WAITS_ALL_BUSY = "waits-all-busy"


ENGLISH: Mapping[Code, str] = {
    Code.SAID: "{text}",
    Code.RESUMED: "resumed by a person",
    Code.PAUSED: "paused by a person",
    Code.CANCELLED: "cancelled by a person",
    Code.WORKER_KILLED: "the worker was killed",
    Code.PROCESS_KILLED: "the training process was killed",
    Code.PROCESS_SIGNALLED: "the training process was killed ({signal})",
    Code.PROCESS_ENDED: "the training process ended by itself with status {status:d}",
    Code.PROCESS_VANISHED: "the training process ended unexpectedly",
    Code.KERNEL_KILLED: "the kernel killed the training process because memory had run out",
    Code.SILENT: "no word from its worker for {seconds:g} s",
    Code.BUDGET_USED_UP: "{count:d} attempts in a row ended without a new checkpoint; the last one: {last}",
    Code.STEP_STOPPED: "stopped at step {step:,} ({by})",
    Code.STEP_STOPPED_UNSAVED: (
        "stopped at step {step:,} ({by}); its checkpoint could not be written, an earlier one is kept"
    ),
    Code.LEASE_LOST: "the lease was lost to another worker",
    Code.WORKER_STOPPED: "its worker was stopped",
    Code.WORKER_STOPPED_EARLY: "its worker was stopped before it could write a checkpoint",
    Code.HEARTBEAT_FAILED: "its heartbeat failed: {error}",
    Code.ADOPTED: "went on while the queue server was away",
    Code.NO_WRITES: (
        "the data directory {directory} takes no writes ({error}); free some space or fix its permissions, "
        "then resume the job"
    ),
    Code.DISK_FULL: (
        "The data directory takes no more writes ({error}). Free some space under {directory}, then resume the job: "
        "it goes on from its last checkpoint."
    ),
    Code.DISK_REFUSED: "The disk takes no more writes ({error}). Free some space, then try again.",
    Code.LITTLE_SPACE: (
        "The data directory has {free:,} MB free; this job needs about {needed:,} MB for its checkpoints and its "
        "model. Free some space, then resume it."
    ),
    Code.ATTEMPT_REMOVED: (
        "The directory of this attempt was removed while it ran. Resume the job: it goes on from the newest "
        "checkpoint that is left, or from the beginning."
    ),
    Code.JOB_DAMAGED: (
        "The job {job} is damaged: its job.json cannot be read ({error}). "
        "Restore it from a backup, or remove the job's directory."
    ),
    Code.WISH_DAMAGED: (
        "its wish.json is damaged ({error}), so nobody knows what was wished; resume the job to have it go on"
    ),
    Code.NEWER_JOB: ("This job needs a newer version of Keepfit: it was made by one. Its directory is left as it is."),
    Code.OUT_OF_MEMORY: "Out of memory: the model and its batches do not fit. A smaller batch size needs less.",
    Code.LABEL_OUTSIDE: (
        "Keras refused: a label is {label:d}, but the model tells {classes:d} classes apart, 0 to {highest:d}. "
        "Number the labels from 0."
    ),
    Code.XLA_CANNOT: 'XLA cannot compile {operation}, which this model uses. The plan "graph" can.',
    Code.KERAS_REFUSED: "Keras refused: {text}",
    Code.UNEXPECTED: "Unexpected {error}: {text} (the log of this attempt has the details)",
    Code.NOT_FETCHED: (
        "{title} could not be fetched: is there a network? Without one, put {files} into {folder}, or choose a "
        "data set that is built in."
    ),
    Code.OF_ANOTHER: "The checkpoint was made with another {what}; this job cannot go on from it.",
    Code.OF_OTHER_DATA: (
        "The checkpoint was made with another data set: its {parts} part is not what it was. "
        "Put the old files back, or submit the job anew."
    ),
    Code.NONE_FITS: (
        "No checkpoint of this job fits the model that this version of Keepfit and Keras builds: {error}. They are "
        "kept as they are. Go back to the version that made them to go on, or submit the job anew to begin again."
    ),
    Code.NOTHING_TO_EVALUATE: "The job {job} has no valid checkpoint yet, so there is nothing to evaluate.",
    Code.NO_TRAINING: "The job {job} is no training job, so it has no model to evaluate.",
    Code.WAITS_FOR_NEWER: "it needs a worker of a newer version of Keepfit",
    Code.WAITS_BACKING_OFF: "a pause of {seconds:d} s after repeated interruptions",
    Code.WAITS_NOBODY_ALIVE: "no worker is alive",
    Code.WAITS_NOBODY_TAKES: "no worker takes jobs now",
    Code.WAITS_ONE_BEFORE: "1 job before it",
    Code.WAITS_SOME_BEFORE: "{place:d} jobs before it",
    Code.WAITS_NEXT: "a worker is about to take it",
    Code.WAITS_ALL_BUSY: "workers are busy",
}
"""The words of each code: ``str.format`` with its arguments. An argument ``last`` is a reason itself."""

EARLIER: tuple[tuple[Code, str], ...] = (
    (
        Code.NOT_FETCHED,
        (
            "{title} could not be fetched: is there a network? Without one, put {files} into {folder}, or choose the "
            "built-in mnist-5k."
        ),
    ),
)
"""Wordings of older versions that ``ENGLISH`` has no more; only ever added to."""

BY_A_PERSON = frozenset({Code.RESUMED, Code.PAUSED, Code.CANCELLED})
_NUMBERS = {",": r"-?[\d,]+", "d": r"-?\d+", "g": r"-?[\d.]+(?:e[+-]\d+)?"}
_REASON = "last"


@dataclass(frozen=True)
class Reason:
    """A code and its arguments. No code: there is nothing to say."""

    code: str = ""
    """One of ``Code``, or one that only a newer version knows."""
    args: Mapping[str, Any] = field(default_factory=dict)
    """Numbers, texts and reasons, by the names that they have in ``ENGLISH``."""

    @classmethod
    def of(cls, code: Code, **args: "str | int | float | Reason") -> Self:
        """The reason ``code`` with its arguments."""
        return cls(code.value, args)

    def __bool__(self) -> bool:
        return bool(self.code)

    def __str__(self) -> str:
        """In English."""
        return self.formatted(self.wording)

    @property
    def wording(self) -> str:
        """The words of its code, with places for its arguments; of one that only a newer version knows, none."""
        return ENGLISH[Code(self.code)] if self.code in set(Code) else ""

    def formatted(self, wording: str) -> str:
        """With the words of ``wording``; an argument that is missing, or no number, costs the sentence no more."""
        try:
            return wording.format(**self.args) or self._unknown()
        except (KeyError, IndexError, ValueError, TypeError):
            return self._unknown()

    def to_json(self) -> dict[str, Any]:
        """As an object of JSON."""
        args = {name: arg.to_json() if isinstance(arg, Reason) else arg for name, arg in self.args.items()}
        return {"code": self.code, "args": args} if self.code else {}

    def to_text(self) -> str:
        """As Redis has it: JSON; empty for none."""
        return to_json(self.to_json()) if self.code else ""

    def _unknown(self) -> str:
        """What can be said without the words: an argument that is a text of its own, else the code."""
        return str(self.args.get("text") or self.code)


NONE = Reason()


def said(text: object) -> Reason:
    """The words of somebody else."""
    return Reason.of(Code.SAID, text=str(text)) if str(text) else NONE


def read_json(value: object) -> Reason:
    """The reason in an object of JSON; none where there is none. An argument that could be none of ours is left out."""
    return _read(value, _innermost)


def _innermost(value: object) -> Reason:
    """A reason in a reason, which has none in it: nesting without end is nobody's."""
    return _read(value, lambda _: NONE)


def _read(value: object, inner: Callable[[object], Reason]) -> Reason:
    if not isinstance(value, Mapping) or not isinstance(value.get("code"), str):
        return NONE
    args = value.get("args")
    known = args.items() if isinstance(args, Mapping) else ()
    read = {name: arg for name, raw in known if (arg := inner(raw) if name == _REASON else _plain(raw)) is not None}
    return Reason(_writable(value["code"]), read)


def read_text(text: str) -> Reason:
    """The reason in a text of Redis: JSON, or a sentence of version 0.1."""
    if text.startswith("{"):
        try:
            return read_json(from_json(text)) or said(text)
        except ValueError:
            return said(text)
    return read_sentence(text)


def read(stored: object) -> Reason:
    """The reason in a field of a document or an event, whichever version has written it; none for what is no reason."""
    return read_text(stored) if isinstance(stored, str) else read_json(stored)


def _plain(value: object) -> str | int | float | None:
    if isinstance(value, str):
        return _writable(value)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _writable(text: str) -> str:
    """Half a character cannot be written down, nor sent to a browser."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def read_sentence(sentence: str) -> Reason:
    """What a sentence of an older version says; as it stands if that is nobody's any more."""
    sentence = _writable(sentence)
    for wording in _wordings():
        if found := wording.pattern.fullmatch(sentence):
            args = {name: _value(wording.specs[name], text) for name, text in found.groupdict().items()}
            return Reason(wording.code.value, args)
    return said(sentence)


@dataclass(frozen=True)
class _Wording:
    code: Code
    pattern: re.Pattern[str]
    specs: Mapping[str, str]
    """How each argument is written; ``_REASON`` for one that is a reason."""
    literal: int
    """How many characters stand fast."""


@cache
def _wordings() -> list[_Wording]:
    """All but other people's words; the most particular first, since "Keras refused: ..." fits more than one."""
    known = [(code, words) for code, words in ENGLISH.items() if code is not Code.SAID]
    return sorted((_wording(code, words) for code, words in (*known, *EARLIER)), key=lambda w: -w.literal)


def _wording(code: Code, words: str) -> _Wording:
    pattern, specs, literal = "", {}, 0
    for text, name, spec, _ in Formatter().parse(words):
        pattern += re.escape(text)
        literal += len(text)
        if name:
            specs[name] = _REASON if name == _REASON else spec or ""
            pattern += f"(?P<{name}>{_NUMBERS.get(spec or '', '.*?')})"
    return _Wording(code, re.compile(pattern, re.DOTALL), specs, literal)


def _value(spec: str, text: str) -> Reason | str | int | float:
    if spec == _REASON:
        return read_sentence(text)
    if spec == "g":
        return float(text)
    return int(text.replace(",", "")) if spec in _NUMBERS else text
