"""What a change costs: the other benchmarks on an older commit and on this tree, in turn, on one machine.

    python bench/before_after.py REF [--rounds 2] [--only first_step,wishes] [--quick] [--python REF/.venv/bin/python]

REF is unpacked into a temporary folder and run with this tree's environment, or with the Python of its own where that
has packages which this one has not (0.1 needs gunicorn to be measured by `recovery`). Each round runs every benchmark
in both trees, one after the other, the order turned round from round to round, so that what the machine does meanwhile
strikes both. Writes bench/results/before_after.json: for each number its median before and after, the change, and the
noise: how far apart the rounds of one side lie. Lower is better in all of them.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import followed
from bench.engine import MODELS
from bench.followed import Numbers
from bench.record import HISTORY, ROOT, record

WORSE = 0.05
"""A number that is worse by more than this, and by more than the noise, is marked."""


@dataclass(frozen=True)
class Bench:
    """How one benchmark is called."""

    arguments: tuple[str, ...]
    quick: tuple[str, ...]


BENCHES = {
    "first_step": Bench(("--repetitions", "20"), ("--repetitions", "8")),
    "wishes": Bench(("--repetitions", "20"), ("--repetitions", "5")),
    "recovery": Bench(("--of", "keepfit", "--repetitions", "20"), ("--of", "keepfit", "--repetitions", "5")),
    "whole_job": Bench(("--repetitions", "5"), ("--repetitions", "1")),
    "checkpoint_cost": Bench(("--pairs", "120"), ("--pairs", "10")),
}


@dataclass(frozen=True)
class Side:
    """A tree, and the Python that it is run with."""

    tree: Path
    python: str


def run(side: Side, name: str, arguments: tuple[str, ...]) -> Any:
    """One benchmark in one tree, and what it has written."""
    result, history = (side.tree / "bench" / "results" / file for file in (f"{name}.json", HISTORY.name))
    kept = {path: path.read_bytes() for path in (result, history) if path.exists()}
    result.unlink(missing_ok=True)
    try:
        _python(side, f"bench/{name}.py", *arguments)
        return json.loads(result.read_bytes())
    finally:
        for path, content in kept.items():  # a short run must not stand beside the results that are published
            path.write_bytes(content)


def engine(side: Side, quick: bool) -> Numbers:
    """Seconds an epoch of each model; plain `fit` is left out, it is the same before and after."""
    models = {name: epochs for name, epochs in MODELS.items() if not quick or name in ("mlp", "cnn", "lstm")}
    found: Numbers = {}
    for name, epochs in models.items():
        said = _python(side, "bench/engine.py", "--one", f"{name}/keepfit", "--epochs", str(epochs))
        found[f"engine, {name}, s an epoch"] = statistics.median(json.loads(said.splitlines()[-1])["seconds"])
    return found


def _python(side: Side, *words: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(side.tree), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [side.python, *words]
    done = subprocess.run(command, cwd=side.tree, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} failed in {side.tree}:\n{done.stdout}{done.stderr}")
    return done.stdout


def one_round(side: Side, names: list[str], quick: bool) -> Numbers:
    """All numbers of one tree."""
    found: Numbers = {}
    for name in names:
        bench = BENCHES.get(name)
        if bench is None:
            measured = engine(side, quick)
        else:
            measured = followed.of(name, run(side, name, bench.quick if quick else bench.arguments))
        found |= measured
        print(f"  {side.tree.name}: " + ", ".join(f"{key} {value:.3f}" for key, value in measured.items()), flush=True)
    return found


def compared(before: list[Numbers], after: list[Numbers]) -> dict[str, dict[str, Any]]:
    """Medians, change and noise of each number."""
    rows = {}
    for name in after[0]:
        old, new = [found[name] for found in before], [found[name] for found in after]
        was, now = statistics.median(old), statistics.median(new)
        noise = max((max(side) - min(side)) / statistics.median(side) for side in (old, new))
        change = now / was - 1
        rows[name] = {
            "before": was, "after": now, "change": change, "noise": noise, "worse": change > max(WORSE, noise),
        }  # fmt: skip
    return rows


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ref")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", default=",".join((*BENCHES, "engine")))
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, three models")
    parser.add_argument("--python", default=sys.executable, help="of REF")
    args = parser.parse_args()
    sides: dict[str, list[Numbers]] = {"before": [], "after": []}
    with tempfile.TemporaryDirectory() as folder:
        old = Path(folder, "before")
        old.mkdir()
        archive = subprocess.run(["git", "archive", args.ref], cwd=ROOT, stdout=subprocess.PIPE, check=True)
        subprocess.run(["tar", "-x"], cwd=old, input=archive.stdout, check=True)
        for number in range(args.rounds):
            order = [("before", Side(old, args.python)), ("after", Side(ROOT, sys.executable))]
            for name, side in order if number % 2 == 0 else reversed(order):
                print(f"round {number + 1}, {name}", flush=True)
                sides[name].append(one_round(side, args.only.split(","), args.quick))
    rows = compared(sides["before"], sides["after"])
    for name, row in rows.items():
        mark = "  WORSE" if row["worse"] else ""
        print(f"{name:44}{row['before']:9.3f}{row['after']:9.3f}{row['change']:+8.1%}  noise {row['noise']:.1%}{mark}")
    report = {
        "ref": args.ref, "date": time.strftime("%Y-%m-%d"), "machine": platform.machine(), "cores": os.cpu_count(),
        "rounds": args.rounds, "quick": args.quick, "load": os.getloadavg()[0], "numbers": rows,
    }  # fmt: skip
    record("before_after", report)


if __name__ == "__main__":
    main()
