"""The same interrupted training with stock Keras and with Keepfit: which of them ends as if nothing had happened?

    python bench/resume_vs_keras.py        # prints the table, writes bench/results/resume_vs_keras.json

A small model with Dropout and Adam, 6 epochs of 20 steps; the process kills itself with -9 in the middle of an
epoch, once or twice, and is started again. Every contender sees the batches in the same order. Counted are the
optimizer's steps at the end (120 are asked for); compared are the final weights with those of the same
contender left undisturbed.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bench.record import record

EPOCHS, STEPS, BATCH = 6, 20, 16
CONTENDERS = {
    "BackupAndRestore, each epoch": "backup-epoch",
    "BackupAndRestore, every 5 steps": "backup-steps",
    "ModelCheckpoint + load_weights": "weights",
    "ModelCheckpoint .keras + load_model": "keras",
    "Keepfit": "keepfit",
}
KILLS: dict[str, tuple[int, ...]] = {"never": (), "once": (50,), "twice": (50, 30)}
"""After how many steps of each process it dies."""


def arrays() -> tuple[Any, Any]:
    """The data: pictures whose brightness says their class."""
    rng = np.random.default_rng(1)
    y = rng.integers(0, 4, STEPS * BATCH)
    return (rng.random((len(y), 8, 8)) + y[:, None, None]).astype(np.float32), y


def build(*, dropout: bool) -> Any:
    """The model."""
    import keras

    layers = [keras.layers.Flatten(), keras.layers.Dense(32, activation="relu")]
    if dropout:
        layers.append(keras.layers.Dropout(0.3))
    model = keras.Sequential([keras.layers.Input((8, 8)), *layers, keras.layers.Dense(4, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def finished(model: Any) -> dict[str, Any]:
    """What a training has come to."""
    from keepfit.worker.training.model_state import weights_digest

    return {"steps": int(model.optimizer.iterations.numpy()), "weights": weights_digest(model)}


def by_keras(kind: str, folder: Path, die_after: int, dropout: bool) -> dict[str, Any]:
    """Train with `fit` and what Keras has for resuming."""
    import keras

    keras.utils.set_random_seed(1)
    model, begin = build(dropout=dropout), 0
    saved, epochs_done = folder / ("m.keras" if kind == "keras" else "m.weights.h5"), folder / "epochs"
    callbacks: list[Any] = []
    if kind.startswith("backup"):
        frequency: Any = 5 if kind == "backup-steps" else "epoch"
        callbacks.append(keras.callbacks.BackupAndRestore(folder / "backup", save_freq=frequency))
    else:
        if saved.exists():
            begin = int(epochs_done.read_text())
            model = keras.models.load_model(saved) if kind == "keras" else model
            if kind == "weights":
                model.load_weights(saved)
        callbacks.append(keras.callbacks.ModelCheckpoint(saved, save_weights_only=kind == "weights"))
        note = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, _: epochs_done.write_text(str(epoch + 1)))
        callbacks.append(note)
    done = 0

    def die(*_: Any, **__: Any) -> None:
        nonlocal done
        done += 1
        if done == die_after:
            os.kill(os.getpid(), signal.SIGKILL)

    callbacks.append(keras.callbacks.LambdaCallback(on_train_batch_end=die))
    x, y = arrays()
    model.fit(x, y, BATCH, EPOCHS, initial_epoch=begin, shuffle=False, verbose=0, callbacks=callbacks)
    return finished(model)


def by_keepfit(folder: Path, die_after: int, dropout: bool) -> dict[str, Any]:
    """The same with Keepfit, a checkpoint every 5 steps."""
    from keepfit.shared.checkpoints.manifest import newest_valid
    from keepfit.shared.jobs.directory import JobDir
    from keepfit.worker.training.engine import Engine
    from keepfit.worker.training.interfaces import Silent, StopSignal
    from keepfit.worker.training.program import Arrays, CheckpointPolicy, Program
    from keepfit.worker.training.run import Session
    from keepfit.worker.training.saving import load
    from keepfit.worker.training.train import train

    done, real = 0, Engine.train

    def mortal(self: Engine, first: int, count: int) -> dict[str, float]:
        nonlocal done
        if die_after and done + count > die_after:
            os.kill(os.getpid(), signal.SIGKILL)
        done += count
        return real(self, first, count)

    Engine.train = mortal  # type: ignore[method-assign] # the kill must come from inside, between two steps
    program = Program(
        lambda: build(dropout=dropout), Arrays(*arrays()), EPOCHS, BATCH, seed=1, shuffle=False, plan="graph",
        policy=CheckpointPolicy(every_steps=5),
    )  # fmt: skip
    jobdir = JobDir(folder, folder)
    attempt = jobdir.new_attempt(len(jobdir.attempt_dirs()) + 1)
    result = train(program, Session(jobdir, attempt, Silent(), StopSignal(), chunk_steps=1))
    last = newest_valid(jobdir)
    assert last is not None
    (steps,) = (int(value) for name, value in load(last).tensors.items() if name.endswith("/iteration"))
    return {"steps": steps, "weights": result.weights_sha256}


def one(kind: str, folder: Path, die_after: int, dropout: bool) -> dict[str, Any]:
    """One process of one contender."""
    from keepfit.worker.training import bits

    bits.configure(1)
    if kind == "keepfit":
        return by_keepfit(folder, die_after, dropout)
    return by_keras(kind, folder, die_after, dropout)


def in_processes(kind: str, kills: tuple[int, ...], dropout: bool) -> dict[str, Any] | None:
    """Processes one after the other, each but the last of them killed; None if the last one fails."""
    with tempfile.TemporaryDirectory() as folder:
        for die_after in (*kills, 0):
            command = [sys.executable, __file__, "--one", kind, folder, str(die_after), str(int(dropout))]
            env = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
            done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env)
    found: dict[str, Any] | None = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else None
    return found


def verdict(found: dict[str, Any] | None, undisturbed: dict[str, Any] | None) -> str:
    """In words."""
    if found is None or undisturbed is None:
        return "fails"
    if found["steps"] != undisturbed["steps"]:
        return f"{found['steps']} steps of {undisturbed['steps']}"
    return "same bits" if found["weights"] == undisturbed["weights"] else "other weights"


def main() -> None:
    """Run everything, print the table, write the JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--one", nargs=4, metavar=("KIND", "DIR", "DIE_AFTER", "DROPOUT"))
    args = parser.parse_args()
    if args.one:
        kind, folder, die_after, dropout = args.one
        print(json.dumps(one(kind, Path(folder), int(die_after), bool(int(dropout)))))
        return
    rows: dict[str, dict[str, str]] = {}
    print(f"{'killed mid-epoch':38}{'model':12}{'once':>22}{'twice':>22}")
    for dropout in (False, True):
        for title, kind in CONTENDERS.items():
            found = {when: in_processes(kind, kills, dropout) for when, kills in KILLS.items()}
            row = {when: verdict(found[when], found["never"]) for when in ("once", "twice")}
            model = "Dropout" if dropout else "no Dropout"
            rows[f"{title} / {model}"] = row
            print(f"{title:38}{model:12}{row['once']:>22}{row['twice']:>22}", flush=True)
    record("resume_vs_keras", rows)


if __name__ == "__main__":
    main()
