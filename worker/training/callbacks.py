"""Keras' own callbacks, with their state kept: early stopping and reduce-LR-on-plateau.

    running = Callbacks(callbacks, model)
    running.begin(); running.restore(saved, tensors)       # in this order: their on_train_begin resets them
    logs = running.epoch_end(epoch, logs)

Only kinds whose state is known here are taken; another one would silently restart at each resume.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keepfit.shared.errors import CorruptCheckpoint, InvalidSpec
from keepfit.shared.spec import EarlyStoppingSpec, ReduceLRSpec
from keepfit.worker.training.model_state import Array, Tensor

_STATE: dict[type[Any], tuple[str, ...]] = {
    keras.callbacks.EarlyStopping: ("wait", "stopped_epoch", "best", "best_epoch"),
    keras.callbacks.ReduceLROnPlateau: ("wait", "cooldown_counter", "best"),
}


def build_callbacks(stopping: EarlyStoppingSpec | None, plateau: ReduceLRSpec | None) -> list[Any]:
    """Fresh Keras callbacks for what a spec asks for; each field by its name, since a spec may come to have more."""
    found: list[Any] = []
    if (s := stopping) is not None:
        found.append(
            keras.callbacks.EarlyStopping(
                monitor=s.monitor,
                patience=s.patience,
                min_delta=s.min_delta,
                restore_best_weights=s.restore_best_weights,
            )
        )
    if (p := plateau) is not None:
        found.append(
            keras.callbacks.ReduceLROnPlateau(
                monitor=p.monitor, factor=p.factor, patience=p.patience, min_lr=p.min_lr, cooldown=p.cooldown
            )
        )
    return found


@dataclass(frozen=True)
class EarlyStop:
    """How early stopping ended a training; epochs are counted from 1."""

    monitor: str
    waited: int
    """Epochs without an improvement."""
    stopped_epoch: int | None
    """The last epoch, if it was stopped early."""
    best_epoch: int | None
    """The epoch whose weights are restored, if any are."""

    def in_words(self) -> str:
        """For the log; empty if there is nothing to say."""
        restored = f"weights of epoch {self.best_epoch} are restored" if self.best_epoch else ""
        if not self.stopped_epoch:
            return restored and f"{restored}: their {self.monitor} is the best"
        epochs = f"{self.waited} epoch{'s' if self.waited > 1 else ''}"
        said = f"stopped early at epoch {self.stopped_epoch}: {self.monitor} has not improved for {epochs}"
        return f"{said}; {restored}" if restored else said


class Callbacks:
    """The callbacks of one run, in their order."""

    def __init__(self, callbacks: list[Any], model: Any) -> None:
        unknown = [type(c).__name__ for c in callbacks if type(c) not in _STATE]
        if unknown:
            raise InvalidSpec(f"Callbacks whose state cannot be kept: {', '.join(unknown)}.")
        self._callbacks, self._model = callbacks, model
        for callback in callbacks:
            callback.set_model(model)

    def watched(self) -> list[tuple[str, str]]:
        """The metrics that decide something, each with what decides by it."""
        return [(callback.monitor, type(callback).__name__) for callback in self._callbacks]

    def early_stop(self) -> "EarlyStop | None":
        """What early stopping has come to, once training is over; None if nothing may stop it early."""
        for callback in self._callbacks:
            if isinstance(callback, keras.callbacks.EarlyStopping):
                restored = callback.restore_best_weights and callback.best_weights is not None
                stopped = callback.stopped_epoch + 1 if callback.stopped_epoch else None
                best = callback.best_epoch + 1 if restored else None
                return EarlyStop(callback.monitor, callback.wait, stopped, best)
        return None

    @property
    def stop_training(self) -> bool:
        """Whether one of them has asked for the end of training."""
        return bool(self._model.stop_training)

    def begin(self) -> None:
        """Training starts, or goes on: what resets them comes before ``restore``."""
        self._model.stop_training = False
        for callback in self._callbacks:
            callback.on_train_begin()

    def epoch_end(self, epoch: int, logs: Mapping[str, float]) -> dict[str, float]:
        """An epoch is over; returns its logs with what the callbacks have added."""
        added = dict(logs)
        for callback in self._callbacks:
            callback.on_epoch_end(epoch, added)
        return {name: float(value) for name, value in added.items()}

    def finalise(self) -> None:
        """Training is over: averaged weights (EMA), then best weights, take their place, in the order of ``fit``.

        No checkpoint is made after this: the state to go on from is the one before.
        """
        optimizer = self._model.optimizer
        if optimizer is not None:
            optimizer.finalize_variable_values(self._model.trainable_weights)
        for callback in self._callbacks:
            callback.on_train_end()

    def state(self) -> list[dict[str, Any]]:
        """Their counters, as JSON."""
        return [self._state_of(callback) for callback in self._callbacks]

    def tensors(self) -> list[Tensor]:
        """The best weights that they hold."""
        return [
            Tensor(f"{index:05d}|callback|best_weights/{position}", np.asarray(weight))
            for index, callback in enumerate(self._callbacks)
            for position, weight in enumerate(getattr(callback, "best_weights", None) or ())
        ]

    def restore(self, saved: list[dict[str, Any]], tensors: Mapping[str, Array]) -> None:
        """Put back what ``state`` and ``tensors`` gave. Raises CorruptCheckpoint if they are not of these callbacks."""
        if len(saved) != len(self._callbacks) or not all(map(_fits, saved, self._callbacks)):
            raise CorruptCheckpoint("its callbacks are not those of the job")
        for index, (callback, entry) in enumerate(zip(self._callbacks, saved, strict=True)):
            for name in _STATE[type(callback)]:
                setattr(callback, name, entry[name])
            weights = [a for name, a in tensors.items() if name.startswith(f"{index:05d}|callback|best_weights/")]
            if weights:
                callback.best_weights = [np.array(weight) for weight in weights]
        self._check_weights(tensors)
        self._model.stop_training = any(entry.get("stopped_epoch") for entry in saved)

    def _check_weights(self, tensors: Mapping[str, Array]) -> None:
        shapes = [(weight.shape, str(weight.dtype)) for weight in self._model.get_weights()]
        held = [best for best in (getattr(c, "best_weights", None) for c in self._callbacks) if best]
        taken = [tensor.name for tensor in self.tensors()] == [name for name in tensors if "|callback|" in name]
        if not taken or any([(w.shape, str(w.dtype)) for w in best] != shapes for best in held):
            raise CorruptCheckpoint("the best weights in it are not of the job's model")

    def _state_of(self, callback: Any) -> dict[str, Any]:
        values = {name: getattr(callback, name) for name in _STATE[type(callback)]}
        plain = {name: v if v is None or isinstance(v, int) else float(v) for name, v in values.items()}
        return {"kind": type(callback).__name__, **plain}


def _fits(entry: Mapping[str, Any], callback: Any) -> bool:
    """Whether ``entry`` is what ``state`` gives for such a callback. More than is known here is passed over."""
    counts = {name: entry.get(name, "") for name in _STATE[type(callback)] if name != "best"}
    best = entry.get("best", "")
    whole = all(type(value) is int and value >= 0 for value in counts.values())
    return entry.get("kind") == type(callback).__name__ and whole and (best is None or type(best) in (int, float))
