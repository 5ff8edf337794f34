"""The words for what a job is doing, state by state."""

from typing import Any

import pytest

from keepfit.shared.jobs.states import JobState, Wish
from keepfit.shared.reasons import read, said
from keepfit.shared.store import Waiting
from keepfit.shared.store.records import JobRecord
from keepfit.web.jobs.live import headline, live_view
from keepfit.web.jobs.page import best_known, buttons, job_row
from keepfit.web.jobs.results import remarks
from keepfit.web.words import wording

NOW = 1_000_000
PROGRESS = {"step": 250, "steps": 1000, "epoch": 2, "epochs": 10, "batch": 50, "batches": 100, "eta_s": 75.4,
            "steps_per_s": 1234.5, "logs": {"loss": 0.12345, "accuracy": 0.987}, "phase": "train"}  # fmt: skip


def job(state: JobState = JobState.RUNNING, **fields: Any) -> JobRecord:
    """A record; a running one has a fresh lease."""
    fresh = {"heartbeat_ms": NOW - 400, "lease_ms": NOW + 2600, "attempt": 1}
    told = {"progress_attempt": fields.get("attempt", 1)} if "progress" in fields else {}
    return JobRecord("abcdefghijkl", "a job", "train", state, **(fresh | told | fields))


Q, R, P = JobState.QUEUED, JobState.RUNNING, JobState.PAUSED
SENTENCES = [
    (job(Q, attempt=0), Waiting(2, said("2 jobs before it")), "Waiting to start: 2 jobs before it."),
    (job(Q, attempt=0), None, "Waiting to start."),
    (
        job(Q, reason=read("the worker was killed"), checkpoint_step=1240),
        Waiting(0, said("workers are busy")),
        "Recovering: the worker was killed; goes on from step 1,240 as soon as a worker is free (workers are busy).",
    ),
    (
        job(Q, reason=read("no word from its worker")),
        None,
        "Recovering: no word from its worker; goes on from the beginning as soon as a worker is free.",
    ),
    (
        job(Q, reason=read("its worker was stopped"), checkpoint_step=1296),
        Waiting(0, said("no worker is alive")),
        "Recovering: its worker was stopped; goes on from step 1,296 as soon as a worker is free (no worker is alive).",
    ),
    (
        job(Q, reason=read("resumed by a person"), checkpoint_step=9),
        Waiting(0, said("no worker is alive")),
        "Resumed; goes on from step 9 as soon as a worker is free (no worker is alive).",
    ),
    (job(R), None, "Starting."),
    (job(R, progress=PROGRESS), None, "Training."),
    (job(R, progress=PROGRESS | {"phase": "validate"}), None, "Validating."),
    (job(R, progress=PROGRESS, attempt=3), None, "Training, attempt 3."),
    (job(R, progress=PROGRESS, attempt=3, progress_attempt=2), None, "Starting, attempt 3."),
    (job(R, wish=Wish.PAUSE), None, "Pausing: it writes a checkpoint first, then stops."),
    (job(R, wish=Wish.CANCEL), None, "Cancelling: it stops at the next step."),
    (
        job(R, heartbeat_ms=NOW - 8000, lease_ms=NOW - 5000, checkpoint_step=5),
        None,
        "Not heard of for 8 s. If its worker is gone, it goes on by itself from step 5.",
    ),
    (
        job(P, reason=read("paused by a person"), checkpoint_step=7),
        None,
        "Paused by a person. Its latest checkpoint is step 7.",
    ),
    (
        job(P, reason=read("the disk is full")),
        None,
        "Paused: the disk is full.",
    ),
    (job(JobState.FAILED, reason=read("out of memory")), None, "Failed: out of memory."),
    (
        job(JobState.CANCELLED, reason=read("cancelled by a person"), checkpoint_step=7),
        None,
        "Cancelled by a person. Its checkpoints are kept, so it can still be resumed.",
    ),
    (
        job(JobState.CANCELLED, reason=read("cancelled by a person")),
        None,
        "Cancelled by a person. It has no checkpoint: if it is resumed, it starts from the beginning.",
    ),
    (
        job(JobState.SUCCEEDED, result={"metrics": {"accuracy": 0.9312}}),
        None,
        "Finished: test accuracy 93.12\N{NO-BREAK SPACE}%.",
    ),
]


@pytest.mark.parametrize(("record", "waiting", "sentence"), SENTENCES, ids=[s[:40] for _, _, s in SENTENCES])
def test_each_state_has_its_sentence(record: JobRecord, waiting: Waiting | None, sentence: str) -> None:
    """What happens and why, as a person would say it."""
    assert headline(record, waiting, NOW) == sentence


def test_the_moving_parts_are_ready_to_read() -> None:
    """Every number of the page is a text."""
    view = live_view(job(progress=PROGRESS, checkpoint_step=1200), None, NOW)

    assert (view.label, view.tone, view.percent, view.done) == ("Running", "running", 25.0, "25 %")
    assert (view.epoch, view.batch, view.time_left) == ("3 of 10", "50 of 100", "1 min 15 s")
    assert (view.loss, view.primary, view.speed) == ("0.1235", "0.9870", "1,234 steps/s")
    assert (view.heartbeat, view.checkpoint) == ("0.4 s ago", "step 1,200")


def test_a_new_attempt_shows_nothing_of_the_dead_one() -> None:
    """It goes on from the checkpoint: that is where the job is, whatever the attempt before it had reported."""
    view = live_view(job(progress=PROGRESS, attempt=2, progress_attempt=1, checkpoint_step=120), None, NOW)

    assert {view.speed, view.time_left, view.loss, view.primary} == {wording.NOTHING}
    assert (view.done, view.epoch, view.batch) == ("12 %", "2 of 10", "20 of 100")
    assert job_row(job(progress=PROGRESS, attempt=2, progress_attempt=1, checkpoint_step=120)).percent == 12.0


def test_a_job_that_waits_to_recover_is_where_it_goes_on() -> None:
    """Not where it was killed; one that stopped with a checkpoint is where it stopped."""
    killed = live_view(job(Q, progress=PROGRESS, checkpoint_step=120, reason=read("killed")), None, NOW)
    stopped = live_view(job(P, progress=PROGRESS, checkpoint_step=250), None, NOW)

    assert (killed.done, killed.batch, killed.loss) == ("12 %", "20 of 100", wording.NOTHING)
    assert (stopped.done, stopped.batch, stopped.loss) == ("25 %", "50 of 100", "0.1235")


def test_a_stalled_job_has_no_figures_as_if_it_were_alive() -> None:
    """No speed, no time left; its attempt is silent, and there is no worker to be killed."""
    view = live_view(job(progress=PROGRESS, heartbeat_ms=NOW - 8000, lease_ms=NOW - 5000), None, NOW)

    assert (view.label, view.speed, view.time_left) == ("Stalled", wording.NOTHING, wording.NOTHING)
    assert view.attempt == "no word for 8 s"


def test_a_job_whose_worker_was_told_to_die_says_so_at_once() -> None:
    """The service itself has told it to: no guess, and no figures as if nothing had happened."""
    view = live_view(job(progress=PROGRESS, checkpoint_step=120), None, NOW, told_to_die=True)

    assert view.headline == "Its worker was told to die; it goes on by itself from step 120."
    assert (view.speed, view.time_left) == (wording.NOTHING, wording.NOTHING)
    assert view.attempt == "its worker was told to die"


EARLY = [
    {"stopped_epoch": 6, "epochs_planned": 40, "best_epoch": 4},
    {"epochs": 6},  # of version 0.1, which knew no more
]


@pytest.mark.parametrize("extra", EARLY)
def test_early_stopping_is_said(extra: dict[str, int]) -> None:
    """Epoch 6 of 40 at 100 % is no mistake: the page says why, and whose weights are kept."""
    result = {"metrics": {"accuracy": 0.9312}, "extra": extra}
    progress = PROGRESS | {"epoch": 5, "epochs": 40}

    view = live_view(job(JobState.SUCCEEDED, progress=progress, result=result), None, NOW)

    assert (view.epoch, view.done) == ("6 of 40, stopped early", "100 %")
    assert view.headline == "Finished: test accuracy 93.12\N{NO-BREAK SPACE}%. Stopped early, after epoch 6 of 40."
    said = remarks(result, planned=40)
    assert said[0] == "Stopped early, after epoch 6 of 40."
    assert ("best_epoch" in extra) == ("Its weights are those of epoch 4, the best." in said)


def test_what_is_special_of_an_end_is_said() -> None:
    """A form that is missing, a model that has learned nothing, notes; and nothing of an ordinary end."""
    extra = {
        "no_better_than_guessing": True,
        "commonest_class_share": 0.1135,
        "test": "out of memory",
        "exports": {"model.keras": "its layers cannot be written."},
        "notes": ["two pictures are the same", 7],
    }

    guessing = "always naming the commonest class is right for 11.3% of the samples, and it is hardly for more."
    assert remarks({"extra": extra}) == (
        f"It is no better than guessing: {guessing}",
        "The test could not be done: out of memory.",
        "There is no model.keras: its layers cannot be written.",
        "Two pictures are the same.",
    )
    assert remarks({"extra": {"epochs": 10, "exports": None, "notes": "?"}}, planned=10) == ()
    assert remarks({}) == remarks({"extra": "?"}) == ()


def test_a_job_whose_lease_has_lapsed_is_not_called_running() -> None:
    """Until a keeper has noticed, the page says that it is stalled."""
    stalled = job(progress=PROGRESS, heartbeat_ms=NOW - 9000, lease_ms=NOW - 6000)

    assert live_view(stalled, None, NOW).label == "Stalled"
    assert job_row(stalled, NOW).tone == "recovering"


def test_a_checkpoint_that_could_not_be_written_is_shown() -> None:
    """How far the last good one is, and what went wrong since, how often."""
    failure = {"step": 300, "reason": "No space left on device", "failures": 2}

    view = live_view(job(checkpoint_step=200, checkpoint_failure=failure), None, NOW)

    assert view.checkpoint == "step 200; failed at step 300: No space left on device (2 in all)"


def test_what_is_not_known_is_a_dash() -> None:
    """No made-up zeros."""
    view = live_view(job(Q, attempt=0), None, None)

    assert {view.epoch, view.batch, view.time_left, view.loss, view.primary, view.heartbeat} == {wording.NOTHING}


def test_a_finished_job_is_all_done() -> None:
    """Whatever its last progress event was."""
    assert live_view(job(JobState.SUCCEEDED, progress=PROGRESS), None, NOW).percent == 100.0


ACTIONS = [
    (job(Q), True, {"pause", "sooner", "later", "cancel"}),
    (job(R), True, {"pause", "cancel", "drill"}),
    (job(R), False, {"pause", "cancel"}),
    (job(R, wish=Wish.PAUSE), True, {"resume", "cancel", "drill"}),
    (job(R, wish=Wish.CANCEL), False, set()),
    (job(P), True, {"resume", "cancel"}),
    (job(JobState.FAILED), True, {"resume"}),
    (job(JobState.CANCELLED), True, {"resume"}),
    (job(JobState.SUCCEEDED), True, set()),
]


@pytest.mark.parametrize(("record", "drills", "offered"), ACTIONS)
def test_only_what_can_be_done_is_offered(record: JobRecord, drills: bool, offered: set[str]) -> None:
    """A button that would be refused is not there."""
    assert {button.action for button in buttons(record, drills)} == offered


def test_the_list_prefers_the_test_accuracy() -> None:
    """The final measure where there is one, else the training's own."""
    done = job(JobState.SUCCEEDED, progress=PROGRESS, result={"metrics": {"accuracy": 0.9}})

    assert best_known(done) == (0.9, "test accuracy")
    assert best_known(job(progress=PROGRESS)) == (0.987, "training accuracy")
    assert best_known(job()) == (None, "")
    assert best_known(job(progress=PROGRESS, attempt=2, progress_attempt=1)) == (None, "")  # a dead one's


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, wording.NOTHING),
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (200, "3 min 20 s"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (200_000, "2 days 7 h"),
        (-5, "0 s"),
    ],
)
def test_durations_have_the_units_that_matter(seconds: float | None, text: str) -> None:
    """One or two units."""
    assert wording.duration(seconds) == text
