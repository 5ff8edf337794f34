"""What benchmarks leave behind: the latest result, and a history that is only ever added to."""

import json
import sys
from pathlib import Path

from bench import followed
from bench.record import HISTORY, record
from bench.trend import read_history, trend

WISHES = {"cores": 2, "repetitions": 5, "pause, mlp": {"median_s": 0.2, "worst_s": 1.0}}


def test_a_result_is_replaced_and_its_numbers_are_added(tmp_path: Path) -> None:
    """The latest stands in a file of its own; beside it a line for each run, with day, commit and machine."""
    for median in (0.2, 0.3):
        record("wishes", WISHES | {"pause, mlp": {"median_s": median}}, results=tmp_path)

    assert json.loads((tmp_path / "wishes.json").read_text())["pause, mlp"]["median_s"] == 0.3
    rows = read_history(tmp_path / HISTORY.name)
    assert [row["numbers"] for row in rows] == [{"pause, mlp, median s": 0.2}, {"pause, mlp, median s": 0.3}]
    assert all(row["date"] and row["machine"]["cores"] for row in rows)


def test_what_was_not_measured_anew_is_not_dated_anew(tmp_path: Path) -> None:
    """The recovery of peers is written beside Keepfit's own, which was measured another day."""
    report = {"keepfit": {"kill": {"p50_s": 1.0}}, "celery": {"kill": {"p50_s": 9.0}}}

    record("recovery", report, measured={"celery": report["celery"]}, results=tmp_path)

    assert read_history(tmp_path / HISTORY.name) == []


def test_what_nobody_follows_leaves_no_line(tmp_path: Path) -> None:
    """Comparisons with peers are results, not numbers of ours."""
    record("web_servers", {"threads": 5}, results=tmp_path)

    assert not (tmp_path / HISTORY.name).exists()


def test_a_step_is_bold_on_the_machine_that_took_it() -> None:
    """A third slower on one machine; another machine's numbers are a series of their own."""
    rows = [
        {"bench": "wishes", "date": "d", "commit": c, "machine": {"cpu": cpu, "cores": 2}, "numbers": {"n": value}}
        for c, cpu, value in (("1", "a", 0.3), ("2", "b", 9.0), ("3", "a", 0.4), ("4", "b", 9.1))
    ]

    page = "\n".join(trend(rows))

    assert "| n | 0.3, 0.4 | **+33%** | d, `3` |" in page
    assert "| n | 9, 9.1 | +1% | d, `4` |" in page


def test_the_published_history_is_whole() -> None:
    """Each line can be read and is dated."""
    rows = read_history()

    assert len(rows) >= 8
    assert all(row["date"] and row["commit"] and row["numbers"] for row in rows)


def test_no_file_hides_a_module_of_python() -> None:
    """`python bench/x.py` looks into bench first: a numbers.py there broke every script that imports statistics."""
    names = {path.stem for path in Path(followed.__file__).parent.glob("*.py")}

    assert not names & sys.stdlib_module_names
