"""What a difference asks for is done once, on a real server, and not at all where somebody was faster."""

from pathlib import Path

import pytest

from keepfit.shared.jobs.directory import JobDir, create_jobdir
from keepfit.shared.jobs.documents import VerdictFile
from keepfit.shared.jobs.mending import look_up, mend, note_settled, put_back, tell
from keepfit.shared.jobs.states import JobState, Outcome, Wish
from keepfit.shared.jobs.truth import Difference, Lack, compare, on_disk
from keepfit.shared.reasons import NONE, said
from keepfit.shared.settings import Settings
from keepfit.shared.spec import parse_spec
from keepfit.shared.store import Budget, Store, keys
from tests.harness.documents import write_wish

BUDGET = Budget(5, 0.0)


@pytest.fixture
def jobs_dir(settings: Settings) -> Path:
    """The folder of the jobs."""
    return settings.jobs_dir


@pytest.fixture
def jobdir(jobs_dir: Path, store: Store) -> JobDir:
    """A job that both sides know as queued."""
    jobdir, _ = create_jobdir(jobs_dir, parse_spec({"name": "mended"}))
    store.jobs.create(jobdir)
    return jobdir


def difference(jobdir: JobDir, store: Store) -> Difference:
    """How both sides differ now."""
    return compare(on_disk(jobdir), look_up(jobdir.id, store))


def stopped_on_server(jobdir: JobDir, store: Store) -> None:
    """Its disk was full: only the server knows that it is paused."""
    claim = store.leases.claim("worker", hint=jobdir.id, lease_s=60)
    assert claim
    jobdir.new_attempt(claim.attempt)
    store.leases.finish(claim, Outcome.STOPPED, reason=said("full"), budget=BUDGET, pause_with_reason=True)


def test_what_is_mended_is_no_difference_any_more(jobs_dir: Path, store: Store, jobdir: JobDir) -> None:
    """A wish, a stop, a lost record, a damaged one, one of another directory: one after the other."""
    found = []

    def mends() -> None:
        found.append(difference(jobdir, store))
        assert mend(found[-1], jobs_dir, jobdir.id, store)
        assert difference(jobdir, store) is Difference.NONE

    stopped_on_server(jobdir, store)
    mends()
    write_wish(jobdir, Wish.RUN, 1)
    mends()
    store.upkeep.remove(jobdir.id)
    mends()
    store.link.ask(lambda r: r.hset(keys.job(jobdir.id), "attempt", "x"))
    mends()
    store.link.ask(lambda r: r.hset(keys.job(jobdir.id), "name", "another"))
    mends()

    assert found == [
        Difference.STOP_UNNOTED,
        Difference.WISH_UNHEARD,
        Difference.UNKNOWN,
        Difference.RECORD_DAMAGED,
        Difference.ANOTHER,
    ]


def test_a_record_without_a_directory_is_dropped(jobs_dir: Path, store: Store, jobdir: JobDir) -> None:
    """And nothing is made of what is not there."""
    assert mend(Difference.GONE, jobs_dir, jobdir.id, store)
    assert look_up(jobdir.id, store) is Lack.MISSING


@pytest.mark.parametrize("left", [Difference.NONE, Difference.RUNS, Difference.AWAITS_OWNER, Difference.DISK_DAMAGED])
def test_what_is_nobodys_to_mend_is_left(jobs_dir: Path, store: Store, jobdir: JobDir, left: Difference) -> None:
    """The answer is no, and the record is as it was."""
    before = store.jobs.get(jobdir.id)

    assert not mend(left, jobs_dir, jobdir.id, store)
    assert store.jobs.get(jobdir.id) == before


def test_a_job_that_was_claimed_meanwhile_is_not_put_back(jobs_dir: Path, store: Store, jobdir: JobDir) -> None:
    """Its states differed when it was looked at; now somebody runs it."""
    assert store.leases.claim("worker", hint=jobdir.id, lease_s=60)

    assert not mend(Difference.STATE, jobs_dir, jobdir.id, store)
    assert store.jobs.get(jobdir.id).state is JobState.RUNNING


def test_a_stop_that_a_person_has_undone_is_not_noted(jobs_dir: Path, store: Store, jobdir: JobDir) -> None:
    """Resumed between the look and the note: a verdict would stop it again after the next wipe."""
    stopped_on_server(jobdir, store)
    write_wish(jobdir, Wish.RUN, 1)
    store.jobs.request(jobdir.id, Wish.RUN, number=1)

    assert not mend(Difference.STOP_UNNOTED, jobs_dir, jobdir.id, store)
    assert VerdictFile.read_or_none(jobdir.verdict) is None


def test_a_settled_end_is_noted_only_while_it_holds(jobs_dir: Path, store: Store, jobdir: JobDir) -> None:
    """The job goes on by now: its old end is nobody's."""
    stopped_on_server(jobdir, store)
    note_settled(jobs_dir, jobdir.id, JobState.FAILED, store)
    assert VerdictFile.read_or_none(jobdir.verdict) is None

    note_settled(jobs_dir, jobdir.id, JobState.PAUSED, store)
    verdict = VerdictFile.read_or_none(jobdir.verdict)
    assert verdict
    assert verdict.state is JobState.PAUSED


def test_a_wish_that_comes_too_late_is_none(jobs_dir: Path, store: Store, jobdir: JobDir) -> None:
    """The job has succeeded since it was looked at."""
    claim = store.leases.claim("worker", hint=jobdir.id, lease_s=60)
    assert claim
    store.leases.finish(claim, Outcome.FINISHED, reason=NONE, budget=BUDGET, result={})
    write_wish(jobdir, Wish.PAUSE, 1)

    assert not mend(Difference.WISH_UNHEARD, jobs_dir, jobdir.id, store)
    assert store.jobs.get(jobdir.id).state is JobState.SUCCEEDED


def test_the_server_is_told_only_what_nobody_may_be_about_to_say_himself(store: Store, jobdir: JobDir) -> None:
    """Just wiped, a job with an attempt is left to its owner; once the server is whole, it is put back."""
    jobdir.new_attempt(1)
    store.upkeep.remove(jobdir.id)

    assert not tell(jobdir, store)
    store.upkeep.mark_booted()
    assert tell(jobdir, store)
    assert tell(jobdir, store)

    assert store.jobs.get(jobdir.id).state is JobState.QUEUED
    assert not put_back(jobdir, store)
