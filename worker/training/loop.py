"""The way through a training run: epochs, batches and phases; stops, progress and checkpoints between chunks.

    loop = Loop(parts, position)
    loop.run()                         # returns at the end of training; raises Stopped

Start and resume are the same code: ``position`` is either the very beginning or what a checkpoint
held. The metrics a checkpoint holds are state too, so an epoch resumed in its middle reports the
same numbers. Knows neither files nor jobs.
"""

import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

import keras

from keepfit.shared.jobs.events import EpochEnded, LogLine, Progress
from keepfit.worker.training.callbacks import Callbacks
from keepfit.worker.training.engine import Engine, Pace
from keepfit.worker.training.interfaces import Reporter, StopReason, StopSignal
from keepfit.worker.training.meaning import Diverged, cure
from keepfit.worker.training.model_state import Tensor, take
from keepfit.worker.training.program import Program
from keepfit.worker.training.saving import Contents, Saver
from keepfit.worker.training.source import Orders
from keepfit.worker.training.trainer_state import History

PROGRESS_EVERY_S = 0.25


class Phase(StrEnum):
    """What comes next at a position."""

    TRAIN = "train"
    VALIDATE = "validate"
    """The epoch's steps are done; its validation and its end are not."""
    FINALISE = "finalise"
    """All epochs are done."""


@dataclass(frozen=True)
class Cursor:
    """A position: what has been done is everything before it."""

    epoch: int = 0
    batch: int = 0
    phase: Phase = Phase.TRAIN


@dataclass
class Position:
    """Where a run is, and its history so far."""

    cursor: Cursor = Cursor()
    history: History = field(default_factory=History)
    saved: bool = False
    """Whether a checkpoint of this very position exists."""


class Stopped(Exception):
    """Training obeyed a stop; ``durable`` tells whether its last step is saved."""

    def __init__(self, step: int, durable: bool) -> None:
        super().__init__(step, durable)
        self.step, self.durable = step, durable


@dataclass(frozen=True)
class Parts:
    """What a run is made of."""

    program: Program
    model: Any
    engine: Engine
    callbacks: Callbacks
    saver: Saver
    reporter: Reporter
    stop: StopSignal
    facts: Mapping[str, Any]
    """What each checkpoint records besides: seed, digests, plan, environment."""
    pace: Pace = field(default_factory=Pace)


class Loop:
    """One run through a program."""

    def __init__(self, parts: Parts, position: Position) -> None:
        self._p, self._at = parts, position
        self._batches = parts.engine.batches
        program = parts.program
        self._orders = Orders(program.seed, parts.engine.samples, program.epochs, program.shuffle)
        self._order_sha256: str | None = None
        self._epoch_began = time.monotonic()
        self._reported = -PROGRESS_EVERY_S  # the first progress is reported at once: people wait for it
        self._watches_loss = not isinstance(parts.model.optimizer, keras.optimizers.LossScaleOptimizer)

    @property
    def step(self) -> int:
        """Optimizer steps done."""
        return step_of(self._at.cursor, self._batches)

    def run(self) -> None:
        """Go on to the end of training. Raises Stopped or Diverged."""
        try:
            if not self._at.saved:
                self._p.saver.save(self._contents(take(self._p.model)))
            while self._at.cursor.phase is not Phase.FINALISE:
                if self._at.cursor.phase is Phase.TRAIN:
                    self._train_epoch()
                self._end_epoch()
            self._p.saver.flush()
            self._check_state()
        finally:
            self._orders.close()

    def _train_epoch(self) -> None:
        epoch, batch = self._at.cursor.epoch, self._at.cursor.batch
        order, self._order_sha256 = self._orders.of(epoch)
        self._p.engine.begin_epoch(order, reset=batch == 0)
        self._epoch_began = time.monotonic()
        while batch < self._batches:
            self._obey_stop()
            count = self._chunk(batch)
            began = time.perf_counter()
            logs = self._p.engine.train(batch, count)
            self._p.pace.record(count, time.perf_counter() - began)
            batch += count
            self._at.cursor = Cursor(epoch, batch, Phase.TRAIN if batch < self._batches else Phase.VALIDATE)
            self._check_loss(logs)
            self._check_state()
            self._progress(logs)
            if batch < self._batches and self._p.saver.due(self.step, epoch_end=False):
                self._p.saver.save(self._contents(take(self._p.model)))

    def _chunk(self, batch: int) -> int:
        limit = self._batches - batch
        until_due = self._p.saver.steps_until_due(self.step)
        return self._p.pace.steps(limit if until_due is None else min(limit, until_due))

    def _end_epoch(self) -> None:
        epoch = self._at.cursor.epoch
        trained = self._p.engine.logs()
        found = trained | self._validate()
        self._check_watched(epoch, found)
        logs = self._p.callbacks.epoch_end(epoch, found)
        if epoch == 0 and self._p.engine.left_out:
            names = ", ".join(self._p.engine.left_out)
            self._p.reporter.report(
                LogLine(f"{names}: more than one number, so not shown; training goes on", "warning")
            )
        self._at.history.append(logs)
        done = epoch + 1 == self._p.program.epochs or self._p.callbacks.stop_training
        if done:
            self._progress(trained, last=True)
        self._at.cursor = Cursor(epoch + 1, 0, Phase.FINALISE if done else Phase.TRAIN)
        self._p.reporter.report(EpochEnded(epoch, self.step, logs, time.monotonic() - self._epoch_began))
        if done or self._p.saver.due(self.step, epoch_end=True):
            self._p.saver.save(self._contents(take(self._p.model), self._p.program.task.score(logs)))

    def _validate(self) -> dict[str, float]:
        held = take(self._p.model)
        if self._p.stop.is_set():
            raise self._stopped(held)
        found = self._p.engine.validate(self._p.stop.is_set)
        if found is None:
            raise self._stopped(held)
        return {f"val_{name}": value for name, value in found.items()}

    def _obey_stop(self) -> None:
        if self._p.stop.is_set():
            self._progress(self._p.engine.logs(), last=True)
            raise self._stopped(take(self._p.model))

    def _stopped(self, tensors: list[Tensor]) -> Stopped:
        lost = self._p.stop.reason is StopReason.LOST
        durable = not lost and self._p.saver.save_now(self._contents(tensors))
        self._check_state()
        return Stopped(self.step, durable=durable)

    def _contents(self, tensors: list[Tensor], reached: float | None = None) -> Contents:
        cursor = self._at.cursor
        trainer = {
            **self._p.facts,
            "cursor": asdict(cursor),
            "step": self.step,
            "order_sha256": self._order_sha256 if cursor.batch else None,
            "callbacks": self._p.callbacks.state(),
        }
        state = [*tensors, *self._p.callbacks.tensors()]
        return Contents(self.step, state, trainer, reached, self._at.history.now())

    def _check_loss(self, logs: Mapping[str, float]) -> None:
        loss = logs.get("loss", 0.0)
        if self._watches_loss and not math.isfinite(loss):
            at = f"by step {self.step:,} (epoch {self._at.cursor.epoch + 1})"
            raise Diverged(f"The loss became {loss} {at}. {cure(self._p.program)}")

    def _check_state(self) -> None:
        """Raise what the saver has found on its thread: a state that is no number was not written."""
        if found := self._p.saver.fault:
            raise Diverged(f"By step {found.step:,} {found.what}. {cure(self._p.program)}")

    def _check_watched(self, epoch: int, logs: Mapping[str, float]) -> None:
        """A metric that a callback decides by must be a number: NaN would pass for no improvement, in silence."""
        for monitor, kind in self._p.callbacks.watched():
            value = logs.get(monitor, 0.0)
            skipped = not self._watches_loss and not monitor.startswith("val_")  # as _check_loss
            if not math.isfinite(value) and not skipped:
                why = f"which {kind} watches, so that it cannot decide"
                raise Diverged(f"{monitor} is {value} at the end of epoch {epoch + 1}, {why}. {cure(self._p.program)}")

    def _progress(self, logs: Mapping[str, float], last: bool = False) -> None:
        """Report how far it is, but not too often; ``last``: where it has come to, whenever that is."""
        now = time.monotonic()
        if not last and now - self._reported < PROGRESS_EVERY_S:
            return
        self._reported = now
        cursor, epochs, speed = self._at.cursor, self._p.program.epochs, self._p.pace.steps_per_s
        steps = epochs * self._batches
        eta_s = (steps - self.step) / speed if speed else None
        self._p.reporter.report(
            Progress(self.step, steps, cursor.epoch, epochs, cursor.batch, self._batches, logs, speed, eta_s)
        )


def step_of(cursor: Cursor, batches: int) -> int:
    """Optimizer steps before ``cursor``."""
    return cursor.epoch * batches + cursor.batch
