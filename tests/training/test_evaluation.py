"""An evaluation needs what the job has kept, and the data set that it measures on: nothing else."""

from pathlib import Path

import numpy as np
import pytest

from keepfit.shared.catalog.library import builtin_library
from keepfit.shared.errors import NotInLibrary
from keepfit.shared.jobs.directory import JobDir, create_jobdir
from keepfit.shared.jobs.documents import AttemptFile
from keepfit.shared.jobs.events import LogLine
from keepfit.shared.jobs.states import Outcome
from keepfit.shared.spec import EvaluateSpec, parse_spec
from keepfit.worker.kinds import run
from keepfit.worker.training.interfaces import AttemptResult, StopSignal
from tests.harness.documents import result_of
from tests.harness.specs import accepted
from tests.training.running import Recorder
from tests.training.test_datasets import saved, write_folder


def execute(jobdir: JobDir, reporter: Recorder | None = None) -> AttemptResult:
    """The first attempt of a job."""
    return run(jobdir.spec, jobdir, jobdir.new_attempt(1), reporter or Recorder(), StopSignal())


def evaluation_of(jobdir: JobDir, data: str) -> JobDir:
    """A job that evaluates another."""
    spec = EvaluateSpec.model_validate({"name": "e", "source": jobdir.id, "data": {"name": data}})
    return create_jobdir(jobdir.path.parent, spec)[0]


@pytest.fixture(scope="module")
def orphan(tmp_path_factory: pytest.TempPathFactory) -> JobDir:
    """A model trained on a file that is not there any more."""
    folder = tmp_path_factory.mktemp("evaluation")
    training = {"epochs": 1, "batch_size": 512, "plan": "graph", "early_stopping": {"patience": 1}}
    spec = accepted({"name": "own", "data": {"name": "mnist"}, "training": training})
    jobdir, _ = create_jobdir(folder / "jobs", spec)
    jobdir.datasets.mkdir()
    saved(jobdir.datasets)
    assert execute(jobdir).outcome is Outcome.FINISHED
    (jobdir.datasets / "mnist.npz").unlink()
    return jobdir


def test_a_model_is_evaluated_without_the_data_that_it_was_trained_on(
    orphan: JobDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file was moved away, and there is no network."""
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")

    result = execute(evaluation_of(orphan, "mnist-5k"))

    trained = result_of(orphan.attempt_dirs()[0])
    assert result.outcome is Outcome.FINISHED, result.reason
    assert result.weights_sha256 == trained.weights_sha256
    assert result.metrics["accuracy"] == pytest.approx(trained.metrics["accuracy"], abs=1e-6)
    assert "notes" not in result.extra


def test_other_classes_under_the_same_numbers_are_told(orphan: JobDir) -> None:
    """Clothes for a model of digits; that it does no better than guessing on them is told as well."""
    if not (orphan.datasets / "fashion-mnist").exists():
        write_folder(orphan.datasets / "fashion-mnist")
    reporter = Recorder()

    result = execute(evaluation_of(orphan, "fashion-mnist"), reporter)

    (note,) = result.extra["notes"]
    assert "class 0 is 'T-shirt' here and was '0' there. Classes are matched by number" in note
    assert note in [line.text for line in reporter.of(LogLine)]
    assert result.extra["no_better_than_guessing"] is True


def test_data_that_cannot_be_measured_on_are_named(orphan: JobDir) -> None:
    """The set that is evaluated on is looked at like one that is trained on."""
    labels = np.tile(np.arange(10, dtype=np.uint8), 1000)
    saved(orphan.datasets, y_test=labels + 1)

    result = execute(evaluation_of(orphan, "mnist"))

    assert result.outcome is Outcome.FAILED
    assert "The labels in y_test of mnist.npz are 1 to 10" in str(result.reason)


def test_a_model_is_rebuilt_from_what_its_attempt_has_kept(orphan: JobDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """The card of its data is gone too: shapes, types, outputs and class names lie with the attempt."""
    kept = AttemptFile.read(orphan.attempt_dirs()[0].record)
    assert kept is not None
    assert kept.signature is not None
    assert [(one.shape, one.dtype) for one in kept.signature.inputs] == [((28, 28), "uint8")]
    assert [(one.shape, one.dtype) for one in kept.signature.targets] == [((), "uint8")]
    assert [one.shape for one in kept.signature.outputs] == [(10,)]
    library = builtin_library()
    others = [card for card in library.datasets() if card.name != "mnist"]
    monkeypatch.setattr(library, "_datasets", tuple(others))
    with pytest.raises(NotInLibrary):
        library.dataset("mnist")

    result = execute(evaluation_of(orphan, "mnist-5k"))

    assert result.outcome is Outcome.FINISHED, result.reason


def test_a_model_of_a_version_that_kept_nothing_is_rebuilt_from_the_card(orphan: JobDir) -> None:
    """Its attempt.json has no signature."""
    path = orphan.attempt_dirs()[0].record
    record = AttemptFile.read(path)
    assert record is not None
    record.model_copy(update={"signature": None}).write(path)

    result = execute(evaluation_of(orphan, "mnist-5k"))
    record.write(path)

    assert result.outcome is Outcome.FINISHED, result.reason


def test_a_job_never_trains_on_data_that_are_not_those_it_names(tmp_path: Path) -> None:
    """Another set of that name by now, or none: it fails before the first step, and says what is asked for."""
    for data, said in (
        ({"name": "mnist-5k", "id": "7" * 64}, "777777777777 is asked for"),
        ({"name": "gone"}, "'gone'"),
    ):
        jobdir, _ = create_jobdir(tmp_path / "jobs", parse_spec({"name": "n", "data": data}))

        result = execute(jobdir)

        assert result.outcome is Outcome.FAILED
        assert said in str(result.reason)
