"""Pages speak the reader's language: the browser's, or the one that was chosen; programs are spoken to in English."""

import json
import re
from html import unescape

import pytest
from flask.testing import FlaskClient

from keepfit.web.language import COOKIE
from tests.web.acting import Actor

KOREAN = {"Accept-Language": "ko-KR,ko;q=0.9,en-US;q=0.8,en;q=0.7"}
NAMES = {
    "Keepfit", "English", "model", "fit", "MNIST", "Fashion", "MLP", "CNN", "Flatten", "Dense", "relu", "softmax",
    "Dropout", "adam", "first", "id", "UTC", "keras", "weights", "h5", "JavaScript", "lab", "local",
    "API", "nothing", "kB",
}  # fmt: skip
"""Words that are the same in every language: names of things, and what a test has called its job."""


def english_in(page: str) -> set[str]:
    """The English words that a reader, or a screen reader, finds in the page; ids, logs and machines' names aside."""
    hidden = r"""<div class="log".*?</div>|<code.*?</code>|data-\w+=('.*?'|".*?")"""
    page = re.sub(hidden, "", page, flags=re.DOTALL)
    labels = re.findall(r'\b(?:title|alt|placeholder|aria-label)="([^"]*)"', page)
    return set(re.findall(r"[A-Za-z]{2,}", unescape(" ".join([*labels, re.sub(r"<[^>]*>", " ", page)])))) - NAMES


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("ko-KR,ko;q=0.9,en-US;q=0.8,en;q=0.7", "ko"),
        ("ko-KR,en;q=0.8", "ko"),
        ("en-US,en;q=0.9,ko;q=0.8", "en"),
        ("en-GB;q=0.9,ko", "ko"),
        ("fr-FR,fr;q=0.9,ko;q=0.5", "ko"),
        ("fr", "en"),
        ("ko;q=0, en", "en"),
        ("*", "en"),
        ("", "en"),
    ],
)
def test_a_page_speaks_what_the_browser_asks_for(client: FlaskClient, accepted: str, language: str) -> None:
    """The first of its languages that is spoken here, else English; the page says which one it is."""
    page = client.get("/", headers={"Accept-Language": accepted}).text

    assert f'<html lang="{language}"' in page
    assert ("아직 작업이 없습니다" in page) == (language == "ko")


def test_a_chosen_language_outweighs_the_browsers(client: FlaskClient, submitted: str) -> None:
    """It is kept in a cookie, and the choice leads back to the page on which it was made, its question included."""
    page = client.get("/?state=queued", headers=KOREAN).text
    assert 'name="back" value="/?state=queued"' in page
    assert '<button name="language" value="en" lang="en"' in page

    answer = client.post("/language", data={"language": "en", "back": f"/jobs/{submitted}"}, headers=KOREAN)

    assert (answer.status_code, answer.headers["Location"]) == (303, f"/jobs/{submitted}")
    assert "SameSite=Lax" in answer.headers["Set-Cookie"]
    assert '<html lang="en"' in client.get("/", headers=KOREAN).text
    client.set_cookie(COOKIE, "xx")
    assert '<html lang="ko"' in client.get("/", headers=KOREAN).text


@pytest.mark.parametrize(
    "back", ["", "https://elsewhere.example/", "//elsewhere.example", "/\\elsewhere.example", "jobs"]
)
def test_a_choice_never_leads_to_another_site(client: FlaskClient, back: str) -> None:
    """Whatever was sent along: the way leads to a page of ours."""
    answer = client.post("/language", data={"language": "ko", "back": back})

    assert (answer.status_code, answer.headers["Location"]) == (303, "/")


def test_only_a_page_of_ours_can_choose(client: FlaskClient) -> None:
    """As with everything that is sent; what is no language changes nothing."""
    refused = client.post("/language", data={"language": "ko"}, headers={"Origin": "https://elsewhere.example"})

    assert refused.status_code == 403
    assert "Set-Cookie" not in client.post("/language", data={"language": "xx"}).headers


def test_no_english_is_left_on_a_korean_page(client: FlaskClient, actor: Actor, finished: str) -> None:
    """The list, the form, a job that has ended, one that trains, an evaluation, a deletion, a wrong address."""
    training = str(client.post("/api/v1/jobs", json={"name": "first"}).get_json()["id"])
    run = actor.claim(training)
    run.start()
    run.progress(113)
    evaluation = str(client.post(f"/api/v1/jobs/{finished}/evaluations", json={"name": "first"}).get_json()["id"])
    actor.claim(evaluation).start()
    paths = ["/", "/?state=failed", "/jobs/new", f"/jobs/{finished}", f"/jobs/{training}", f"/jobs/{evaluation}", "/no"]
    paths += [f"/jobs/{finished}/delete", "/jobs/nothing"]

    left = {path: english_in(client.get(path, headers=KOREAN).text) for path in paths}

    assert {path: words for path, words in left.items() if words} == {}


def test_reasons_are_korean(client: FlaskClient, actor: Actor, submitted: str) -> None:
    """Why a job waits, was paused, or has failed: stored as a code, said in the language of the page."""
    waits = client.get(f"/jobs/{submitted}", headers=KOREAN).text
    assert "시작을 기다립니다: 살아 있는 워커가 없음." in unescape(waits)

    client.post(f"/api/v1/jobs/{submitted}/pause", json={})
    paused = client.get(f"/jobs/{submitted}", headers=KOREAN).text
    assert "사용자가 일시 정지함" in paused
    assert not english_in(waits) | english_in(paused)


def test_refusals_speak_the_readers_language(client: FlaskClient, submitted: str) -> None:
    """A wrong field, a request from elsewhere, an unknown name of this host."""
    form = client.post("/jobs/new", data={"name": "", "epochs": "0"}, headers=KOREAN)
    foreign = client.post(f"/jobs/{submitted}/pause", headers=KOREAN | {"Origin": "https://elsewhere.example"})
    strange = client.get("/", headers=KOREAN | {"Host": "elsewhere.example"})

    assert "다른 세션에서 연 양식입니다" in form.text
    assert "다른 사이트의 페이지가 보낸 요청" in foreign.text
    assert "KEEPFIT_HOSTS=" in strange.text
    assert "허용되지 않습니다" in foreign.text


def test_what_cannot_be_is_said_in_the_readers_language(client: FlaskClient, finished: str) -> None:
    """An error's values are put into the sentence of the language; a value may be a word of it."""
    answer = client.post(f"/jobs/{finished}/pause", headers=KOREAN | {"X-CSRFToken": csrf_of(client)})
    page = client.get(answer.headers["Location"], headers=KOREAN).text

    assert "이미 끝난 작업입니다(성공). 일시 정지할 수 없습니다." in page
    assert "nothing 작업이 없습니다." in client.get("/jobs/nothing", headers=KOREAN).text
    api = client.post(f"/api/v1/jobs/{finished}/pause", json={}, headers=KOREAN).get_json()
    assert api["error"]["message"] == "A job that has succeeded cannot be paused."


def csrf_of(client: FlaskClient) -> str:
    """A form token of this client's session."""
    return client.get("/jobs/new").text.split('name="csrf_token" type="hidden" value="')[1].split('"')[0]


def test_programs_are_spoken_to_in_english(client: FlaskClient, finished: str) -> None:
    """The API's words are part of what programs rely on, whatever language a library asks for."""
    for path in ("/api/v1/jobs?limit=x", "/api/v1/jobs/nothing", "/health", f"/api/v1/jobs/{finished}", "/api/v1/no"):
        assert not re.search("[가-힣]", client.get(path, headers=KOREAN).text)


def test_a_stream_speaks_the_language_of_its_request(client: FlaskClient, submitted: str) -> None:
    """The page's script puts its words where the page's own were."""
    for headers, label in ((KOREAN, "대기 중"), ({}, "Queued")):
        answer = client.get(f"/api/v1/jobs/{submitted}/events", headers=headers, buffered=False)
        said = ""
        for block in answer.response:
            said += block.decode() if isinstance(block, bytes) else str(block)
            if "event: now" in said and said.endswith("\n\n"):
                break
        answer.close()
        now = json.loads(said.split("event: now\ndata: ")[1].split("\n")[0])
        assert now["label"] == label


def test_one_reader_does_not_change_anothers_language(client: FlaskClient) -> None:
    """The thread that has answered in Korean answers the next request in its own language."""
    assert '<html lang="ko"' in client.get("/", headers=KOREAN).text
    assert '<html lang="en"' in client.get("/").text
    assert '<html lang="en"' in client.get("/", headers={"Accept-Language": "en"}).text
