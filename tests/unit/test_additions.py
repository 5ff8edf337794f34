"""What an addition must bring along, where no other test asks for it; CONTRIBUTING.md has the lists."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

from keepfit.shared.jobs import events
from keepfit.shared.jobs.events import Event

ROOT = Path(__file__).resolve().parents[2]
SAY_NOTHING_IN_THE_LOG = {"StateChanged", "WishChanged", "Progress"}
"""The page shows each of them in a place of its own, and the log of an attempt is the attempt's."""
KINDS_OF_EVENTS = sorted(
    found.__name__
    for found in vars(events).values()
    if isinstance(found, type) and issubclass(found, Event) and found is not Event
)


def _layers(path: str, module: str) -> set[str]:
    """The layers that a file makes, where ``module`` is how it calls Keras'."""
    made = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            made |= {node.func.attr} if ast.unparse(node.func.value) == module else set()
    return made


def test_each_layer_of_a_preset_is_proven_to_resume_exactly() -> None:
    """Among the programs of the proof is one with each layer that a job can have."""
    presets, proven = _layers("worker/models/presets.py", "keras.layers"), _layers("tests/training/programs.py", "L")

    assert "Dense" in presets
    assert not presets - proven


def test_each_reader_of_data_has_a_test_of_its_own() -> None:
    """What is wrong with a file is said in words, and a test holds them."""
    readers = [
        name
        for path in (ROOT / "worker/data").glob("*.py")
        for name in re.findall(r"^def (read_\w+)", path.read_text(), re.MULTILINE)
    ]
    tests = "".join(path.read_text() for path in (ROOT / "tests/training").glob("test_*.py"))
    formats = {name.removeprefix("read_") for name in readers}

    assert formats
    assert not [name for name in formats if name not in tests.lower()]


@pytest.mark.parametrize("kind", KINDS_OF_EVENTS)
def test_each_event_has_its_line_or_is_known_to_have_none(kind: str) -> None:
    """What happens to a job is in its log, or somebody has decided that it is not."""
    described = set(re.findall(r"case (\w+)\(\)", (ROOT / "shared/jobs/loglines.py").read_text()))

    assert (kind in described) != (kind in SAY_NOTHING_IN_THE_LOG)


def test_each_list_names_the_test_that_fails() -> None:
    """A line that nobody would miss is not kept for long."""
    lists = (ROOT / "CONTRIBUTING.md").read_text().partition("## What an addition takes")[2]
    paragraphs = re.findall(r"^\*\*(.+?)\.\*\*(.*?)(?=\n\n|\Z)", lists, re.MULTILINE | re.DOTALL)

    assert len(paragraphs) >= 12
    assert not [name for name, text in paragraphs if not re.search(r"`tests/[\w/]+\.py", text)]


def test_each_package_that_is_asked_for_is_pinned() -> None:
    """One that `make lock` was not run for would be missing on the next machine."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *(name for extra in project["optional-dependencies"].values() for name in extra)]
    names = {re.split(r"[\[<>=;~ ]", package)[0] for package in asked} - {project["name"]}

    pinned = set(re.findall(r"^([a-z0-9._-]+)==", (ROOT / "requirements/dev.lock").read_text(), re.MULTILINE))

    assert not names - pinned
