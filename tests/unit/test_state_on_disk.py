"""What a job is can be read from its directory alone."""

from pathlib import Path

import pytest

from keepfit.shared.durable import write_json
from keepfit.shared.jobs.directory import JobDir, create_jobdir
from keepfit.shared.jobs.states import JobState, Wish
from keepfit.shared.jobs.truth import state_on_disk
from keepfit.shared.reasons import Code, Reason, said
from keepfit.shared.spec import parse_spec
from tests.harness.documents import write_claim, write_verdict, write_wish


@pytest.fixture
def jobdir(tmp_path: Path) -> JobDir:
    """The directory of a job that was just submitted."""
    return create_jobdir(tmp_path / "jobs", parse_spec({"name": "first"}))[0]


def attempt(jobdir: JobDir, number: int, outcome: str | None, wish_number: int = 0) -> None:
    """An attempt that obeyed the wish ``wish_number`` and ended as ``outcome`` (None: it died)."""
    made = jobdir.new_attempt(number)
    write_claim(made, "owner", wish_number)
    if outcome:
        write_json(made.result, {"outcome": outcome, "reason": "because"})


def test_a_new_job_is_queued(jobdir: JobDir) -> None:
    """No attempt, no wish."""
    assert state_on_disk(jobdir).state is JobState.QUEUED


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        ("finished", JobState.SUCCEEDED),
        ("failed", JobState.FAILED),
        ("stopped", JobState.QUEUED),
        (None, JobState.QUEUED),
    ],
)
def test_the_highest_attempt_decides(jobdir: JobDir, outcome: str | None, state: JobState) -> None:
    """An earlier attempt's end does not count, even if it came late."""
    attempt(jobdir, 1, "failed")
    attempt(jobdir, 2, outcome)

    assert state_on_disk(jobdir).state is state


@pytest.mark.parametrize(("wish", "state"), [(Wish.PAUSE, JobState.PAUSED), (Wish.CANCEL, JobState.CANCELLED)])
def test_a_wish_holds_when_nobody_has_obeyed_it_yet(jobdir: JobDir, wish: Wish, state: JobState) -> None:
    """A wish made while every worker and the server were down."""
    attempt(jobdir, 1, None)
    write_wish(jobdir, wish, 1)

    assert state_on_disk(jobdir).state is state


def test_a_job_that_finished_before_it_could_obey_has_succeeded(jobdir: JobDir) -> None:
    """The end came first."""
    attempt(jobdir, 1, "finished")
    write_wish(jobdir, Wish.CANCEL, 1)

    assert state_on_disk(jobdir).state is JobState.SUCCEEDED


def test_a_failed_job_that_a_person_resumed_is_queued(jobdir: JobDir) -> None:
    """The wish to run is younger than the failure."""
    attempt(jobdir, 1, "failed", wish_number=0)
    write_wish(jobdir, Wish.RUN, 1)

    assert state_on_disk(jobdir).state is JobState.QUEUED


def test_a_job_that_failed_again_after_it_was_resumed_has_failed(jobdir: JobDir) -> None:
    """The attempt obeyed the latest wish, and failed."""
    write_wish(jobdir, Wish.RUN, 1)
    attempt(jobdir, 2, "failed", wish_number=1)

    assert state_on_disk(jobdir).state is JobState.FAILED


def test_a_keepers_verdict_stands_until_the_job_is_resumed(jobdir: JobDir) -> None:
    """A used-up restart budget is remembered on disk."""
    attempt(jobdir, 1, None)
    write_verdict(jobdir, JobState.FAILED, said("5 attempts in a row"), attempt=1, wish_number=0)
    stood = state_on_disk(jobdir)

    write_wish(jobdir, Wish.RUN, 1)

    assert (stood.state, str(stood.reason)) == (JobState.FAILED, "5 attempts in a row")
    assert state_on_disk(jobdir).state is JobState.QUEUED


def test_a_result_that_came_after_the_verdict_does_not_count(jobdir: JobDir) -> None:
    """An attempt that was cut off wrote its result when its job had been cancelled already."""
    write_wish(jobdir, Wish.CANCEL, 1)
    write_verdict(jobdir, JobState.CANCELLED, Reason.of(Code.CANCELLED), attempt=1, wish_number=1)
    attempt(jobdir, 1, "finished")

    assert state_on_disk(jobdir).state is JobState.CANCELLED


def test_a_verdict_says_nothing_of_later_attempts(jobdir: JobDir) -> None:
    """It was about the attempt before."""
    write_verdict(jobdir, JobState.FAILED, said("5 attempts in a row"), attempt=1, wish_number=0)
    attempt(jobdir, 1, None)
    attempt(jobdir, 2, "finished")

    assert state_on_disk(jobdir).state is JobState.SUCCEEDED
