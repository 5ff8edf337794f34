"""The tiers of the tests, as options of pytest: what the quick one leaves out, and a share of what is very large.

    pytest --quick                            # no TensorFlow, no browser, no process of ours: what `make quick` runs
    pytest -m chaos --share 0.05 --seed 7     # of a test with very many parameters the part that seed 7 draws

Tests know nothing of it: a test is quick by its folder, and by asking for no fixture that starts real processes.
"""

import random
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
QUICK = {"harness", "store", "unit", "web"}
"""The folders of the quick tier; the files right in tests/ belong to it too."""
LONG = {
    "store/test_damage.py", "web/test_damaged.py", "web/test_delete.py", "web/test_hosts.py", "web/test_hub.py",
    "web/test_index.py", "web/test_terminal.py",
}  # fmt: skip
"""Files of those folders that take more than half of all the time: left to `make test`."""
LINTED = {"test_architecture.py"}
"""What `make lint` runs."""
STARTS_PROCESSES = {"household", "service"}
HEAVY = ("tensorflow", "keras", "numpy", "playwright")
MANY = 20
"""A test that is run with more sets of parameters than this is very large: a share of it can be drawn."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options above."""
    group = parser.getgroup("tiers")
    group.addoption("--quick", action="store_true", help="only what needs no TensorFlow, no browser and no worker")
    group.addoption("--share", type=float, default=1.0, help=f"share of each test of more than {MANY} parameter sets")
    group.addoption("--seed", type=int, default=1, help="which share is drawn")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the other folders out before anything in them is imported: that is what takes long."""
    if not config.getoption("quick") or not collection_path.is_relative_to(TESTS):
        return None
    parts = collection_path.relative_to(TESTS).parts
    if "/".join(parts) in LONG | LINTED:
        return True
    return True if parts and collection_path.suffix != ".py" and parts[0] not in QUICK else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take what the tier leaves out from the tests that were found, and say how many those are."""
    wanted = drawn([item.nodeid for item in items], config.getoption("share"), config.getoption("seed"))
    left_out = [item for item in items if item.nodeid not in wanted or (config.getoption("quick") and _slow(item))]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


def _slow(item: pytest.Item) -> bool:
    return not STARTS_PROCESSES.isdisjoint(getattr(item, "fixturenames", ()))


def drawn(tests: Sequence[str], share: float, seed: int) -> set[str]:
    """The ids among ``tests`` that are run: of each test with MANY parameter sets only ``share``, of others all.

    Shares rotate: one of a twentieth is another one for each of twenty seeds in a row, which make up the whole.
    """
    families: dict[str, list[str]] = defaultdict(list)
    for test in tests:
        families[test.partition("[")[0]].append(test)
    shares = round(1 / share)
    return {test for f in families.values() for test in (_shuffled(f)[seed % shares :: shares] if len(f) > MANY else f)}


def _shuffled(family: list[str]) -> list[str]:
    """Always the same disorder: neighbours, which are alike, fall into different shares."""
    return random.Random(0).sample(family, len(family))


@pytest.fixture(scope="session", autouse=True)
def nothing_heavy_is_loaded(request: pytest.FixtureRequest) -> Iterator[None]:
    """The quick tier stays quick: at its end none of what takes seconds to import has been imported."""
    yield
    if request.config.getoption("quick"):
        loaded = [name for name in HEAVY if name in sys.modules]
        assert not loaded, f"a test of the quick tier has loaded {loaded}; it belongs into another folder"
