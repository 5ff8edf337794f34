"""The history of a job over its attempts: one clean curve, whatever was killed."""

from pathlib import Path

import pytest

from keepfit.shared.jobs.directory import AttemptDir, JobDir, create_jobdir
from keepfit.shared.jobs.events import AttemptStarted, CheckpointRejected, EpochEnded, Event, Progress, to_row
from keepfit.shared.spec import TrainSpec
from keepfit.web.jobs.curves import MAX_POINTS, read_curves
from keepfit.web.jobs.history import read_history, read_log, whole_log
from keepfit.web.jobs.rows import HEAD_BYTES, TAIL_BYTES, read_rows

BATCHES = 100


@pytest.fixture
def jobdir(tmp_path: Path) -> JobDir:
    """The directory of a new job."""
    return create_jobdir(tmp_path / "jobs", TrainSpec(name="curves"))[0]


def write(attempt: AttemptDir, *events: Event) -> None:
    """Append the rows of an attempt."""
    with attempt.metrics.open("a") as file:
        for event in events:
            file.write(to_row(event, 1))


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
    curves = read_curves(jobdir)

    assert (read_history(jobdir).attempts, curves.progress, curves.epochs, curves.marks) == ((), (), (), ())


def test_what_a_kill_made_void_is_cut(jobdir: JobDir) -> None:
    """Rows beyond the checkpoint that the next attempt took do not count; the rest is one rising curve."""
    write(jobdir.new_attempt(1), start(1), at(50), epoch(0), at(150), epoch(1), at(250, loss=9.0))
    write(jobdir.new_attempt(2), start(2, step=150), at(180), epoch(1), at(250, loss=0.3))

    history = read_curves(jobdir)

    assert [p.step for p in history.progress] == [50, 150, 180, 250]
    assert history.progress[-1].logs == {"loss": 0.3}
    assert [p.step for p in history.epochs] == [100, 200]
    assert [(m.step, m.epoch, m.logs["attempt"]) for m in history.marks] == [(150, 1.5, 2)]


def test_an_attempt_that_restarts_from_the_beginning_voids_everything(jobdir: JobDir) -> None:
    """Without a checkpoint all of it is done again."""
    write(jobdir.new_attempt(1), start(1), at(50), epoch(0))
    write(jobdir.new_attempt(2), start(2), at(20))

    history = read_curves(jobdir)

    assert [p.step for p in history.progress] == [20]
    assert history.epochs == ()


def test_an_attempt_that_died_before_it_began_changes_nothing(jobdir: JobDir) -> None:
    """It is listed, and the curve stays."""
    write(jobdir.new_attempt(1), start(1), at(50))
    jobdir.new_attempt(2)

    history = read_history(jobdir)

    assert [p.step for p in read_curves(jobdir).progress] == [50]
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

    points = read_curves(jobdir).progress

    assert len(points) == MAX_POINTS
    assert (points[0].step, points[-1].step) == (0, 4999)


def test_a_thinned_curve_keeps_its_extremes(jobdir: JobDir) -> None:
    """The one loss that was too high or too low is what people look for."""
    spikes = {1234: 99.0, 20_001: -7.0}
    write(jobdir.new_attempt(1), start(1), *(at(step, spikes.get(step, 1.0)) for step in range(30_000)))

    points = read_curves(jobdir).progress

    assert len(points) <= MAX_POINTS
    assert {p.step: p.logs["loss"] for p in points if p.logs["loss"] != 1.0} == spikes


def test_only_what_was_added_is_read_again(jobdir: JobDir) -> None:
    """A curve follows its file: rows are added, a torn one is completed, another file takes its place."""
    attempt = jobdir.new_attempt(1)
    write(attempt, start(1), at(50))
    assert [p.step for p in read_curves(jobdir).progress] == [50]

    with attempt.metrics.open("a") as file:
        file.write('{"type":"progress","step":60,"steps":1000,"epoch":0,"epochs":10,"bat')
    assert [p.step for p in read_curves(jobdir).progress] == [50]
    with attempt.metrics.open("a") as file:
        file.write('ch":60,"batches":100,"logs":{"loss":1.0}}\n')
    assert [p.step for p in read_curves(jobdir).progress] == [50, 60]

    attempt.metrics.unlink()
    write(attempt, start(1), at(70), at(71), at(72))
    assert [p.step for p in read_curves(jobdir).progress] == [70, 71, 72]


def test_looking_at_a_job_costs_the_same_however_long_it_was(jobdir: JobDir) -> None:
    """Its attempts come from the two ends of the file, not from what is between."""
    attempt = jobdir.new_attempt(1)
    write(attempt, start(1), *(epoch(number) for number in range(20_000)))
    with attempt.metrics.open("r+b") as file:  # nobody can read what lies between
        size = file.seek(0, 2)
        file.seek(HEAD_BYTES)
        file.write(b"\n" * (size - HEAD_BYTES - TAIL_BYTES))

    [found] = read_history(jobdir).attempts

    assert found.started == start(1)
    assert found.last_step == 20_000 * BATCHES


@pytest.mark.parametrize("damage", ["[" * 100_000, '{"type":"progress","step":' + "1" * 5000, "\0" * 3_000_000])
def test_a_damaged_line_costs_that_line(jobdir: JobDir, damage: str) -> None:
    """However it is broken."""
    attempt = jobdir.new_attempt(1)
    write(attempt, start(1), at(50))
    with attempt.metrics.open("a") as file:
        file.write(damage + "\n")
    write(attempt, at(80))

    assert [p.step for p in read_curves(jobdir).progress] == [50, 80]
    assert read_history(jobdir).attempts[0].last_step == 80


def test_a_damaged_checkpoint_that_was_set_aside_is_told(jobdir: JobDir) -> None:
    """Each is named with what was wrong."""
    write(jobdir.new_attempt(1), start(1), CheckpointRejected("step-00000100", "state.safetensors is too short"))

    assert read_history(jobdir).attempts[0].rejected == ("step-00000100: state.safetensors is too short",)


def test_the_log_runs_over_all_attempts(jobdir: JobDir) -> None:
    """Lines carry their attempt and time; a line without a time is kept as it is."""
    jobdir.new_attempt(1).log.write_text("2026-01-02T03:04:05.678+00:00 begins\n  and goes on\n")
    jobdir.new_attempt(2).log.write_text("2026-01-02T03:04:06+00:00 again\n2026-01-02T03:04:07+00:00 torn of")

    log = read_log(jobdir)

    assert [(line.attempt, line.text) for line in log.lines] == [(1, "begins"), (1, "  and goes on"), (2, "again")]
    assert [line.at_ms for line in log.lines] == [1767323045678, 0, 1767323046000]
    assert log.whole


def test_the_log_says_when_lines_are_left_out(jobdir: JobDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an earlier attempt, of the same one, or of a file that is read from its end only."""
    jobdir.new_attempt(1).log.write_text("one\n")
    jobdir.new_attempt(2).log.write_text("two\nthree\n")

    assert [line.text for line in read_log(jobdir, limit=2).lines] == ["two", "three"]
    assert [read_log(jobdir, limit=limit).whole for limit in (1, 2, 3, 4)] == [False, False, True, True]
    monkeypatch.setattr("keepfit.web.jobs.history.LOG_TAIL_BYTES", 8)
    assert not read_log(jobdir).whole
    assert b"".join(whole_log(jobdir)) == b"# attempt 1\none\n# attempt 2\ntwo\nthree\n"
