"""`keepfit doctor` on a real server: each way in which the sides can differ is found, and mended where it may be."""

import shutil

import pytest
from click.testing import CliRunner, Result

from keepfit.shared.durable import write_json
from keepfit.shared.errors import JobNotFound
from keepfit.shared.jobs.directory import JobDir, create_jobdir
from keepfit.shared.jobs.doctor import examine, mend
from keepfit.shared.jobs.mending import put_back
from keepfit.shared.jobs.states import JobState, Outcome, Wish
from keepfit.shared.reasons import said
from keepfit.shared.settings import Settings
from keepfit.shared.spec import parse_spec
from keepfit.shared.store import Budget, Store
from keepfit.web.cli.command import main
from tests.harness.documents import write_claim, write_wish
from tests.harness.waiting import wait_until
from tests.web.acting import no_writes


def submit(settings: Settings, store: Store, name: str) -> JobDir:
    """A queued job, of which both sides say the same."""
    jobdir, _ = create_jobdir(settings.jobs_dir, parse_spec({"name": name}))
    store.jobs.create(jobdir)
    return jobdir


@pytest.fixture
def jobdir(settings: Settings, store: Store) -> JobDir:
    """A job that was just submitted."""
    return submit(settings, store, "sick")


def doctor(settings: Settings, *options: str) -> Result:
    """Run the command. A bug shows as an exception, not as an exit code."""
    where = ["--data-dir", str(settings.data_dir), "--redis-url", settings.broker_url]
    return CliRunner().invoke(main, ["doctor", *where, *options], catch_exceptions=False)


def is_mended(settings: Settings, finding: str) -> None:
    """The finding is made, mended when asked, and then there is none."""
    sick, mended, well = doctor(settings), doctor(settings, "--repair"), doctor(settings)

    assert (sick.exit_code, finding in sick.output) == (1, True), sick.output
    assert (mended.exit_code, f"MENDED: {finding}" in mended.output) == (0, True), mended.output
    assert (well.exit_code, "agree" in well.output or not well.output) == (0, True), well.output


def is_left(settings: Settings, finding: str) -> None:
    """The finding is made, and stays when asked to mend."""
    for options in ([], ["--repair"], []):
        found = doctor(settings, *options)
        assert (found.exit_code, finding in found.output) == (1, True), found.output
        assert "MENDED" not in found.output


@pytest.mark.parametrize(
    ("outcome", "state"), [(Outcome.FINISHED, JobState.SUCCEEDED), (Outcome.FAILED, JobState.FAILED)]
)
def test_an_end_on_disk_is_told_to_a_server_that_lost_it(
    settings: Settings, store: Store, jobdir: JobDir, outcome: Outcome, state: JobState
) -> None:
    """The server says queued; afterwards it has the end with its result."""
    write_json(jobdir.new_attempt(1).result, {"outcome": outcome.value, "reason": "why", "step": 7})

    is_mended(settings, "the states differ")

    record = store.jobs.get(jobdir.id)
    assert (record.state, record.attempt, record.result["step"]) == (state, 1, 7)


def test_a_cancelled_job_that_the_server_holds_for_queued_is_cancelled(
    settings: Settings, store: Store, jobdir: JobDir
) -> None:
    """Under the same number the server has another wish than the disk: the disk is right."""
    store.jobs.request(jobdir.id, Wish.RUN, number=1)
    write_wish(jobdir, Wish.CANCEL, 1)

    is_mended(settings, "the states differ")

    assert store.jobs.get(jobdir.id).state is JobState.CANCELLED
    assert store.leases.claim("worker", hint=jobdir.id, lease_s=60) is None


def test_a_wish_that_the_server_has_not_heard_of_is_passed_on(settings: Settings, store: Store, jobdir: JobDir) -> None:
    """The web process died between the disk and the server."""
    write_wish(jobdir, Wish.PAUSE, 1, priority=4)

    is_mended(settings, "the server has not heard of the wish to pause")

    record = store.jobs.get(jobdir.id)
    assert (record.state, record.wish_number, record.priority) == (JobState.PAUSED, 1, 4)


def test_an_attempt_that_the_server_has_forgotten_is_counted(settings: Settings, store: Store, jobdir: JobDir) -> None:
    """It came back with old data; the next attempt gets a number of its own."""
    for number in (1, 2, 3):
        write_claim(jobdir.new_attempt(number), "owner", 0)

    is_mended(settings, "the disk has a later attempt")

    claim = store.leases.claim("worker", hint=jobdir.id, lease_s=60)
    assert claim
    assert claim.attempt == 4


def test_a_job_without_a_directory_is_dropped(settings: Settings, store: Store, jobdir: JobDir) -> None:
    """Its data were taken away by hand."""
    shutil.rmtree(jobdir.path)

    is_mended(settings, "the server has a job that has no directory")

    with pytest.raises(JobNotFound):
        store.jobs.get(jobdir.id)
    assert store.leases.claim("worker", hint=jobdir.id, lease_s=60) is None


@pytest.mark.parametrize("file", ["job.json", "wish.json", "verdict.json"])
def test_a_directory_that_cannot_be_read_is_named_and_left(
    settings: Settings, store: Store, jobdir: JobDir, file: str
) -> None:
    """Nothing is made up for it, and the jobs beside it are looked at all the same."""
    others = [submit(settings, store, str(n)).id for n in range(5)]
    (jobdir.path / file).write_text("[1, 2]")

    is_left(settings, f"{file} {'cannot be read' if file == 'job.json' else 'is damaged'} (it holds no JSON object)")

    lines = doctor(settings).output.splitlines()
    assert sorted(line.split()[0] for line in lines if line.endswith("agree")) == sorted(others)
    assert store.jobs.get(jobdir.id).state is JobState.QUEUED


def test_a_lapsed_lease_without_a_worker_is_left_to_the_next_worker(
    settings: Settings, store: Store, jobdir: JobDir
) -> None:
    """Only a worker may take the job over; the message says to start one."""
    claim = store.leases.claim("owner", hint=jobdir.id, lease_s=0.2)
    assert claim
    write_claim(jobdir.new_attempt(claim.attempt), claim.owner, 0)
    assert doctor(settings).exit_code == 0
    wait_until(lambda: store.now_ms() > store.jobs.get(jobdir.id).lease_ms, "its lease has lapsed")

    is_left(settings, "its lease has lapsed and no worker takes it over: start a worker")

    record = store.jobs.get(jobdir.id)
    assert (record.state, record.owner) == (JobState.RUNNING, "owner")


def stop_unnoted(store: Store, jobdir: JobDir, outcome: Outcome) -> None:
    """The disk was full when the attempt ended, or nobody lived to put its end there."""
    claim = store.leases.claim("owner", hint=jobdir.id, lease_s=60)
    assert claim
    write_claim(jobdir.new_attempt(claim.attempt), claim.owner, 0)
    store.leases.finish(
        claim,
        outcome,
        reason=said("it cannot go on"),
        budget=Budget(1, 1.0),
        pause_with_reason=outcome is Outcome.STOPPED,
    )


@pytest.mark.parametrize(
    ("outcome", "state"), [(Outcome.STOPPED, JobState.PAUSED), (Outcome.INTERRUPTED, JobState.FAILED)]
)
def test_a_stop_that_only_the_server_knows_is_put_on_disk(
    settings: Settings, store: Store, jobdir: JobDir, outcome: Outcome, state: JobState
) -> None:
    """Mending does not have it go on, and neither does a wipe afterwards."""
    stop_unnoted(store, jobdir, outcome)
    stopped = store.jobs.get(jobdir.id)

    is_mended(settings, "the disk does not know that the job has stopped")

    assert store.jobs.get(jobdir.id) == stopped
    assert stopped.state is state
    store.link.ask(lambda r: r.flushall())
    put_back(jobdir, store)
    restored = store.jobs.get(jobdir.id)
    assert (restored.state, restored.reason) == (state, stopped.reason)


def test_a_stop_is_left_where_the_disk_is_still_full(settings: Settings, store: Store, jobdir: JobDir) -> None:
    """It cannot be noted now, and the job does not go on for that."""
    stop_unnoted(store, jobdir, Outcome.STOPPED)

    with no_writes():
        is_left(settings, "the disk does not know that the job has stopped")

    assert store.jobs.get(jobdir.id).state is JobState.PAUSED


def test_a_stop_does_not_outweigh_a_resume_on_disk(settings: Settings, store: Store, jobdir: JobDir) -> None:
    """A person had the job go on, which the server has not heard of."""
    stop_unnoted(store, jobdir, Outcome.STOPPED)
    write_wish(jobdir, Wish.RUN, 1)

    is_mended(settings, "the server has not heard of the wish to run")

    assert store.jobs.get(jobdir.id).state is JobState.QUEUED
    assert not jobdir.verdict.exists()


def test_a_stop_does_not_outweigh_a_later_attempt_on_disk(settings: Settings, store: Store, jobdir: JobDir) -> None:
    """The server came back with old data: the job has gone on since."""
    stop_unnoted(store, jobdir, Outcome.STOPPED)
    write_claim(jobdir.new_attempt(2), "owner", 0)

    is_mended(settings, "the states differ")

    record = store.jobs.get(jobdir.id)
    assert (record.state, record.attempt) == (JobState.QUEUED, 2)


def test_a_stop_is_not_noted_where_a_person_was_faster(settings: Settings, store: Store, jobdir: JobDir) -> None:
    """Resumed between the look and the mending."""
    stop_unnoted(store, jobdir, Outcome.STOPPED)
    (finding,) = examine(settings.jobs_dir, store)
    write_wish(jobdir, Wish.RUN, 1)

    assert not mend(finding, settings.jobs_dir, store)
    assert not jobdir.verdict.exists()
