"""Reasons: every code has words, and what 0.1 has stored, which was sentences, is still understood."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from string import Formatter
from typing import Any

import pytest

from keepfit.shared import reasons
from keepfit.shared.reasons import EARLIER, ENGLISH, NONE, Code, Reason, read, read_sentence, said

SAMPLES: dict[str, Any] = {",": 12_345, "d": 7, "g": 2.5, "": "a text (of somebody)"}
BUDGET_LOST = "5 attempts in a row ended without a new checkpoint; the last one: "
OF_0_1 = Path(__file__).parent.parent / "compat" / "0.1" / "jobs"


def sample(code: Code) -> Reason:
    """A reason of the code, with all its arguments."""
    fields = [(name, spec) for _, name, spec, _ in Formatter().parse(ENGLISH[code]) if name]
    args = {name: Reason.of(Code.PROCESS_KILLED) if name == "last" else SAMPLES[spec or ""] for name, spec in fields}
    return Reason(code.value, args)


@pytest.mark.parametrize("code", Code)
def test_every_code_has_words(code: Code) -> None:
    """All of its arguments are in them, and numbers as people write them."""
    sentence = str(sample(code))

    assert sentence
    assert "{" not in sentence
    assert "12345" not in sentence


@pytest.mark.parametrize("code", [code for code in Code if code is not Code.SAID])
def test_the_words_of_a_code_lead_back_to_it(code: Code) -> None:
    """So a data directory of a version that wrote only sentences is understood."""
    assert read_sentence(str(sample(code))) == sample(code)


@pytest.mark.parametrize("code", Code)
def test_a_reason_is_stored_and_read(code: Code) -> None:
    """As a text of Redis, and as a field of a document."""
    reason = sample(code)

    assert read(reason.to_text()) == reason
    assert read(json.loads(json.dumps(reason.to_json()))) == reason
    assert read(dataclasses.asdict(reason)) == reason


def stored(name: str, field: str) -> Iterator[str]:
    """The sentences that 0.1 has left in its documents of this name."""
    for path in OF_0_1.rglob(name):
        try:
            if sentence := json.loads(path.read_text()).get(field):
                yield sentence
        except (ValueError, AttributeError):  # one of the damaged ones
            continue


def test_every_sentence_of_0_1_has_a_code() -> None:
    """Whatever its version has said in results, verdicts and claims."""
    sentences = {*stored("result.json", "reason"), *stored("verdict.json", "reason"), *stored("claim.json", "after")}
    assert len(sentences) >= 8, "the old data are elsewhere now"

    found = {sentence: read_sentence(sentence) for sentence in sentences}

    assert all(reason.code != Code.SAID for reason in found.values()), found
    reworded = {code for code, _ in EARLIER}
    assert all(str(reason) == sentence or reason.code in reworded for sentence, reason in found.items())


def test_a_reason_within_a_reason_is_understood() -> None:
    """The last death of a job whose budget is used up."""
    reason = read_sentence(
        "5 attempts in a row ended without a new checkpoint; the last one: the training process was killed (SIGKILL)"
    )

    last = Reason.of(Code.PROCESS_SIGNALLED, signal="SIGKILL")
    assert reason == Reason.of(Code.BUDGET_USED_UP, count=5, last=last)
    assert read(reason.to_text()).args["last"] == last


def test_an_old_wording_is_still_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sentence may be put better later: what it was is kept."""
    monkeypatch.setattr(reasons, "EARLIER", ((Code.WORKER_KILLED, "its worker was shot"),))
    reasons._wordings.cache_clear()
    try:
        assert read_sentence("its worker was shot") == Reason.of(Code.WORKER_KILLED)
    finally:
        monkeypatch.undo()
        reasons._wordings.cache_clear()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ""),
        ("something else", "something else"),
        ('{"code":"of-tomorrow","args":{"text":"It rains."}}', "It rains."),
        ('{"code":"of-tomorrow","args":{}}', "of-tomorrow"),
        ('{"code":"step-stopped","args":{}}', "step-stopped"),
        ('{"code":"step-stopped","args":{"step":"many","by":"wish"}}', "step-stopped"),
        ('{"code":"worker-killed"}', "the worker was killed"),
        ('{"code":"worker-killed","args":[]}', "the worker was killed"),
        ("{no JSON", "{no JSON"),
        ("{}", "{}"),
        ('{"code":7}', '{"code":7}'),
        ('{"code":"said","args":{"text":"half a \\ud800 character"}}', "half a ? character"),
        ('{"code":"said","args":{"text":["a list"]}}', "said"),
        ('{"code":"budget-used-up","args":{"count":5,"last":' * 400 + "7" + "}}" * 400, BUDGET_LOST * 2),
    ],
)
def test_a_reason_that_nobody_here_has_written_says_what_it_can(text: str, words: str) -> None:
    """Of a newer version, or damaged."""
    assert str(read(text)) == words


def test_no_reason_is_none() -> None:
    """It is false, has no words, and nothing is stored for it."""
    assert not NONE
    assert (str(NONE), NONE.to_text(), NONE.to_json()) == ("", "", {})
    assert read(None) == read(7) == read([]) == read({}) == read("") == said("") == NONE
