"""Start or go on: one code path. What a checkpoint must agree with before it is taken.

    start = prepare(program, jobdir, attempt, reporter)
    start.model, start.engine, start.callbacks, start.position, start.facts

The model is built the same way in both cases; a checkpoint then replaces every value of its state.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from shared.errors import CorruptCheckpoint, InvalidSpec
from shared.events import LogLine
from shared.jobdir import AttemptDir, JobDir
from shared.manifest import Checkpoint
from worker.training import environment, state
from worker.training.callbacks import Callbacks
from worker.training.checkpoints import Loaded, reject, valid
from worker.training.engine import Engine
from worker.training.interfaces import Reporter
from worker.training.loop import Cursor, Phase, Position, step_of
from worker.training.order import order, order_digest
from worker.training.plans import choose_plan
from worker.training.program import Program


class _OfAnother(CorruptCheckpoint):
    """It is whole, and of another program or other data."""


@dataclass(frozen=True)
class Start:
    """Everything that a run begins with."""

    model: Any
    engine: Engine
    callbacks: Callbacks
    position: Position
    facts: dict[str, Any]
    checkpoint: Checkpoint | None
    """The one resumed from."""

    @property
    def resumed(self) -> dict[str, int] | None:
        """The attempt and step resumed from, or None."""
        found = self.checkpoint
        return {"attempt": found.attempt, "step": found.step} if found else None


def prepare(program: Program, jobdir: JobDir, attempt: AttemptDir, reporter: Reporter) -> Start:
    """Build the model and bring it to where the earlier attempts have left it.

    A checkpoint that is whole and yet does not fit was forged, if an earlier one fits: it is set aside. If none
    does, then it is the program that has changed: nothing is set aside, and nothing begins anew unasked.

    Raises:
        InvalidSpec: the checkpoints belong to another program or other data.
    """
    digest = _Digest(program)
    unfit: list[tuple[Checkpoint, CorruptCheckpoint]] = []
    for loaded in valid(jobdir, reporter, up_to_attempt=attempt.number - 1):
        try:
            start = _start(program, loaded, digest, reporter)
        except CorruptCheckpoint as exc:
            unfit.append((loaded.checkpoint, exc))
            continue
        for checkpoint, reason in unfit:
            reject(checkpoint, str(reason), reporter)
        return start
    if unfit:
        raise _none_fits(unfit[0][1])
    return _start(program, None, digest, reporter)


def _start(program: Program, loaded: Loaded | None, digest: "_Digest", reporter: Reporter) -> Start:
    """Build the model and, with a checkpoint, restore it. Raises CorruptCheckpoint if it does not fit."""
    state.seed_everything(program.seed)
    model = program.build_model()
    plan = loaded.trainer["plan"] if loaded else choose_plan(model, program.plan)
    engine = Engine(model, program, plan)
    callbacks = Callbacks(program.build_callbacks(), model)
    callbacks.begin()
    facts = _facts(program, plan, digest.result())
    if loaded is None:
        return Start(model, engine, callbacks, Position(), facts, None)
    try:
        _check(loaded.trainer, facts)
        _check_position(loaded, program)
        position = restore(loaded, model, callbacks)
    except BaseException:
        engine.close()
        raise
    _compare_environment(loaded.trainer, facts, reporter)
    return Start(model, engine, callbacks, position, facts, loaded.checkpoint)


def restore(loaded: Loaded, model: Any, callbacks: Callbacks) -> Position:
    """Put a checkpoint into a freshly built model and its callbacks. Raises CorruptCheckpoint if it does not fit."""
    own = {name: value for name, value in loaded.tensors.items() if "|callback|" not in name}
    state.restore(model, own)
    callbacks.restore(loaded.trainer["callbacks"], loaded.tensors)
    return Position(_cursor(loaded), loaded.history, saved=True)


def _none_fits(reason: CorruptCheckpoint) -> InvalidSpec:
    if isinstance(reason, _OfAnother):
        return InvalidSpec(str(reason))
    return InvalidSpec(
        f"No checkpoint of this job fits the model that this version of Keepfit and Keras builds: {reason}. They are "
        "kept as they are. Go back to the version that made them to go on, or submit the job anew to begin again."
    )


def _facts(program: Program, plan: str, data_sha256: str) -> dict[str, Any]:
    return {
        "seed": program.seed,
        "plan": plan,
        "program_sha256": program.digest,
        "data_sha256": data_sha256,
        "environment": environment.fingerprint(),
        "exact": True,
        "differs": [],
    }


def _check(saved: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    for key, what in (("seed", "seed"), ("program_sha256", "spec"), ("data_sha256", "data")):
        if saved[key] != facts[key]:
            raise _OfAnother(f"The checkpoint was made with another {what}; this job cannot go on from it.")


def _cursor(loaded: Loaded) -> Cursor:
    at = loaded.trainer["cursor"]
    return Cursor(at["epoch"], at["batch"], Phase(at["phase"]))


def _check_position(loaded: Loaded, program: Program) -> None:
    """Whether the loop can ever be there, and the order of that epoch's samples is still the same."""
    cursor = _cursor(loaded)
    batches = {Phase.TRAIN: range(program.batches), Phase.VALIDATE: [program.batches], Phase.FINALISE: [0]}
    last = program.epochs - (cursor.phase is not Phase.FINALISE)
    if (
        cursor.batch not in batches[cursor.phase]
        or cursor.epoch > last
        or step_of(cursor, program.batches) != loaded.checkpoint.step
    ):
        raise CorruptCheckpoint(f"its position ({cursor.phase}, {cursor.epoch}, {cursor.batch}) is none of this job")
    saved = loaded.trainer
    if saved["order_sha256"] is None or not program.shuffle:
        return
    if order_digest(order(program.seed, cursor.epoch, len(program.train))) != saved["order_sha256"]:
        if saved["environment"].get("numpy") == np.__version__:
            raise CorruptCheckpoint("the order of its samples is none of this job")
        raise InvalidSpec("This version of NumPy shuffles differently from the one that made the checkpoint.")


def _compare_environment(saved: Mapping[str, Any], facts: dict[str, Any], reporter: Reporter) -> None:
    """Once not exact, a job stays so, and says why."""
    differs = environment.differences(saved["environment"], facts["environment"])
    facts["differs"] = list(dict.fromkeys([*saved["differs"], *differs]))
    facts["exact"] = not facts["differs"]
    if differs:
        reporter.report(LogLine(f"not bit-exact from here on: {'; '.join(differs)}", level="warning"))


class _Digest:
    """The digest of the training data, computed while the model is built."""

    def __init__(self, program: Program) -> None:
        self._value = ""
        self._thread = threading.Thread(target=self._compute, args=(program,), name="data-digest", daemon=True)
        self._thread.start()

    def _compute(self, program: Program) -> None:
        parts = [part.digest() for part in (program.train, program.validation) if part is not None]
        self._value = "+".join(parts)

    def result(self) -> str:
        self._thread.join()
        return self._value
