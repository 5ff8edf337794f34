"""Seconds an epoch, side by side: plain `fit` as in a plain script, `fit` with steps_per_execution=64, and Keepfit.

    python bench/engine.py [--repetitions 5] [--models mlp,cnn]     # writes bench/results/engine.json, prints the table

Fashion-MNIST at full size (Debian's package dataset-fashion-mnist), batch 32, two threads. All contenders visit
the samples in the same order, that of the file (the shuffling that `fit` is spared would be slower, not faster).
Each runs in a process of its own, in turn with the others; an epoch is timed from the end of the one before, so
checkpoints, callbacks and all other work count; the first epoch, in which all of them compile, is left out.
"""

import argparse
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.record import record

DATA = Path("/usr/share/datasets")
MODELS = {
    "mlp": 2, "mlp-deep": 2, "mlp-batchnorm-dropout": 2, "mlp-wide": 1, "cnn": 1, "cnn-batchnorm": 1,
    "attention": 1, "lstm": 1, "gru": 1,
}  # fmt: skip
"""Each with the epochs that are timed: more where they are short."""
CONTENDERS = ("fit", "fit-64", "keepfit")
BATCH, THREADS = 32, 2


def layers_of(name: str) -> list[Any]:
    """The layers of one model of the matrix, for 28 x 28 images."""
    from keras import layers

    image, attention = layers.Reshape((28, 28, 1)), layers.MultiHeadAttention(4, 8)
    return {
        "mlp": lambda: [layers.Flatten(), layers.Dense(128, activation="relu")],
        "mlp-wide": lambda: [layers.Flatten(), *(layers.Dense(1024, activation="relu") for _ in range(2))],
        "mlp-batchnorm-dropout": lambda: [
            layers.Flatten(), layers.Dense(128, activation="relu"), layers.BatchNormalization(), layers.Dropout(0.3),
        ],
        "mlp-deep": lambda: [layers.Flatten(), *(layers.Dense(64, activation="relu") for _ in range(4))],
        "cnn": lambda: [
            image, layers.Conv2D(16, 3, activation="relu"), layers.MaxPooling2D(),
            layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(), layers.Flatten(), layers.Dropout(0.3),
        ],
        "cnn-batchnorm": lambda: [
            image, layers.Conv2D(16, 3), layers.BatchNormalization(), layers.ReLU(), layers.MaxPooling2D(),
            layers.Conv2D(32, 3), layers.BatchNormalization(), layers.ReLU(), layers.GlobalAveragePooling2D(),
        ],
        "attention": lambda: [layers.Dense(32), lambda x: attention(x, x), layers.GlobalAveragePooling1D()],
        "lstm": lambda: [layers.LSTM(32)],
        "gru": lambda: [layers.GRU(32)],
    }[name]()  # fmt: skip


def build(name: str, *, scaled: bool, steps: int = 1) -> Any:
    """One compiled model; ``scaled`` if its input is between 0 and 1 already, as a plain script gives it."""
    import keras

    image = keras.layers.Input((28, 28))
    value = image if scaled else keras.layers.Rescaling(1 / 255)(image)
    for layer in [*layers_of(name), keras.layers.Dense(10, activation="softmax")]:
        value = layer(value)
    model = keras.Model(image, value)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], steps_per_execution=steps)
    return model


def by_fit(name: str, steps: int, epochs: int, folder: Path) -> dict[str, Any]:
    """Train with `fit` and `ModelCheckpoint`, as a plain script does."""
    import keras

    from keepfit.shared.catalog.library import builtin_library
    from keepfit.worker.data import datasets

    data = datasets.load(builtin_library().dataset("fashion-mnist"), DATA)
    keras.utils.set_random_seed(1)
    model, ends = build(name, scaled=True, steps=steps), list[float]()
    model.fit(
        data.train.x / 255.0, data.train.y, batch_size=BATCH, epochs=epochs + 1, shuffle=False, verbose=0,
        callbacks=[
            keras.callbacks.ModelCheckpoint(folder / "model.keras"),
            keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: ends.append(time.perf_counter())),
        ],
    )  # fmt: skip
    accuracy = model.evaluate(data.test.x / 255.0, data.test.y, verbose=0)[1]
    return {"seconds": [b - a for a, b in itertools.pairwise(ends)], "accuracy": accuracy}


def by_keepfit(name: str, epochs: int, folder: Path) -> dict[str, Any]:
    """Train with the engine, with its default checkpoints."""
    from keepfit.shared.catalog.library import builtin_library
    from keepfit.shared.jobs.directory import JobDir
    from keepfit.shared.jobs.events import EpochEnded, Event
    from keepfit.worker.data import datasets
    from keepfit.worker.training.interfaces import StopSignal
    from keepfit.worker.training.program import Program
    from keepfit.worker.training.run import Session
    from keepfit.worker.training.train import train

    ends: list[float] = []

    class Clock:
        def report(self, event: Event) -> None:
            if isinstance(event, EpochEnded):
                ends.append(time.perf_counter())

    data = datasets.load(builtin_library().dataset("fashion-mnist"), DATA)
    program = Program(
        lambda: build(name, scaled=False), data.train, epochs + 1, BATCH, seed=1, test=data.test,
        shuffle=False,
    )  # fmt: skip
    jobdir = JobDir(folder, DATA)
    result = train(program, Session(jobdir, jobdir.new_attempt(1), Clock(), StopSignal()))
    seconds = [b - a for a, b in itertools.pairwise(ends)]
    return {"seconds": seconds, "accuracy": result.metrics["accuracy"], "plan": result.extra["plan"]}


def measure(name: str, contender: str, epochs: int) -> dict[str, Any]:
    """One contender on one model, in this process."""
    from keepfit.worker.training import bits

    bits.configure(THREADS)
    with tempfile.TemporaryDirectory() as folder:
        if contender.startswith("fit"):
            return by_fit(name, 64 if contender == "fit-64" else 1, epochs, Path(folder))
        return by_keepfit(name, epochs, Path(folder))


def in_a_process(name: str, contender: str, epochs: int | None = None) -> dict[str, Any]:
    """The same in a process of its own."""
    command = [sys.executable, __file__, "--one", f"{name}/{contender}", "--epochs", str(epochs or MODELS[name])]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, env=environment)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**found, "median_s": statistics.median(found["seconds"])}


def machine() -> dict[str, Any]:
    """Where these numbers come from."""
    from keepfit.worker.training import bits

    return {**bits.machine(), "cores": os.cpu_count(), "threads": THREADS, "load": os.getloadavg()[0]}


def over_repetitions(found: list[dict[str, Any]]) -> dict[str, Any]:
    """What a contender's repetitions come to."""
    return {**found[0], "seconds": [run["seconds"] for run in found],
            "median_s": statistics.median(run["median_s"] for run in found)}  # fmt: skip


def line_of(name: str, row: dict[str, Any]) -> str:
    """One line of the table."""
    fit, ours = row["fit"]["median_s"], row["keepfit"]["median_s"]
    accuracies = f"{row['fit']['accuracy']:.3f} {row['keepfit']['accuracy']:.3f}"
    return (
        f"{name:24}{fit:8.2f}{row['fit-64']['median_s']:8.2f}{ours:9.2f}{fit / ours:8.1f}x  "
        f"{row['keepfit']['plan']:6}{accuracies}"
    )


def main() -> None:
    """Measure everything, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--one")
    parser.add_argument("--epochs", type=int)
    args = parser.parse_args()
    if args.one:
        name, contender = args.one.split("/")
        print(json.dumps(measure(name, contender, args.epochs)))
        return
    print(f"{'seconds an epoch':24}{'fit':>8}{'fit-64':>8}{'keepfit':>9}{'faster':>9}  plan  accuracy fit, keepfit")
    rows = {}
    for name in args.models.split(","):
        rounds = [{who: in_a_process(name, who) for who in CONTENDERS} for _ in range(args.repetitions)]
        rows[name] = {who: over_repetitions([done[who] for done in rounds]) for who in CONTENDERS}
        print(line_of(name, rows[name]), flush=True)
    report = {
        "machine": machine(),
        "date": time.strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "repetitions": args.repetitions,
        "epoch": rows,
    }
    record("engine", report)


if __name__ == "__main__":
    main()
