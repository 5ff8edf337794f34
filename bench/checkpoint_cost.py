"""What checkpoints cost at the default interval: the MLP on Fashion-MNIST, now with them, now without, in one run.

    python bench/checkpoint_cost.py [--pairs 120]

Two runs of one program differ by several percent on a shared machine, however often they are repeated. So one run
turns its checkpoints on and off every few epochs (off, on, on, off, so that no drift favours one side), and
neighbouring blocks are compared: by the clock, and by the CPU time of all threads of the process, writer included,
which other tenants of the machine disturb less. Beside it what is known of each checkpoint: how long training stood
still for it, and the CPU time of the thread that wrote it. Writes bench/results/checkpoint_cost.json. Target: under
1 % of training time.
"""

import argparse
import itertools
import math
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.engine import BATCH, DATA, THREADS, build
from bench.record import record
from bench.snapshots import put_stopwatches
from keepfit.shared.jobs.directory import JobDir
from keepfit.shared.jobs.events import CheckpointSaved, EpochEnded, Event

EPOCHS_A_BLOCK = 6


class Turned:
    """The default policy in every other block of epochs, none in between; also the reporter that counts the epochs."""

    every_steps = None

    def __init__(self) -> None:
        self.ends: list[tuple[float, float]] = []
        """Of each epoch: wall clock, CPU time."""
        self.saved = 0
        self.stalls_s: list[float] = []
        self.writing_s: list[float] = []
        """Of each checkpoint."""

    def report(self, event: Event) -> None:
        """Note an epoch's end or a checkpoint."""
        if isinstance(event, EpochEnded):
            self.ends.append((time.perf_counter(), time.process_time()))
        self.saved += isinstance(event, CheckpointSaved)

    @property
    def on(self) -> bool:
        """Whether this is a block with checkpoints."""
        return len(self.ends) // EPOCHS_A_BLOCK % 4 in (2, 3)  # the first block of all is the warm-up

    @property
    def each_epoch(self) -> bool:
        """As the default has it."""
        return self.on

    @property
    def interval_s(self) -> float:
        """As the default has it."""
        return 10.0 if self.on else 1e9


def run(pairs: int) -> Turned:
    """One run of so many pairs of blocks, after a block to warm up."""
    from keepfit.shared.catalog.library import builtin_library
    from keepfit.worker.data import datasets
    from keepfit.worker.training import bits
    from keepfit.worker.training.interfaces import StopSignal
    from keepfit.worker.training.program import Program
    from keepfit.worker.training.run import Session
    from keepfit.worker.training.train import train

    bits.configure(THREADS)
    turned: Any = Turned()
    put_stopwatches(turned.stalls_s, turned.writing_s)
    data, epochs = datasets.load(builtin_library().dataset("fashion-mnist"), DATA), (2 * pairs + 1) * EPOCHS_A_BLOCK
    program = Program(lambda: build("mlp", scaled=False), data.train, epochs, BATCH, seed=1, policy=turned)
    with tempfile.TemporaryDirectory() as folder:
        jobdir = JobDir(Path(folder), DATA)
        train(program, Session(jobdir, jobdir.new_attempt(1), turned, StopSignal()))
    return turned  # type: ignore[no-any-return]


def costs(borders: list[float]) -> dict[str, float]:
    """What a block with checkpoints takes more than its neighbour without: the median, and its 95 % interval."""
    blocks = [end - begin for begin, end in itertools.pairwise(borders)]
    found = []
    for index in range(0, len(blocks) - 1, 2):
        first, second = blocks[index : index + 2]
        with_s, without_s = (second, first) if index % 4 == 0 else (first, second)
        found.append(with_s / without_s - 1)
    found.sort()
    # The ranks between which the true median lies in 95 of 100 cases, whatever the distribution.
    half = 0.98 * math.sqrt(len(found))
    low, high = max(0, math.floor(len(found) / 2 - half)), min(len(found) - 1, math.ceil(len(found) / 2 + half))
    return {"median": statistics.median(found), "low": found[low], "high": found[high]}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=120)
    pairs = parser.parse_args().pairs
    turned = run(pairs)
    borders = turned.ends[EPOCHS_A_BLOCK - 1 :: EPOCHS_A_BLOCK]
    found = {
        "cores": os.cpu_count(),
        "pairs": pairs,
        "block_s": (borders[-1][0] - borders[0][0]) / (2 * pairs),
        "checkpoints": turned.saved,
        "stall_ms": statistics.fmean(turned.stalls_s) * 1e3,
        "writing_ms": statistics.fmean(turned.writing_s) * 1e3,
        "accounted": (sum(turned.stalls_s) + sum(turned.writing_s)) / ((borders[-1][0] - borders[0][0]) / 2),
        "wall": costs([wall for wall, _ in borders]),
        "cpu": costs([cpu for _, cpu in borders]),
    }
    for clock in ("wall", "cpu"):
        print(f"cost of checkpoints, {clock} time: {found[clock]}")
    print(f"stall {found['stall_ms']:.2f} ms, writing {found['writing_ms']:.1f} ms, together {found['accounted']:.2%}")
    record("checkpoint_cost", found)


if __name__ == "__main__":
    main()
