"""What checkpoints cost at the default interval: the MLP on Fashion-MNIST, now with them, now without, in one run.

    python bench/checkpoint_cost.py [--blocks 30]

Two runs of one program differ by several percent on a shared machine, however often they are repeated. So one run
turns its checkpoints on and off every few epochs, and neighbouring blocks are compared. Writes
bench/results/checkpoint_cost.json. Target: under 1 % of training time.
"""

import argparse
import itertools
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.engine import BATCH, DATA, RESULTS, THREADS, build
from shared.events import CheckpointSaved, EpochEnded, Event
from shared.jobdir import JobDir

EPOCHS_A_BLOCK = 8


class Turned:
    """The default policy in every other block of epochs, none in between; also the reporter that counts the epochs."""

    every_steps = None

    def __init__(self) -> None:
        self.ends: list[float] = []
        self.saved = 0

    def report(self, event: Event) -> None:
        """Note an epoch's end or a checkpoint."""
        if isinstance(event, EpochEnded):
            self.ends.append(time.perf_counter())
        self.saved += isinstance(event, CheckpointSaved)

    @property
    def on(self) -> bool:
        """Whether this is a block with checkpoints."""
        return bool(len(self.ends) // EPOCHS_A_BLOCK % 2)

    @property
    def each_epoch(self) -> bool:
        """As the default has it."""
        return self.on

    @property
    def interval_s(self) -> float:
        """As the default has it."""
        return 10.0 if self.on else 1e9


def run(blocks: int) -> Turned:
    """One run of so many blocks, after a block to warm up."""
    from worker.training import datasets, environment
    from worker.training.interfaces import StopSignal
    from worker.training.program import Program
    from worker.training.run import Session, train

    environment.configure(THREADS)
    turned: Any = Turned()
    data, epochs = datasets.load("fashion-mnist", DATA), (blocks + 1) * EPOCHS_A_BLOCK
    program = Program(lambda: build("mlp", scaled=False), data.train, epochs, BATCH, seed=1, policy=turned)
    with tempfile.TemporaryDirectory() as folder:
        jobdir = JobDir(Path(folder), DATA)
        train(program, Session(jobdir, jobdir.new_attempt(1), turned, StopSignal()))
    return turned  # type: ignore[no-any-return]


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=60)
    blocks = parser.parse_args().blocks // 2 * 2
    turned = run(blocks)
    borders = turned.ends[EPOCHS_A_BLOCK - 1 :: EPOCHS_A_BLOCK]
    seconds = [end - begin for begin, end in itertools.pairwise(borders)]
    pairs = list(zip(seconds[::2], seconds[1::2], strict=True))  # with, without
    costs = [with_s / without_s - 1 for with_s, without_s in pairs]
    quartiles = statistics.quantiles(costs, n=4)
    found = {
        "cores": os.cpu_count(),
        "epochs_a_block": EPOCHS_A_BLOCK,
        "pairs_s": pairs,
        "checkpoints": turned.saved,
        "cost": statistics.median(costs),
        "quartiles": [quartiles[0], quartiles[2]],
    }
    print(
        f"cost of checkpoints: {found['cost']:.2%} in the median of {len(costs)} pairs of blocks "
        f"(quartiles {quartiles[0]:.2%} to {quartiles[2]:.2%}; {turned.saved} checkpoints)"
    )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "checkpoint_cost.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
