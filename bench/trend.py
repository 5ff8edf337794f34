"""How the followed numbers of the benchmarks went over time: a table for the page, from the lines of the history.

    rows = read_history()
    table_lines = trend(rows)

Only what was measured on like machines is compared. A step of more than STEP is marked: it wants to be explained.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.record import HISTORY

STEP = 0.20
"""Slower by more than this since the time before."""
SHOWN = 5
"""So many of the latest values of each number."""


@dataclass(frozen=True)
class Value:
    """One number, once measured."""

    date: str
    commit: str
    value: float


def read_history(path: Path = HISTORY) -> list[dict[str, Any]]:
    """Every line of the history, oldest first."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def series(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], list[Value]]:
    """The values of each number on each machine, oldest first."""
    found: dict[tuple[str, str], list[Value]] = defaultdict(list)
    for row in rows:
        machine = f"{row['machine'].get('cpu') or 'a machine'}, {row['machine'].get('cores', '?')} cores"
        for name, value in row["numbers"].items():
            found[name, machine].append(Value(row["date"], row["commit"], value))
    return dict(found)


def step_of(values: Sequence[Value]) -> float | None:
    """How much slower the latest value is than the one before it; None where there is nothing to compare."""
    if len(values) < 2 or not values[-2].value:
        return None
    return values[-1].value / values[-2].value - 1


def trend(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The part of the page."""
    yield "## Over time\n"
    yield (
        "Each run of a benchmark adds a line with its day, commit and machine to "
        "[history.jsonl](../bench/results/history.jsonl). The latest values of each number, oldest first; lower is "
        f"better. A step of more than {STEP:.0%} is bold: a change that explains it belongs beside it, or an issue.\n"
    )
    for machine in sorted({machine for _, machine in series(rows)}):
        lines = ["| number | values | last step | measured |", "|---|---|---|---|"]
        for (name, where), values in series(rows).items():
            if where == machine:
                lines.append(_line(name, values))
        yield f"{machine}:\n"
        yield "\n".join(lines) + "\n"


def _line(name: str, values: Sequence[Value]) -> str:
    step, shown = step_of(values), values[-SHOWN:]
    words = "" if step is None else f"{step:+.0%}"
    words = f"**{words}**" if step is not None and step > STEP else words
    last = shown[-1]
    return f"| {name} | {', '.join(f'{v.value:.3g}' for v in shown)} | {words} | {last.date}, `{last.commit}` |"
