"""A document of any version is read as one of today's: what is missing is filled in, what is unknown passed over."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from keepfit.shared.durable import write_json
from keepfit.shared.errors import DamagedFile
from keepfit.shared.jobs.documents import (
    AttemptFile,
    ClaimFile,
    Document,
    JobFile,
    ResultFile,
    TombstoneFile,
    VerdictFile,
    WishFile,
)
from keepfit.shared.jobs.documents.upgrade import STEPS, latest, upgraded
from keepfit.shared.jobs.states import Outcome, Wish
from keepfit.shared.reasons import NONE, Code, Reason, said

LEAST: dict[type[Document], dict[str, Any]] = {
    JobFile: {"spec": {"name": "first"}, "spec_sha256": "0" * 64},
    WishFile: {"wish": "pause", "number": 2},
    VerdictFile: {"state": "failed"},
    ClaimFile: {},
    AttemptFile: {},
    ResultFile: {"outcome": "finished"},
    TombstoneFile: {},
}
"""Of each document, what it cannot be without."""


def test_every_document_has_its_steps() -> None:
    """None is left out, and a step is found by its number."""
    assert {model.kind for model in Document.__subclasses__()} == set(STEPS)
    assert LEAST.keys() == set(Document.__subclasses__())
    for kind, steps in STEPS.items():
        assert [step.__name__ for step in steps] == [f"{kind}_{n}_to_{n + 1}" for n in range(1, len(steps) + 1)]


@pytest.mark.parametrize("model", LEAST)
def test_what_is_missing_is_filled_in_and_what_is_unknown_is_passed_over(tmp_path: Path, model: type[Document]) -> None:
    """Of any version, also of one to come; the file stays as it is."""
    path = tmp_path / "document.json"
    for version in ({}, {"version": 1}, {"version": 99}, {"version": "one"}):
        write_json(path, LEAST[model] | version | {"added_later": [1]})
        content = path.read_bytes()

        found = model.read(path)

        assert found is not None
        assert found.version == max(latest(model.kind), 99 if version == {"version": 99} else 0)
        assert found == model.of(LEAST[model] | {"added_later": [1]}).model_copy(update={"version": found.version})
        assert path.read_bytes() == content


@pytest.mark.parametrize("model", LEAST)
def test_what_is_written_is_read_again(tmp_path: Path, model: type[Document]) -> None:
    """With the version that wrote it."""
    path = tmp_path / "document.json"
    document = model.of(LEAST[model])

    document.write(path)

    assert model.read(path) == document
    assert json.loads(path.read_text())["version"] == latest(model.kind)


@pytest.mark.parametrize("model", LEAST)
def test_a_field_of_the_wrong_type_costs_itself(model: type[Document]) -> None:
    """Unless the document says nothing without it; and nobody writes one."""
    least = {"version": latest(model.kind), **LEAST[model]}
    for name in model.model_fields:
        damaged = least | {name: math.inf}
        if name in LEAST[model]:
            with pytest.raises(DamagedFile):
                model.of(damaged)
        else:
            assert model.of(damaged) == model.of(least)
        with pytest.raises(ValidationError):
            model(**damaged)


def test_a_claim_of_0_1_says_why_the_attempt_before_ended() -> None:
    """A resume has overwritten it in 0.1: then nobody knows."""
    known = ClaimFile.of({"owner": "me", "wish_number": 3, "after": "the worker was killed"})
    unknown = ClaimFile.of({"owner": "me", "wish_number": 3, "after": "resumed by a person"})
    damaged = ClaimFile.of({"owner": "me", "after": ["x"]})

    assert (known.owner, known.wish_number, known.previous_end) == ("me", 3, Reason.of(Code.WORKER_KILLED))
    assert (unknown.previous_end, damaged.previous_end) == (NONE, NONE)


def test_a_sentence_of_0_1_is_a_reason() -> None:
    """In results and verdicts; what is nobody's sentence any more stands as it is."""
    result = ResultFile.of({"outcome": "stopped", "reason": "stopped at step 8,332 (wish)", "step": 8332})
    verdict = VerdictFile.of({"state": "failed", "reason": "it rained"})

    assert result.reason == Reason.of(Code.STEP_STOPPED, step=8332, by="wish")
    assert (verdict.reason, str(verdict.reason)) == (said("it rained"), "it rained")
    assert ResultFile.of(result.model_dump()) == result


def test_an_attempt_of_0_1_took_data_as_it_found_them() -> None:
    """It made no notes; an evaluation trains on nothing, and neither version of it has any."""
    old = {"host": "a", "plan": "graph", "resumed": {"attempt": 1, "step": 7}}

    assert AttemptFile.of(old).data_as_found
    assert not AttemptFile.of(old | {"notes": []}).data_as_found
    assert not AttemptFile.of({"host": "a"}).data_as_found


def test_a_step_is_taken_once() -> None:
    """A document of today's version is as it is, whatever else is in it."""
    now = {"version": latest("claim"), "previous_end": "said", "after": "not this"}

    assert upgraded("claim", now) == now
    assert upgraded("claim", upgraded("claim", {"after": "said"})) == upgraded("claim", {"after": "said"})


def test_a_result_keeps_what_a_later_version_has_added() -> None:
    """It goes on to the queue server, which later versions read too."""
    found = ResultFile.of({"outcome": "failed", "report": {"classes": 3}})

    assert found.outcome is Outcome.FAILED
    assert found.model_dump()["report"] == {"classes": 3}


def test_a_wish_is_whole_or_none() -> None:
    """What nobody can have wished is damage."""
    assert WishFile.of({"wish": "run", "number": 0}).wish is Wish.RUN
    for wrong in ({"wish": "fly"}, {"number": -1}, {"number": True}, {"wish": None}):
        with pytest.raises(DamagedFile, match="it holds no wish"):
            WishFile.of({"wish": "run", "number": 0} | wrong)
