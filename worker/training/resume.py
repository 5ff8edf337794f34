"""Start or go on: one code path. What a checkpoint must agree with before it is taken.

    start = prepare(program, jobdir, attempt, reporter)
    start.model, start.engine, start.callbacks, start.position, start.facts

The model is built the same way in both cases; a checkpoint then replaces every value of its state.
"""

from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from keepfit.shared.checkpoints.manifest import Checkpoint
from keepfit.shared.errors import CorruptCheckpoint, InvalidSpec
from keepfit.shared.jobs.directory import AttemptDir, JobDir
from keepfit.shared.jobs.events import LogLine
from keepfit.shared.reasons import Code, Reason
from keepfit.worker.data import intake
from keepfit.worker.training import bits, meaning, model_state
from keepfit.worker.training.bits import choose_plan
from keepfit.worker.training.callbacks import Callbacks
from keepfit.worker.training.engine import Engine
from keepfit.worker.training.interfaces import Reporter
from keepfit.worker.training.loop import Cursor, Phase, Position, step_of
from keepfit.worker.training.program import Program
from keepfit.worker.training.saving import Loaded, reject, valid
from keepfit.worker.training.source import order, order_digest


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
        DataUnavailable: a part of the data holds what cannot be trained on.
    """
    intake.check_parts(program.parts)
    with ThreadPoolExecutor(1, thread_name_prefix="data") as thread:
        numbers = thread.submit(intake.check_numbers, program.parts)
        data = _Data(numbers, thread.submit(program.digests))
        return _start_that_fits(program, valid(jobdir, reporter, up_to_attempt=attempt.number - 1), data, reporter)


@dataclass(frozen=True)
class _Data:
    """What a thread finds out about the data while the model is built."""

    numbers: Future[None]
    """Raises DataUnavailable for one that is none."""
    digests: Future[dict[str, str]]


def _start_that_fits(program: Program, found: Iterable[Loaded], data: _Data, reporter: Reporter) -> Start:
    unfit: list[tuple[Checkpoint, CorruptCheckpoint]] = []
    for loaded in found:
        try:
            start = _start(program, loaded, data, reporter)
        except CorruptCheckpoint as exc:
            unfit.append((loaded.checkpoint, exc))
            continue
        for checkpoint, reason in unfit:
            reject(checkpoint, str(reason), reporter)
        return start
    if unfit:
        raise _none_fits(unfit[0][1])
    return _start(program, None, data, reporter)


def _start(program: Program, loaded: Loaded | None, data: _Data, reporter: Reporter) -> Start:
    """Build the model and, with a checkpoint, restore it. Raises CorruptCheckpoint if it does not fit."""
    model_state.seed_everything(program.seed)
    model = program.build_model()
    data.numbers.result()
    intake.check_labels_for(model, program.parts)
    plan = loaded.trainer["plan"] if loaded else choose_plan(model, program.plan)
    engine = Engine(model, program, plan)
    callbacks = Callbacks(program.build_callbacks(), model)
    callbacks.begin()
    facts = _facts(program, plan, data.digests.result())
    facts["not_finite"] = meaning.not_finite(model_state.take(model))
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
    model_state.load_state(model, own)
    callbacks.restore(loaded.trainer["callbacks"], loaded.tensors)
    return Position(_cursor(loaded), loaded.history, saved=True)


def _none_fits(why: CorruptCheckpoint) -> InvalidSpec:
    if isinstance(why, _OfAnother):
        return InvalidSpec(why.reason)
    return InvalidSpec(Reason.of(Code.NONE_FITS, error=str(why)))


def _facts(program: Program, plan: str, data_sha256: Mapping[str, str]) -> dict[str, Any]:
    return {
        "seed": program.seed,
        "plan": plan,
        "program_sha256": program.digest,
        "data_sha256": dict(data_sha256),
        "environment": bits.fingerprint(),
        "exact": True,
        "differs": [],
    }


def _check(saved: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    for key, what in (("seed", "seed"), ("program_sha256", "spec")):
        if saved[key] != facts[key]:
            raise _OfAnother(Reason.of(Code.OF_ANOTHER, what=what))
    then, now = saved["data_sha256"], facts["data_sha256"]
    if isinstance(then, str):  # version 0.1 kept those of training and validation, joined
        then = dict(zip(("training", "validation"), then.split("+"), strict=False))
        now = {part: now[part] for part in ("training", "validation") if part in now}
    if changed := [part for part in {**then, **now} if then.get(part) != now.get(part)]:
        raise _OfAnother(Reason.of(Code.OF_OTHER_DATA, parts=" and ".join(changed)))


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
    differs = bits.differences(saved["environment"], facts["environment"])
    facts["differs"] = list(dict.fromkeys([*saved["differs"], *differs]))
    facts["exact"] = not facts["differs"]
    if differs:
        reporter.report(LogLine(f"not bit-exact from here on: {'; '.join(differs)}", level="warning"))
