"""What checkpoints cost at the default interval: pairs of runs of the MLP on Fashion-MNIST, with and without.

    python bench/checkpoint_cost.py [--pairs 5] [--epochs 30]

The two runs of a pair follow each other, in turn one or the other first, so that a slow moment of the machine
hits both alike. Writes bench/results/checkpoint_cost.json. Target: under 1 % of training time.
"""

import argparse
import json
import os
import statistics

from bench.engine import RESULTS, in_a_process

WITH, WITHOUT = "keepfit", "keepfit-no-checkpoints"


def pair(epochs: int, turned: bool) -> tuple[float, float]:
    """Seconds of all epochs with and without checkpoints."""
    order = (WITHOUT, WITH) if turned else (WITH, WITHOUT)
    seconds = {contender: sum(in_a_process("mlp", contender, epochs)["seconds"]) for contender in order}
    return seconds[WITH], seconds[WITHOUT]


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=30)
    args = parser.parse_args()
    pairs = [pair(args.epochs, turned=bool(number % 2)) for number in range(args.pairs)]
    costs = [with_s / without_s - 1 for with_s, without_s in pairs]
    found = {"cores": os.cpu_count(), "epochs": args.epochs, "pairs_s": pairs, "cost": statistics.median(costs)}
    print(f"cost of checkpoints: {found['cost']:.2%} (each pair: {', '.join(f'{cost:.2%}' for cost in costs)})")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "checkpoint_cost.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
