"""Runs everything that proves the promises, for hours, and writes what came of it to docs/proof.md.

    make proof                                    # all parts
    make proof PARTS="chaos-1 exactness"          # some; of the others the last report stays, with its own date
    python -m tests.proof --list                  # what the parts are

Each part is one command, as a person would type it. The report is written after each part, so a proof that was
interrupted goes on with those that are missing. The numbers lie in bench/results/proof.json, the page is made of them.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.record import ROOT, stamp

RESULT = ROOT / "bench" / "results" / "proof.json"
PAGE = ROOT / "docs" / "proof.md"
OUTPUT = ROOT / "tests" / "output" / "proof"
SUMMARY = re.compile(r"^=* ?(\d+ (?:passed|failed|error).*?) in [\d.]+s", re.MULTILINE)
"""How pytest closes a run: what passed and what did not."""
CHAOS_S, FAULTS = 7200, 500


@dataclass(frozen=True)
class Part:
    """One command of the proof, what it shows, and the lines of its output that belong into the report."""

    command: str
    shows: str
    env: Mapping[str, str] = field(default_factory=dict)
    keep: str = r"(?!)"


def _pytest(what: str) -> str:
    return f".venv/bin/pytest -m chaos -s --timeout {CHAOS_S + 900} {what}"


def _chaos(seed: int) -> Part:
    env = {"CHAOS_SECONDS": f"{CHAOS_S}", "CHAOS_FAULTS": f"{FAULTS}", "CHAOS_SEED": f"{seed}"}
    shows = f"{FAULTS} faults at random, seed {seed}: every promise kept, the same bits as an undisturbed twin"
    return Part(_pytest("tests/chaos/test_chaos.py"), shows, env, r"^seed \d+: \d+ faults|^\d+ jobs \(.*|^  +\d+  \S.*")


PARTS = {
    "lint": Part("make lint", "style, types, layers, sizes"),
    "tests": Part("make test", "all tests with real parts, a real browser too"),
    "coverage": Part("make coverage", "each branch of what decides over jobs is taken by a test", keep=r"^TOTAL.*"),
    "chaos-1": _chaos(1),
    "chaos-2": _chaos(2),
    "versions": Part(_pytest("tests/chaos/test_versions.py"), "workers replaced under load, two versions at once"),
    "checker": Part(_pytest("tests/chaos/test_checker_bites.py"), "the checker objects to each way of being wrong"),
    "model-check": Part(
        _pytest("tests/store"), "100,000 transitions of each kind of server agree with the model",
        {"CHAOS_SECONDS": "1200"}, r"^.*: [\d,]+ transitions in .*",
    ),
    "partitions": Part(_pytest("tests/lifecycle"), "a worker that is cut off, and comes back, changes nothing"),
    "exactness": Part(_pytest("tests/training"), "every model with every optimizer, interrupted: the same bits"),
    "wheel": Part("make check-wheel", "an empty environment, the wheel, demo and service from an empty folder"),
    "images": Part("make check-images", "what the Dockerfile does, in empty environments"),
    "benchmarks": Part("make bench", "measured anew: see benchmarks.md"),
}  # fmt: skip


def run(name: str, part: Part) -> dict[str, Any]:
    """Run one part, its output on the terminal and in a file, and say what came of it."""
    print(f"== {name}: {part.command}", flush=True)
    OUTPUT.mkdir(parents=True, exist_ok=True)
    log, began = OUTPUT / f"{name}.txt", time.monotonic()
    with log.open("w") as file:
        process = subprocess.Popen(
            ["bash", "-c", part.command],
            cwd=ROOT, env=os.environ | part.env, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        )  # fmt: skip
        for line in process.stdout or ():
            file.write(line)
            sys.stdout.write(line)
        code = process.wait()
    return {"passed": code == 0, "seconds": round(time.monotonic() - began), **stamp(), **said(part, log)}


def said(part: Part, log: Path) -> dict[str, Any]:
    """What the output of a part says of itself."""
    text = log.read_text()
    summaries = SUMMARY.findall(text)
    kept = [line.strip() for line in text.splitlines() if re.match(part.keep, line)]
    return {"tests": summaries[-1] if summaries else "", "said": kept}


def page(results: Mapping[str, Mapping[str, Any]]) -> str:
    """The report for people."""
    rows, said_by_parts = [], []
    for name, part in PARTS.items():
        found = results.get(name)
        if found is None:
            rows.append(f"| {name} | {part.shows} | not run yet | | | |")
            continue
        verdict = "held" if found["passed"] else "**did not hold**"
        minutes = f"{found['seconds'] / 60:.1f} min"
        rows.append(f"| {name} | {part.shows} | {verdict}{_in_brackets(found['tests'])} | {minutes} | "
                    f"{found['date']} | `{found['commit']}` |")  # fmt: skip
        if found["said"]:
            said_by_parts += [f"\n## {name}\n", "```", *found["said"], "```"]
    machines = sorted({_words_of(found["machine"]) for found in results.values()})
    return "\n".join([HEAD, *rows, "", *(f"Machine: {words}." for words in machines), *said_by_parts, ""])


HEAD = """# The proof

What `make proof` has run last, part by part: hours on one machine. It is written by `tests/proof.py`; each part has
the day and the commit (with a + where files had been changed) that it was run on.

| part | what it shows | it | took | on | commit |
|---|---|---|---|---|---|"""


def _in_brackets(text: str) -> str:
    return f" ({text})" if text else ""


def _words_of(machine: Mapping[str, Any]) -> str:
    libraries = ", ".join(f"{name} {machine[name]}" for name in ("tensorflow", "keras", "celery") if machine.get(name))
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}, "
        f"Python {machine['python']}, {libraries}"
    )


def main() -> int:
    """Run what was asked for, or everything; 1 if anything did not hold."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help="one of the parts; all if none is given")
    parser.add_argument("--list", action="store_true", help="say what the parts are, and run none")
    asked = parser.parse_args()
    if unknown := set(asked.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    if asked.list:
        print("\n".join(f"{name:12} {part.shows}\n{'':12} {part.command}" for name, part in PARTS.items()))
        return 0
    results: dict[str, Any] = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    for name in asked.parts or PARTS:
        results[name] = run(name, PARTS[name])
        RESULT.write_text(json.dumps(results, indent=1) + "\n")
        PAGE.write_text(page(results))
    return 0 if all(results[name]["passed"] for name in asked.parts or PARTS) else 1


if __name__ == "__main__":
    sys.exit(main())
