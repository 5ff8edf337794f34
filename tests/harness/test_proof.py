"""The proof: it leaves out nothing that is marked for it, and its report says what was seen."""

import re
import subprocess
from pathlib import Path

from tests.harness.processes import ROOT
from tests.proof import PARTS, Part, page, said

CHAOS = """
seed 1: 301 faults
     7  kill the web side
   294  kill a worker
41 jobs (30 succeeded, 11 cancelled), 77 submits, 240 attempts, 180 of them recoveries
======= 1 passed, 5 deselected in 1242.10s (0:20:42) =======
"""


def test_nothing_that_is_marked_for_it_is_left_out() -> None:
    """Each file with a test of the mark `chaos` lies in a folder that a part of the proof runs."""
    marked = [p for p in (ROOT / "tests").rglob("test_*.py") if "pytest.mark.chaos" in p.read_text()]
    run = [ROOT / word for part in PARTS.values() for word in part.command.split() if word.startswith("tests/")]

    left_out = [p.name for p in marked if p != Path(__file__) and not any(p.is_relative_to(folder) for folder in run)]

    assert all(folder.exists() for folder in run)
    assert not left_out


def test_the_targets_that_it_makes_exist() -> None:
    """Each `make ...` of a part is one that `make help` explains."""
    explained = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    for part in PARTS.values():
        assert not part.command.startswith("make") or re.search(rf"^  {part.command} ", explained, re.MULTILINE)


def test_the_report_says_what_was_seen(tmp_path: Path) -> None:
    """How pytest closed, and the lines of the chaos that count; nothing of a part that has not run is claimed."""
    log = tmp_path / "log.txt"
    log.write_text(CHAOS)

    found = said(PARTS["chaos-1"], log)

    assert found["tests"] == "1 passed, 5 deselected"
    assert [line[:8] for line in found["said"]] == ["seed 1: ", "7  kill ", "294  kil", "41 jobs "]
    machine = {"cpu": "a", "cores": 2, "memory_gib": 4, "system": "s", "python": "3"}
    result = {"passed": False, "seconds": 60, "date": "d", "commit": "c", "machine": machine, **found}
    report = page({"chaos-1": result})
    assert "**did not hold** (1 passed, 5 deselected) | 1.0 min | d | `c` |" in report
    assert report.count("held") == 0
    assert report.count("not run yet") == len(PARTS) - 1


def test_a_part_without_lines_to_keep_keeps_none(tmp_path: Path) -> None:
    """An empty line is nothing that was said."""
    log = tmp_path / "log.txt"
    log.write_text(CHAOS)

    assert said(Part("true", "nothing"), log)["said"] == []
