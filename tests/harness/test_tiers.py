"""The tiers themselves: what a share is, and that nothing is left out of all shares."""

import sys

from tests.harness.processes import Household
from tests.harness.tiers import MANY, drawn

MATRIX = [f"tests/training/test_exact_resume.py::test_every_model[{n}]" for n in range(5 * MANY)]
FEW = [f"tests/unit/test_events.py::test_no_row_raises[{n}]" for n in range(MANY)]


def test_shares_rotate_and_make_up_the_whole() -> None:
    """A failure in a share is repeated by its seed, and twenty days of a twentieth leave nothing out."""
    assert drawn(MATRIX, 0.05, 7) == drawn(MATRIX, 0.05, 27)
    assert [len(drawn(MATRIX, 0.05, day)) for day in range(20)] == [5] * 20
    assert set().union(*(drawn(MATRIX, 0.05, 20260101 + day) for day in range(20))) == set(MATRIX)


def test_only_what_is_very_large_is_drawn_from() -> None:
    """A test with few parameters, or with none, is in every share."""
    assert drawn([*FEW, "tests/test_docs.py::test_x"], 0.05, 7) == {*FEW, "tests/test_docs.py::test_x"}


def test_without_a_share_nothing_is_left_out() -> None:
    """`make test` and `make proof` run all that they select."""
    assert drawn(MATRIX, 1.0, 7) == set(MATRIX)


def test_the_quick_tier_starts_no_process_and_opens_no_other_folder(household: Household) -> None:
    """Of the folders that train, start services or open a browser not even a file is read."""
    ran = household.start([sys.executable, "-m", "pytest", "--quick", "--collect-only", "-q", "--no-header"])
    assert ran.wait(120) == 0

    found = {line.partition("::")[0] for line in ran.text().splitlines() if "::" in line}
    assert "tests/web/test_pages.py" in found
    assert not [file for file in found if file.startswith("tests/launch")]
    assert "test_ipv6_is_listened_on" not in ran.text(), "it asks for a household, and starts a web server in it"
