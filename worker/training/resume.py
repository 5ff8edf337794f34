"""Start or go on: one code path. What a checkpoint must agree with before it is taken.

    start = prepare(program, jobdir, attempt, reporter)
    start.model, start.engine, start.callbacks, start.position, start.facts

The model is built the same way in both cases; a checkpoint then replaces every value of its state.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.errors import InvalidSpec
from shared.events import LogLine
from shared.jobdir import AttemptDir, JobDir
from shared.manifest import Checkpoint
from worker.training import environment, state
from worker.training.callbacks import Callbacks
from worker.training.checkpoints import Loaded, load_newest
from worker.training.engine import Engine
from worker.training.interfaces import Reporter
from worker.training.loop import Cursor, Phase, Position
from worker.training.order import order, order_digest
from worker.training.plans import choose_plan
from worker.training.program import Program

FORMAT = 1


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

    Raises:
        InvalidSpec: the checkpoint belongs to another program or other data.
    """
    digests = _Digest(program)
    loaded = load_newest(jobdir, reporter, up_to_attempt=attempt.number - 1)
    state.seed_everything(program.seed)
    model = program.build_model()
    plan = loaded.trainer["plan"] if loaded else choose_plan(model, program.plan)
    engine = Engine(model, program, plan)
    callbacks = Callbacks(program.build_callbacks(), model)
    callbacks.begin()
    facts = _facts(program, plan, digests.result())
    position = Position()
    if loaded:
        _check(loaded.trainer, facts)
        position = restore(loaded, model, callbacks)
        _check_order(loaded.trainer, program, position.cursor)
        _compare_environment(loaded.trainer, facts, reporter)
    return Start(model, engine, callbacks, position, facts, loaded.checkpoint if loaded else None)


def restore(loaded: Loaded, model: Any, callbacks: Callbacks) -> Position:
    """Put a checkpoint into a freshly built model and its callbacks."""
    own = {name: value for name, value in loaded.tensors.items() if "|callback|" not in name}
    state.restore(model, own)
    callbacks.restore(loaded.trainer["callbacks"], loaded.tensors)
    at = loaded.trainer["cursor"]
    cursor = Cursor(at["epoch"], at["batch"], Phase(at["phase"]))
    return Position(cursor, [dict(row) for row in loaded.trainer["history"]], saved=True)


def _facts(program: Program, plan: str, data_sha256: str) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "seed": program.seed,
        "plan": plan,
        "program_sha256": program.digest,
        "data_sha256": data_sha256,
        "environment": environment.fingerprint(),
        "exact": True,
        "differs": [],
    }


def _check(saved: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    for key, what in (("format", "format"), ("seed", "seed"), ("program_sha256", "spec"), ("data_sha256", "data")):
        if saved[key] != facts[key]:
            raise InvalidSpec(f"The checkpoint was made with another {what}; this job cannot go on from it.")


def _check_order(saved: Mapping[str, Any], program: Program, cursor: Cursor) -> None:
    if saved["order_sha256"] is None or not program.shuffle:
        return
    if order_digest(order(program.seed, cursor.epoch, len(program.train))) != saved["order_sha256"]:
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
