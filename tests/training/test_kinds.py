"""The kinds of jobs: what both sides know of them, and what runs them, agree."""

import inspect
import typing
from pathlib import Path

import pytest

from keepfit.shared.spec import KINDS, JobSpec, kind_named, needs_of, parents_of, parse_spec
from keepfit.worker.kinds import RUNS

ROOT = Path(__file__).resolve().parents[2]
SPECS = {"train": {"name": "t"}, "evaluate": {"name": "e", "source": "a" * 12}}
"""The least that a person may send of each kind."""


def test_each_kind_can_be_run() -> None:
    """A row on one side without its row on the other is a mistake."""
    assert set(RUNS) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_run_with_its_own_spec(kind: str) -> None:
    """The model that reads a spec is the one that its run takes."""
    takes = next(iter(inspect.signature(RUNS[kind]).parameters))

    assert typing.get_type_hints(RUNS[kind])[takes] is KINDS[kind].spec


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_read_and_names_its_parents(kind: str) -> None:
    """What a spec of the kind is read as, what it needs, and which jobs it comes from."""
    spec = parse_spec({"kind": kind, **SPECS[kind]})

    assert type(spec) is KINDS[kind].spec
    assert needs_of(spec.model_dump(mode="json")).met
    assert [parent.relation for parent in parents_of(spec.model_dump())] == [*KINDS[kind].parents.values()]


@pytest.mark.parametrize("job", ["", 7, None, "a/b", "nul\0", "half \ud800"])
def test_a_parent_that_no_directory_can_have_is_none(job: object) -> None:
    """A damaged job.json may name anything."""
    assert parents_of({"kind": "evaluate", "source": job}) == ()


def test_nothing_is_known_of_a_kind_of_a_newer_version() -> None:
    """It is neither short nor has a model, and its parents are unknown."""
    kind = kind_named("distil")

    assert (kind.spec, kind.trains, kind.short) == (JobSpec, False, False)
    assert parents_of({"kind": "distil", "source": "a" * 12}) == ()


@pytest.mark.parametrize("path", sorted((ROOT / "worker/training").glob("[a-z]*.py")), ids=lambda path: path.name)
def test_what_trains_knows_no_kinds(path: Path) -> None:
    """A new kind changes nothing in worker/training: only its own files and the two registries."""
    assert "from keepfit.worker.kinds" not in path.read_text()
    assert "EvaluateSpec" not in path.read_text()
