"""What a checkpoint costs: the stall of training at a snapshot, and the memory beside a plain `fit`.

    python bench/snapshots.py

For models with about 30 and 300 MB of state (weights and Adam's slots). The stall is the time that the training
thread is kept: the snapshot and the hand-over, not the write. Memory is the peak of a process that trains
with checkpoints, against one that runs plain `fit` on the same data. Writes bench/results/snapshots.json.
Targets: under 5 ms at 30 MB, under 30 ms at 300 MB; at most twice the state plus 200 MB more memory.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.record import record

WIDTHS = {"30 MB": 1160, "300 MB": 4550}
SAMPLES, FEATURES, BATCH, EPOCHS, THREADS = 2_048, 1_000, 64, 3, 2


def build(width: int) -> Any:
    """A model whose state is about 12 bytes x (1,000 x width + width x width)."""
    import keras

    dense = [keras.layers.Dense(width, activation="relu") for _ in range(2)]
    model = keras.Sequential([keras.layers.Input((FEATURES,)), *dense, keras.layers.Dense(10, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def data() -> tuple[Any, Any]:
    """Samples and labels."""
    import numpy as np

    random = np.random.default_rng(1)
    return random.random((SAMPLES, FEATURES), dtype="float32"), random.integers(0, 10, SAMPLES)


def plain(width: int) -> dict[str, float]:
    """The peak memory of plain `fit`."""
    x, y = data()
    build(width).fit(x, y, batch_size=BATCH, epochs=EPOCHS, verbose=0)
    return {"peak_mb": _peak_mb()}


def put_stopwatches(stalls_s: list[float], writing_s: list[float]) -> None:
    """From now on, note of each checkpoint how long training stood still, and the CPU time of its writing."""
    from keepfit.worker.training import loop, model_state, run
    from keepfit.worker.training.saving import Saver

    began = 0.0

    def take(model: Any) -> Any:
        nonlocal began
        began = time.perf_counter()
        return model_state.take(model)

    class TimedSaver(Saver):
        def save(self, contents: Any) -> None:
            super().save(contents)
            stalls_s.append(time.perf_counter() - began)

        def _write(self, contents: Any) -> None:
            started = time.thread_time()
            super()._write(contents)
            writing_s.append(time.thread_time() - started)

    loop.take, run.Saver = take, TimedSaver  # type: ignore[attr-defined]


def keepfit(width: int) -> dict[str, float]:
    """The stalls at each snapshot, and the peak memory, of the engine with a checkpoint every few steps."""
    from keepfit.shared.jobs.directory import JobDir
    from keepfit.worker.training import model_state
    from keepfit.worker.training.interfaces import Silent, StopSignal
    from keepfit.worker.training.program import Arrays, CheckpointPolicy, Program
    from keepfit.worker.training.run import Session
    from keepfit.worker.training.train import train

    stalls: list[float] = []
    put_stopwatches(stalls, [])
    x, y = data()
    policy = CheckpointPolicy(interval_s=0.1, each_epoch=False)
    program = Program(lambda: build(width), Arrays(x, y, None), EPOCHS, BATCH, seed=1, policy=policy)
    with tempfile.TemporaryDirectory() as folder:
        jobdir = JobDir(Path(folder), Path(folder))
        train(program, Session(jobdir, jobdir.new_attempt(1), Silent(), StopSignal()))
    peak_mb = _peak_mb()
    steady = stalls[1:]  # the first one is that of step 0, before anything is compiled
    return {
        "state_mb": sum(tensor.nbytes for tensor in model_state.take(build_again(width))) / 1e6,
        "snapshots": len(steady),
        "stall_median_ms": statistics.median(steady) * 1e3,
        "stall_worst_ms": max(steady) * 1e3,
        "peak_mb": peak_mb,
    }


def build_again(width: int) -> Any:
    """The same model with all its variables, to weigh them."""
    from keepfit.worker.training.engine import build as make_variables

    model = build(width)
    x, y = data()
    make_variables(model, (x[:BATCH], y[:BATCH]))
    return model


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def in_a_process(contender: str, width: int) -> dict[str, float]:
    """One contender in a process of its own."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, __file__, contender, str(width)], capture_output=True, text=True, check=True, env=environment
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure, print, write."""
    if len(sys.argv) > 1:
        from keepfit.worker.training import bits

        bits.configure(THREADS)
        contender = {"plain": plain, "keepfit": keepfit}[sys.argv[1]]
        print(json.dumps(contender(int(sys.argv[2]))))
        return
    found = {}
    for name, width in WIDTHS.items():
        ours, fit = in_a_process("keepfit", width), in_a_process("plain", width)
        found[name] = {**ours, "fit_peak_mb": fit["peak_mb"], "more_memory_mb": ours["peak_mb"] - fit["peak_mb"]}
        print(name + ": " + ", ".join(f"{key} {value:.1f}" for key, value in found[name].items()))
    record("snapshots", {"cores": os.cpu_count(), **found})


if __name__ == "__main__":
    main()
