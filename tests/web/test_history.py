"""The history of a job over its attempts: one clean curve, whatever was killed."""

from pathlib import Path

import pytest

from shared.events import AttemptStarted, CheckpointRejected, EpochEnded, Event, Progress
from shared.jobdir import AttemptDir, JobDir, canonical_line, create_jobdir
from shared.spec import TrainSpec
from web.history import MAX_POINTS, read_history, read_log, read_rows

BATCHES = 100


@pytest.fixture
def jobdir(tmp_path: Path) -> JobDir:
    """The directory of a new job."""
    return create_jobdir(tmp_path / "jobs", TrainSpec(name="curves"))[0]


def write(attempt: AttemptDir, *events: Event) -> None:
    """Append the rows of an attempt."""
    with attempt.metrics.open("a") as file:
        for event in events:
            file.write(canonical_line({"type": event.type, "ms": 1, **event.__dict__}))


def start(number: int, step: int = 0) -> AttemptStarted:
    """The first row of an attempt."""
    return AttemptStarted(number, "lab", 1, step, resumed_attempt=number - 1 if step else 0)


def at(step: int, loss: float = 1.0) -> Progress:
    """A progress row."""
    return Progress(step, 1000, step // BATCHES, 10, step % BATCHES, BATCHES, {"loss": loss})


def epoch(number: int) -> EpochEnded:
    """The row of the end of an epoch (from 0)."""
    return EpochEnded(number, (number + 1) * BATCHES, {"loss": 0.5, "val_loss": 0.6}, 1.0)


def test_a_job_without_attempts_has_no_history(jobdir: JobDir) -> None:
    """Nothing has happened yet."""
    history = read_history(jobdir)

    assert (history.attempts, history.progress, history.epochs, history.marks) == ((), (), (), ())


def test_what_a_kill_made_void_is_cut(jobdir: JobDir) -> None:
    """Rows beyond the checkpoint that the next attempt took do not count; the rest is one rising curve."""
    write(jobdir.new_attempt(1), start(1), at(50), epoch(0), at(150), epoch(1), at(250, loss=9.0))
    write(jobdir.new_attempt(2), start(2, step=150), at(180), epoch(1), at(250, loss=0.3))

    history = read_history(jobdir)

    assert [p.step for p in history.progress] == [50, 150, 180, 250]
    assert history.progress[-1].logs == {"loss": 0.3}
    assert [p.step for p in history.epochs] == [100, 200]
    assert [(m.step, m.epoch, m.logs["attempt"]) for m in history.marks] == [(150, 1.5, 2)]


def test_an_attempt_that_restarts_from_the_beginning_voids_everything(jobdir: JobDir) -> None:
    """Without a checkpoint all of it is done again."""
    write(jobdir.new_attempt(1), start(1), at(50), epoch(0))
    write(jobdir.new_attempt(2), start(2), at(20))

    history = read_history(jobdir)

    assert [p.step for p in history.progress] == [20]
    assert history.epochs == ()


def test_an_attempt_that_died_before_it_began_changes_nothing(jobdir: JobDir) -> None:
    """It is listed, and the curve stays."""
    write(jobdir.new_attempt(1), start(1), at(50))
    jobdir.new_attempt(2)

    history = read_history(jobdir)

    assert [p.step for p in history.progress] == [50]
    assert [(a.number, a.started is None, a.last_step) for a in history.attempts] == [(1, False, 50), (2, True, 0)]


def test_a_torn_or_foreign_row_is_passed_over(jobdir: JobDir) -> None:
    """A kill in the middle of a write costs that row only."""
    attempt = jobdir.new_attempt(1)
    write(attempt, start(1), at(50))
    with attempt.metrics.open("a") as file:
        file.write('{"type": "dream", "step": 1}\n{"type": "progress", "step\n[1]\n\n"text"\n{"type":"progress"}\n')
    write(attempt, at(80))
    with attempt.metrics.open("a") as file:
        file.write('{"type":"progress","step":9')

    assert [row.step for row in read_rows(attempt.metrics) if isinstance(row, Progress)] == [50, 80]


def test_a_tail_holds_the_latest_rows(jobdir: JobDir) -> None:
    """Reading the end of a long file gives whole rows."""
    attempt = jobdir.new_attempt(1)
    write(attempt, start(1), *(at(step) for step in range(1000)))

    rows = [row.step for row in read_rows(attempt.metrics, tail_bytes=2000) if isinstance(row, Progress)]

    assert rows == list(range(rows[0], 1000))
    assert 1 < len(rows) < 50


def test_a_long_history_is_thinned(jobdir: JobDir) -> None:
    """A page gets no more points than it can show, the first and the last among them."""
    write(jobdir.new_attempt(1), start(1), *(at(step) for step in range(5000)))

    points = read_history(jobdir).progress

    assert len(points) == MAX_POINTS
    assert (points[0].step, points[-1].step) == (0, 4999)


def test_a_damaged_checkpoint_that_was_set_aside_is_told(jobdir: JobDir) -> None:
    """Each is named with what was wrong."""
    write(jobdir.new_attempt(1), start(1), CheckpointRejected("step-00000100", "state.safetensors is too short"))

    assert read_history(jobdir).attempts[0].rejected == ("step-00000100: state.safetensors is too short",)


def test_the_log_runs_over_all_attempts(jobdir: JobDir) -> None:
    """Lines carry their attempt and time; a line without a time is kept as it is."""
    jobdir.new_attempt(1).log.write_text("2026-01-02T03:04:05.678+00:00 begins\n  and goes on\n")
    jobdir.new_attempt(2).log.write_text("2026-01-02T03:04:06+00:00 again\n2026-01-02T03:04:07+00:00 torn of")

    lines = read_log(jobdir)

    assert [(line.attempt, line.text) for line in lines] == [(1, "begins"), (1, "  and goes on"), (2, "again")]
    assert [line.at_ms for line in lines] == [1767323045678, 0, 1767323046000]
    assert [line.text for line in read_log(jobdir, limit=1)] == ["again"]
