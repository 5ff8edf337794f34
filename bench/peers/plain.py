"""What many people write: a Keras script with `fit` and `BackupAndRestore`, as a function for a task queue.

    train(folder)        # folder/steps.txt: a line "time pid step" for the first step, and twenty a second

The same data and model as the job of bench/recovery.py.
"""

import os
import time
from pathlib import Path


def train(folder: str) -> None:
    """Train for a very long time."""
    import keras

    from keepfit.shared.catalog.library import builtin_library
    from keepfit.worker.data import datasets

    data = datasets.load(builtin_library().dataset("mnist-5k"), Path(folder))
    model = keras.Sequential(
        [
            keras.layers.Input((28, 28)),
            keras.layers.Flatten(),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    keep = keras.callbacks.BackupAndRestore(os.path.join(folder, "backup"))  # noqa: PTH118 - as people write it
    notes = _Notes(model, Path(folder, "steps.txt"))
    count = keras.callbacks.LambdaCallback(on_train_batch_end=lambda *_, **__: notes.step())
    model.fit(data.train.x / 255.0, data.train.y, batch_size=32, epochs=100_000, verbose=0, callbacks=[keep, count])


class _Notes:
    """Writes down which process has done which step, and when."""

    def __init__(self, model: object, path: Path) -> None:
        self._model, self._path, self._at = model, path, 0.0

    def step(self) -> None:
        """A step is done."""
        if time.time() - self._at > 0.05:
            self._at = time.time()
            with self._path.open("a") as file:
                file.write(f"{self._at} {os.getpid()} {int(self._model.optimizer.iterations)}\n")  # type: ignore[attr-defined]
