"""Specs of older versions: read in today's form, whatever the catalogue of today holds, and the same job as before."""

from pathlib import Path
from typing import Any

import pytest

from keepfit.shared.catalog.accepting import accept, named
from keepfit.shared.catalog.library import builtin_library
from keepfit.shared.errors import InvalidSpec, JobConflict
from keepfit.shared.jobs.directory import JobDir, create_jobdir
from keepfit.shared.spec import EvaluateSpec, TrainSpec, parse_spec
from keepfit.shared.spec.upgrade import upgraded
from tests.harness.specs import accepted

LIBRARY = builtin_library()


def kept_by_version_1(jobs_dir: Path, key: str, **spec: Any) -> JobDir:
    """The directory of a job as version 1 has left it."""
    jobdir, _ = create_jobdir(jobs_dir, accepted({"name": "old"}), key)
    training = jobdir.job.spec["training"]
    old = {"version": 1, "kind": "train", "name": "old", "data": {"name": "mnist-5k"}, "model": {"name": "mlp"}}
    kept = old | {"training": training} | spec
    jobdir.job.model_copy(update={"spec": kept, "spec_sha256": "1"}).write(jobdir.job_file)
    return JobDir(jobdir.path, jobdir.datasets)


@pytest.mark.parametrize(
    ("old", "data", "model"),
    [
        ({}, "mnist-5k", "mlp"),
        ({"data": {"name": "mnist"}, "model": {"name": "cnn"}}, "mnist", "cnn"),
        ({"data": {}, "model": {}}, "mnist-5k", "mlp"),
    ],
)
def test_version_1_had_names_only(old: dict[str, Any], data: str, model: str) -> None:
    """They stay, without an id; what it left out were its defaults, whatever is offered first today."""
    spec = parse_spec({"version": 1, "name": "old", **old}, kept=True)

    assert isinstance(spec, TrainSpec)
    assert (spec.version, spec.data.name, spec.data.id, spec.model.name, spec.model.id) == (2, data, "", model, "")


def test_an_old_evaluation_has_no_model() -> None:
    """It names data only."""
    spec = parse_spec({"version": 1, "kind": "evaluate", "name": "e", "source": "a" * 12}, kept=True)

    assert isinstance(spec, EvaluateSpec)
    assert spec.data.name == "mnist-5k"


@pytest.mark.parametrize("raw", [{"version": True}, {"version": "1"}, {"version": None}, {"version": 1, "data": 7}])
def test_what_is_no_spec_is_refused_and_not_upgraded(raw: dict[str, Any]) -> None:
    """JSON's true is not 1; data that are no object stay so, and are named."""
    with pytest.raises(InvalidSpec, match=list(raw)[-1]):
        parse_spec({"name": "n", **raw})


def test_todays_form_is_left_alone() -> None:
    """Also what a later version has made."""
    for raw in ({"version": 2, "name": "n"}, {"version": 3, "data": []}, {"name": "n"}):
        assert upgraded(raw) == raw


def test_an_old_job_is_read_whatever_the_catalogue_holds(tmp_path: Path) -> None:
    """Its data set and its model have gone: it opens, with the digest that was stored."""
    jobdir = kept_by_version_1(tmp_path, "k", data={"name": "gone"}, model={"name": "gone too"})

    assert not str(jobdir.damage)
    assert jobdir.spec.model_dump()["data"] == {"name": "gone", "id": ""}
    assert (jobdir.digest, jobdir.needs.version) == ("1", 1)


def test_the_same_key_finds_the_job_of_the_version_before(tmp_path: Path) -> None:
    """A submit is repeated after the upgrade, in whichever form: by default, by name, by name and id."""
    made = kept_by_version_1(tmp_path, "key")
    data, model = ({"name": card.name, "id": card.id} for card in (LIBRARY.dataset("mnist-5k"), LIBRARY.model("mlp")))

    same: list[dict[str, Any]] = [{}, {"version": 1}, {"data": {"name": data["name"]}}, {"data": data, "model": model}]
    for raw in same:
        assert create_jobdir(tmp_path, accepted({"name": "old", **raw}), "key") == (made, False)
    others: list[dict[str, Any]] = [{"data": {"name": "mnist"}}, {"model": {"name": "cnn"}}, {"training": {"seed": 2}}]
    for raw in others:
        with pytest.raises(JobConflict):
            create_jobdir(tmp_path, accepted({"name": "old", **raw}), "key")


def test_a_key_is_compared_by_what_was_asked_for(tmp_path: Path) -> None:
    """A data set was named that is another one by now: the same job by name, another job by id."""
    spec = accept(parse_spec({"name": "n"}), LIBRARY)
    assert isinstance(spec, TrainSpec)
    before = spec.model_copy(update={"data": spec.data.model_copy(update={"id": "0" * 64})})
    made, _ = create_jobdir(tmp_path, before, "key")

    assert create_jobdir(tmp_path, named(parse_spec({"name": "n"}), LIBRARY), "key") == (made, False)
    with pytest.raises(JobConflict):
        create_jobdir(tmp_path, spec, "key")
