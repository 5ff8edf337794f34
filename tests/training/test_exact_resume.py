"""P1: a job that is interrupted and goes on ends with the same bits as one that is not.

Equal means: sha256 over the raw bytes of all state, callback state and the floats of the history.
"""

from pathlib import Path

import pytest

from keepfit.shared.jobs.states import Outcome
from keepfit.worker.training import resume
from keepfit.worker.training.program import CheckpointPolicy
from tests.harness.documents import record_of
from tests.training import programs
from tests.training.running import StopAfter, attempt, final_of, interrupted, jobdir_at, undisturbed


@pytest.mark.parametrize("name", [*programs.some_names(), *programs.SPECIAL])
def test_interrupted_anywhere_ends_with_the_same_bits(name: str, tmp_path: Path) -> None:
    """Twice stopped in the middle of an epoch, each time going on with a freshly built model."""
    program = programs.build(name)
    whole = undisturbed(program, tmp_path / "whole")

    broken = interrupted(program, tmp_path / "broken", looks=(2, 3))

    assert broken == whole


@pytest.mark.chaos
@pytest.mark.parametrize("name", programs.names())
def test_every_model_resumes_exactly_under_every_optimizer(name: str, tmp_path: Path) -> None:
    """The whole matrix of models, optimizers and learning rates."""
    program = programs.build(name)
    whole = undisturbed(program, tmp_path / "whole")

    broken = interrupted(program, tmp_path / "broken", looks=(2, 2, 5))

    assert broken == whole


def test_stopped_at_every_step_and_phase_in_turn(tmp_path: Path) -> None:
    """A stop at each of the looks that a short job takes: before each chunk, before and amid validation."""
    program = programs.compose("dropout", "ema", "plateau", epochs=2)
    whole = undisturbed(program, tmp_path / "whole")

    ends = [interrupted(program, tmp_path / f"look-{look}", looks=(look,)) for look in range(1, 12)]

    assert ends == [whole] * len(ends)


def test_ten_interruptions_two_of_them_in_one_epoch(tmp_path: Path) -> None:
    """Every chunk is followed by a stop, so each epoch is interrupted several times."""
    program = programs.compose("gru", "lion", "cosine")
    whole = undisturbed(program, tmp_path / "whole")

    broken = interrupted(program, tmp_path / "broken", looks=(2,) * 10)

    assert broken == whole
    assert whole.step == programs.EPOCHS * program.batches


def test_chunk_length_changes_no_bit(tmp_path: Path) -> None:
    """Steps are cut into calls of the engine in another way, under XLA too."""
    for name in ("dropout+adam+constant", "xla-dropout"):
        program = programs.build(name)

        one, three = (undisturbed(program, tmp_path / f"{name}-{n}", chunk_steps=n) for n in (1, 3))

        assert one == three


def test_going_on_with_other_chunks_and_another_interval_changes_no_bit(tmp_path: Path) -> None:
    """Not only whole runs: each attempt cuts and saves as it likes."""
    jobdir, whole = jobdir_at(tmp_path / "job"), undisturbed(programs.compose("dropout"), tmp_path / "whole")

    for chunk, every in ((1, 1), (3, 1000), (2, 2)):
        policy = CheckpointPolicy(interval_s=1000, every_steps=every)
        result = attempt(programs.compose("dropout", policy=policy), jobdir, StopAfter(2), chunk_steps=chunk)
        assert result.outcome is Outcome.STOPPED
    attempt(programs.compose("dropout"), jobdir)

    assert final_of(jobdir) == whole


def test_the_plan_of_the_first_attempt_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where a later version of the rule would choose another one."""
    jobdir = jobdir_at(tmp_path / "job")
    whole = undisturbed(programs.build("mlp+sgd+constant"), tmp_path / "whole")
    attempt(programs.build("mlp+sgd+constant"), jobdir, StopAfter(3))
    (first,) = jobdir.attempt_dirs()
    other = {"xla": "graph", "graph": "xla"}[record_of(first).plan]
    monkeypatch.setattr(resume, "choose_plan", lambda *_: other)

    result = attempt(programs.build("mlp+sgd+constant"), jobdir)

    assert result.extra["plan"] == record_of(first).plan
    assert final_of(jobdir) == whole


def test_another_checkpoint_interval_changes_no_bit(tmp_path: Path) -> None:
    """Saved after every step, or hardly at all."""
    often, rarely = (
        programs.compose("noise", policy=CheckpointPolicy(interval_s=1000, every_steps=n)) for n in (1, 1000)
    )

    assert interrupted(often, tmp_path / "often", looks=(3,)) == undisturbed(rarely, tmp_path / "rarely")
