"""The list and the job's page, as the server renders them: every state, without JavaScript."""

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from keepfit.shared.durable import write_json
from keepfit.shared.jobs.events import CheckpointRejected
from keepfit.shared.jobs.states import Outcome
from keepfit.shared.settings import Settings
from keepfit.shared.store import Store
from tests.web.acting import Actor
from tests.web.conftest import SPEC


def actions(page: str) -> set[str]:
    """The actions that a page offers."""
    known = ("pause", "resume", "cancel", "drill")
    return {name for name in known if f'id="action-{name}"' in page}


def test_an_empty_list_leads_to_the_form(client: FlaskClient) -> None:
    """Who comes for the first time is told what to do."""
    page = client.get("/").text

    assert "No jobs yet" in page
    assert 'href="/jobs/new"' in page


def test_the_list_shows_the_newest_first(client: FlaskClient) -> None:
    """Jobs come in the order of their making, the latest on top."""
    for name in ("one", "two", "three"):
        client.post("/api/v1/jobs", json=SPEC | {"name": name})

    page = client.get("/").text

    assert "3 jobs" in page
    assert page.index(">three<") < page.index(">two<") < page.index(">one<")


def test_the_list_is_in_pages(client: FlaskClient) -> None:
    """Twenty-five jobs a page; a page too far leads to the last one."""
    for number in range(27):
        client.post("/api/v1/jobs", json=SPEC | {"name": f"job {number}"})

    first, second, beyond = client.get("/"), client.get("/?page=2"), client.get("/?page=9")

    assert first.text.count("job-row") == 25
    assert second.text.count("job-row") == 2
    assert beyond.headers["Location"].endswith("page=2")


def test_a_queued_job_says_why_it_waits(client: FlaskClient, submitted: str) -> None:
    """The reason stands on the page, with what can be done."""
    page = client.get(f"/jobs/{submitted}").text

    assert "Waiting to start: no worker is alive." in page
    assert actions(page) == {"pause", "cancel"}


def test_a_running_job_shows_how_far_it_is(client: FlaskClient, submitted: str, actor: Actor) -> None:
    """Epoch, batch, loss, accuracy and time left are on the page as it is served."""
    run = actor.claim(submitted)
    run.start()
    run.progress(339, loss=0.3456, accuracy=0.9)

    page = client.get(f"/jobs/{submitted}").text

    for text in (">Running<", "4 of 10", "0 of 113", ">0.3456<", ">0.9000<", ">30 s<", ">30 %<", "900 steps/s"):
        assert text in page
    assert actions(page) == {"pause", "cancel", "drill"}


def test_the_drill_is_offered_only_where_drills_are_on(
    settings: Settings, client: FlaskClient, submitted: str, actor: Actor
) -> None:
    """Without KEEPFIT_DRILLS nobody is tempted."""
    from keepfit.web.app import create_app

    actor.claim(submitted)

    careful = create_app(settings.model_copy(update={"drills": False})).test_client()

    assert "drill" in actions(client.get(f"/jobs/{submitted}").text)
    assert "drill" not in actions(careful.get(f"/jobs/{submitted}").text)


def test_a_drill_is_answered_at_once(
    client: FlaskClient, submitted: str, actor: Actor, token: Callable[[], str]
) -> None:
    """The kill shows after seconds only, so the page says that it was asked for."""
    actor.claim(submitted).start()

    page = client.post(f"/jobs/{submitted}/drill", data={"csrf_token": token()}, follow_redirects=True).text

    assert "The worker was told to die; its job goes on in seconds." in page


def test_a_drill_that_nobody_has_heard_of_is_over(
    client: FlaskClient, submitted: str, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that does not look for it in time lives on: its job has its figures and its button again."""
    run = actor.claim(submitted)
    run.start()
    run.progress(100)
    client.post(f"/api/v1/jobs/{submitted}/drill", json={})
    told = client.get(f"/jobs/{submitted}").text
    monkeypatch.setattr("keepfit.web.deeds.drill.DRILL_KEPT_MS", 0)
    client.post(f"/api/v1/jobs/{submitted}/drill", json={})
    later = client.get(f"/jobs/{submitted}").text

    assert "Its worker was told to die; it goes on by itself from the beginning." in told
    assert "900 steps/s" not in told
    assert "drill" not in actions(told)
    assert "Training." in later
    assert "900 steps/s" in later
    assert "drill" in actions(later)


def train_and_die(actor: Actor, job_id: str, at: int = 0) -> None:
    """An attempt that is killed, at a step if it had reported one."""
    run = actor.claim(job_id)
    run.start()
    if at:
        run.progress(at)
    run.end(Outcome.INTERRUPTED, "the worker was killed")


def test_a_killed_job_is_recovering_in_plain_words(client: FlaskClient, submitted: str, actor: Actor) -> None:
    """After a kill the page says what happened and where the job goes on."""
    train_and_die(actor, submitted, at=300)

    page, listed = client.get(f"/jobs/{submitted}").text, client.get("/").text

    assert "Recovering: the worker was killed; goes on from the beginning" in page
    assert ">Recovering<" in listed
    assert "The worker was killed at step 300" in page


def test_a_recovered_job_says_what_the_kill_cost(client: FlaskClient, submitted: str, actor: Actor) -> None:
    """The attempts' table and one sentence say where it went on and what was done again."""
    train_and_die(actor, submitted, at=300)
    second = actor.claim(submitted)
    second.start(step=226, resumed_attempt=1)

    page = client.get(f"/jobs/{submitted}").text

    assert "Recovered: the worker was killed in attempt 1, at step 300;" in page
    assert "attempt 2 went on from step 226; about 74 steps done again." in page
    assert "step 226, of attempt 1" in page
    assert '<span class="badge good">exact</span>' in page


@pytest.mark.parametrize("action", ["pause", "cancel"])
def test_the_cause_of_a_kill_stays_with_its_attempt(
    client: FlaskClient, submitted: str, actor: Actor, action: str
) -> None:
    """Whatever a person wishes of the job before and after it has recovered."""
    run = actor.claim(submitted)
    run.start()
    run.progress(90)
    client.post(f"/api/v1/jobs/{submitted}/{action}", json={})
    run.end(Outcome.INTERRUPTED, "the worker was killed")
    stopped = client.get(f"/jobs/{submitted}").text
    client.post(f"/api/v1/jobs/{submitted}/resume", json={})
    resumed = client.get(f"/jobs/{submitted}").text
    actor.claim(submitted).start()
    goes_on = client.get(f"/jobs/{submitted}").text

    for page in (stopped, resumed, goes_on):
        assert "The worker was killed at step 90" in page
        assert "by a person at step 90" not in page
    assert "Recovered: the worker was killed in attempt 1, at step 90;" in goes_on


def test_a_cause_that_an_older_version_has_lost_is_not_made_up(
    client: FlaskClient, submitted: str, actor: Actor, store: Store
) -> None:
    """It noted "resumed by a person" as the end of the killed attempt before: no attempt ends by that."""
    train_and_die(actor, submitted, at=90)
    second = actor.claim(submitted)
    write_json(second.directory.claim, {"owner": second.claim.owner, "wish_number": 1, "after": "resumed by a person"})
    second.start()

    page = client.get(f"/jobs/{submitted}").text

    assert "It was killed or lost at step 90" in page
    assert "Recovered: it was killed or lost in attempt 1" in page


def test_a_resume_that_is_not_exact_says_what_differs(client: FlaskClient, submitted: str, actor: Actor) -> None:
    """Another machine's attempt is marked, with the difference."""
    first = actor.claim(submitted)
    first.start()
    first.end(Outcome.INTERRUPTED, "no word from its worker for 3 s")
    second = actor.claim(submitted)
    second.start(step=113, resumed_attempt=1, exact=False, differs=("threads: 1, then 2",))
    second.finish()

    page = client.get(f"/jobs/{submitted}").text

    assert "not exact" in page
    assert "threads: 1, then 2" in page
    assert "Resumed, but not bit-exact" in page


def test_a_finished_job_shows_its_result_and_its_files(client: FlaskClient, finished: str) -> None:
    """Final test accuracy and loss, the weights' digest, exactness and both downloads."""
    page = client.get(f"/jobs/{finished}").text

    assert "95.00\N{NO-BREAK SPACE}%" in page
    for text in ("0.2000", "abababababab", "Never interrupted", "model.keras", "weights.h5", ">100 %<"):
        assert text in page
    assert actions(page) == set()
    assert 'id="evaluate-button"' in page


def test_a_job_killed_before_its_first_checkpoint_is_not_called_uninterrupted(
    client: FlaskClient, submitted: str, actor: Actor
) -> None:
    """The result says that it began again; the attempt that never began to compute is not restoring for ever."""
    first = actor.claim(submitted)
    restoring = client.get(f"/jobs/{submitted}").text
    first.end(Outcome.INTERRUPTED, "the worker was killed")
    second = actor.claim(submitted)
    second.start()
    second.finish()

    page = client.get(f"/jobs/{submitted}").text

    assert '<td data-label="From">restoring</td>' in restoring
    assert "restoring" not in page
    assert "Never interrupted" not in page
    assert "Interrupted before its first checkpoint; started again from the beginning" in page


def test_a_job_whose_only_checkpoint_was_damaged_says_that_it_began_again(
    client: FlaskClient, submitted: str, actor: Actor
) -> None:
    """There was a checkpoint, so the result must not say that there was none."""
    train_and_die(actor, submitted)
    second = actor.claim(submitted)
    second.report(CheckpointRejected("step-00000100", "state.safetensors is too short"))
    second.start()
    second.finish()

    page = client.get(f"/jobs/{submitted}").text

    assert "Interrupted, and its checkpoints were damaged; started again from the beginning" in page


def test_a_new_attempt_shows_no_speed_of_the_old_one(client: FlaskClient, submitted: str, actor: Actor) -> None:
    """Speed and time left come back with its first report."""
    train_and_die(actor, submitted, at=300)
    second = actor.claim(submitted)

    before = client.get(f"/jobs/{submitted}").text
    second.start(step=226, resumed_attempt=1)
    second.progress(240)
    after = client.get(f"/jobs/{submitted}").text

    assert "900 steps/s" not in before
    assert "Starting, attempt 2." in before
    assert "900 steps/s" in after
    assert "Training, attempt 2." in after


def test_all_that_was_asked_for_is_on_the_page(client: FlaskClient) -> None:
    """Plan, checkpoints by steps and both callbacks are shown when they were given, and only then."""
    training = {
        "plan": "xla",
        "checkpoint_every_steps": 1500,
        "early_stopping": {"monitor": "val_accuracy", "patience": 4, "min_delta": 0.001},
        "reduce_lr": {"factor": 0.2, "patience": 1, "min_lr": 0.00001, "cooldown": 2},
    }
    given = client.post("/api/v1/jobs", json={"name": "all of it", "training": training}).get_json()["id"]
    plain = client.post("/api/v1/jobs", json=SPEC).get_json()["id"]

    page, short = client.get(f"/jobs/{given}").text, client.get(f"/jobs/{plain}").text

    for row in (
        "<dt>Plan</dt><dd>xla</dd>",
        "<dt>Checkpoint also every</dt><dd>1,500 steps</dd>",
        "<dt>Early stopping</dt><dd>on val_accuracy, patience 4, least change 0.001, restores the best weights</dd>",
        "<dt>Reduced learning rate</dt><dd>on val_loss, factor 0.2, patience 1, not below 1e-05, cooldown 2</dd>",
    ):
        assert row in page
    for name in ("Plan", "Checkpoint also every", "Early stopping", "Reduced learning rate"):
        assert f"<dt>{name}</dt>" not in short


def test_a_failed_job_says_why_and_can_be_tried_again(client: FlaskClient, submitted: str, actor: Actor) -> None:
    """The reason is on the page."""
    run = actor.claim(submitted)
    run.end(Outcome.FAILED, "the loss is not a number since step 12", {"outcome": "failed"})

    page = client.get(f"/jobs/{submitted}").text

    assert "Failed: the loss is not a number since step 12." in page
    assert actions(page) == {"resume"}


def test_the_log_and_the_spec_are_on_the_page(client: FlaskClient, submitted: str, actor: Actor) -> None:
    """What the attempt wrote, and what was asked for."""
    run = actor.claim(submitted)
    run.start()
    run.log("epoch 1: loss 0.4")

    page = client.get(f"/jobs/{submitted}").text

    assert "epoch 1: loss 0.4" in page
    assert "<dt>Learning rate</dt><dd>0.001</dd>" in page


@pytest.mark.parametrize("path", ["/jobs/aaaaaaaaaaaa", "/jobs/new/else", "/nothing", "/jobs/..%2f..%2fsecret-key"])
def test_an_unknown_page_is_a_page(client: FlaskClient, path: str) -> None:
    """A 404 is a page with a way back."""
    answer = client.get(path)

    assert answer.status_code == 404
    assert "There is nothing here" in answer.text
    assert 'href="/"' in answer.text


def test_an_error_of_ours_shows_no_traceback(client: FlaskClient, submitted: str) -> None:
    """Whatever breaks, people get a page; the details are in the log."""

    def broken(job_id: str) -> str:
        raise RuntimeError(job_id)

    client.application.view_functions |= {"pages.job": broken, "api.job": broken}

    page, api = client.get(f"/jobs/{submitted}"), client.get(f"/api/v1/jobs/{submitted}")

    assert (page.status_code, api.status_code) == (500, 500)
    assert "Something went wrong on our side" in page.text
    assert set(api.get_json()) == {"error"}
    assert "Traceback" not in page.text + api.text


def test_the_buttons_work_without_javascript(
    client: FlaskClient, store: Store, submitted: str, token: Callable[[], str]
) -> None:
    """Each is a form; afterwards the job's page shows the new state."""
    answer = client.post(f"/jobs/{submitted}/pause", data={"csrf_token": token()}, follow_redirects=True)

    assert store.jobs.get(submitted).state == "paused"
    assert "Paused by a person." in answer.text
    assert actions(answer.text) == {"resume", "cancel"}
