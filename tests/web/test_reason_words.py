"""Reasons on pages and in the API: words for people, the code and its arguments for programs."""

import pytest
from flask.testing import FlaskClient

from keepfit.shared.jobs.states import Cause, JobState, Outcome
from keepfit.shared.reasons import Code, Reason, said
from keepfit.shared.store import Budget, Store
from keepfit.shared.store.records import JobRecord
from keepfit.web.jobs.live import headline
from keepfit.web.words import wording
from keepfit.web.words.catalogue import speaking
from keepfit.web.words.reasons import fields, in_words
from tests.unit.test_reasons import sample
from tests.web.acting import Actor


@pytest.mark.parametrize("code", Code)
def test_every_code_has_words_on_the_page(code: Code) -> None:
    """Those of the one table, a reason within the reason too."""
    assert in_words(sample(code)) == str(sample(code))


def test_a_reason_is_said_in_the_language_that_is_spoken() -> None:
    """The reason within it as well; programs get the words in English."""
    last = Reason.of(Code.WORKER_KILLED)
    reason = Reason.of(Code.BUDGET_USED_UP, count=5, last=last)

    with speaking("ko"):
        assert in_words(reason) == "새 체크포인트 없이 끝난 시도가 5번 이어짐, 마지막 원인: 워커가 강제 종료됨"
        assert fields(last, "reason")["reason"] == "the worker was killed"


def test_a_reason_of_a_newer_version_is_shown_as_far_as_it_can_be() -> None:
    """No code of this version: its text, or the code itself."""
    assert in_words(Reason("of-tomorrow", {"text": "It rains."})) == "It rains."
    assert in_words(Reason("of-tomorrow")) == "of-tomorrow"


def test_a_program_reads_the_code_of_an_end(client: FlaskClient, store: Store, actor: Actor, submitted: str) -> None:
    """Beside the words, which may be other ones in a later version."""
    run = actor.claim(submitted)
    killed = Reason.of(Code.PROCESS_SIGNALLED, signal="SIGKILL")
    store.leases.finish(run.claim, Outcome.INTERRUPTED, reason=killed, budget=Budget(1, 0.0), cause=Cause.PROCESS)

    job = client.get(f"/api/v1/jobs/{run.claim.job_id}").json

    assert job
    assert (job["reason_code"], job["reason_args"]["count"]) == ("budget-used-up", 1)
    assert job["reason_args"]["last"] == {"code": "process-signalled", "args": {"signal": "SIGKILL"}}
    assert job["reason"].endswith("the last one: the training process was killed (SIGKILL)")
    assert (job["last_end"], job["last_end_code"]) == ("the training process was killed (SIGKILL)", "process-signalled")


def test_nothing_is_decided_by_a_sentence() -> None:
    """Somebody else's words that begin as ours do are no wish of a person."""
    waits = JobRecord("abcdefghijkl", "job", "train", JobState.QUEUED, attempt=1, reason=said("resumed by a person"))
    stops = JobRecord("abcdefghijkl", "job", "train", JobState.PAUSED, reason=said("paused by a full disk"))

    assert wording.state_label(waits) == "Recovering"
    assert headline(stops, None, None) == "Paused: paused by a full disk."
