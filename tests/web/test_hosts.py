"""Who is answered: this instance's own names, its own pages, and programs; never a page of another site."""

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from pydantic import SecretStr

from keepfit.shared.addresses import open_to_others, url_of, warning_of
from keepfit.shared.settings import Settings
from keepfit.web.app import create_app
from tests.web.acting import no_writes
from tests.web.conftest import SPEC

FOREIGN = {
    "another site": {"Sec-Fetch-Site": "cross-site"},
    "another port": {"Sec-Fetch-Site": "same-site"},
    "another name": {"Origin": "http://evil.example"},
    "another port's origin": {"Origin": "http://localhost:8081"},
    "another scheme": {"Origin": "https://localhost"},
    "no origin that can be told": {"Origin": "null"},
    "a forged site": {"Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"},
}
OWN = {
    "a program": {},
    "a page of ours": {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"},
    "an old browser": {"Origin": "http://localhost"},
    "the address bar": {"Sec-Fetch-Site": "none"},
}


def _client(**given: Any) -> FlaskClient:
    return create_app(Settings(**given)).test_client()


@pytest.mark.parametrize("host", ["localhost", "localhost:8080", "127.0.0.1:9", "[::1]:8080", "LocalHost:8080"])
def test_names_of_this_machine_are_answered(client: FlaskClient, host: str) -> None:
    """At any port: it may be forwarded from another one."""
    assert client.get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("path", ["/", "/health", "/api/v1/jobs", "/static/keepfit.css", "/nothing"])
@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "10.1.2.3", "localhost.evil.example", "localhost."]
)
def test_other_names_are_refused_in_words(client: FlaskClient, host: str, path: str) -> None:
    """A page whose name was made to point here (DNS rebinding) reads nothing; its name is not given back to it."""
    answer = client.get(path, headers={"Host": host})

    assert answer.status_code == 400
    assert "KEEPFIT_HOSTS" in answer.text
    assert "evil" not in answer.text


@pytest.mark.parametrize(
    "host", ["a b", "evil.example/x", "", "localhost@evil.example", "localhost:80:80", "[::1", "é"]
)
def test_hosts_that_are_none_are_refused(client: FlaskClient, host: str) -> None:
    """Whatever does not read as a name or an address."""
    answer = client.post("/api/v1/jobs", json=SPEC, headers={"Host": host})

    assert answer.status_code == 400


def test_a_request_without_a_host_is_refused(client: FlaskClient) -> None:
    """As old programs send it."""
    environment = {"HTTP_HOST": None}

    assert client.get("/", environ_overrides=environment).status_code == 400


def test_names_can_be_added(settings: Settings) -> None:
    """KEEPFIT_HOSTS, with commas; the address that is listened on is known anyhow."""
    app = create_app(
        settings.model_copy(update={"hosts": "lab.example, Other.example:8080,,[fd00::7]:80", "host": "10.9.8.7"})
    )

    for host in ("lab.example:8080", "other.example", "[fd00::7]:8080", "10.9.8.7:8080", "localhost"):
        assert app.test_client().get("/", headers={"Host": host}).status_code == 200
    assert app.test_client().get("/", headers={"Host": "lab.example.evil"}).status_code == 400


def test_on_every_address_the_machines_own_are_known(settings: Settings) -> None:
    """Listening on 0.0.0.0, an address of this machine is one to be called by; another one is not."""
    client = create_app(settings.model_copy(update={"host": "0.0.0.0"})).test_client()

    assert client.get("/", headers={"Host": "127.0.0.1:8080"}).status_code == 200
    assert client.get("/", headers={"Host": "203.0.113.5:8080"}).status_code == 400


@pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN.keys())
@pytest.mark.parametrize(
    "path", ["/api/v1/jobs", "/jobs", "/jobs/aaaaaaaaaaaa/cancel", "/api/v1/jobs/aaaaaaaaaaaa/pause"]
)
def test_pages_of_other_sites_change_nothing(client: FlaskClient, path: str, headers: dict[str, str]) -> None:
    """Also with JSON, and before it is asked whether there is such a job."""
    answer = client.post(path, json=SPEC, headers=headers)

    assert answer.status_code == 403
    assert "another site" in answer.text
    assert client.get("/api/v1/jobs").get_json()["total"] == 0


def test_a_stolen_token_is_of_no_use(client: FlaskClient, token: Callable[[], str]) -> None:
    """A neighbour on another port can plant its own cookie and token; the browser still says who sends."""
    form = {"csrf_token": token(), "name": "planted"}

    answer = client.post("/jobs", data=form, headers={"Origin": "http://localhost:9", "Sec-Fetch-Site": "same-site"})

    assert answer.status_code == 403


@pytest.mark.parametrize("headers", OWN.values(), ids=OWN.keys())
def test_own_pages_and_programs_are_served(client: FlaskClient, headers: dict[str, str]) -> None:
    """A terminal sends neither header."""
    assert client.post("/api/v1/jobs", json=SPEC, headers=headers).status_code == 201


def test_reading_from_a_link_is_allowed(client: FlaskClient) -> None:
    """Somebody else's page may link to a job."""
    assert client.get("/", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200


def test_each_instance_has_a_cookie_of_its_own(settings: Settings) -> None:
    """Browsers share cookies between the ports of a host: two instances must not overwrite each other's."""
    names = set()
    for key, port in (("one", 8080), ("one", 8081), ("two", 8080)):
        app = create_app(settings.model_copy(update={"secret_key": SecretStr(key), "port": port}))
        cookie = app.test_client().get("/jobs/new").headers["Set-Cookie"]
        assert "Path=/" in cookie
        assert "SameSite=Lax" in cookie
        assert "HttpOnly" in cookie
        names.add(cookie.split("=")[0])

    assert len(names) == 3


@pytest.mark.parametrize("path", ["/", "/jobs/new", "/api/v1/jobs", "/health", "/nothing", "/api/v1/jobs/aaaaaaaaaaaa"])
def test_pages_and_answers_are_not_stored(client: FlaskClient, path: str) -> None:
    """They hold a token, or what only their reader may know."""
    assert client.get(path).headers["Cache-Control"] == "no-store"


def test_an_outage_names_no_place(stranded: FlaskClient, submitted: str) -> None:
    """Neither /health nor a refusal says where the queue server is."""
    for answer in (stranded.get("/health"), stranded.post(f"/api/v1/jobs/{submitted}/drill", json={})):
        assert "queue server does not answer" in answer.text
        assert "127.0.0.1" not in answer.text
        assert "Error" not in answer.text


def test_a_full_disk_names_no_path(client: FlaskClient, settings: Settings) -> None:
    """It is "the data directory"."""
    with no_writes():
        answer = client.post("/api/v1/jobs", json=SPEC)

    assert answer.status_code == 507
    assert "the data directory takes no writes" in answer.text
    assert str(settings.data_dir) not in answer.text


def test_a_record_names_no_process(client: FlaskClient, submitted: str, actor: Any) -> None:
    """Who holds the lease is between workers."""
    actor.claim(submitted).start()

    assert "owner" not in client.get(f"/api/v1/jobs/{submitted}").get_json()
    assert "owner" not in client.get("/api/v1/jobs").get_json()["jobs"][0]


REACH = [
    ("127.0.0.1", None, False),
    ("localhost", None, False),
    ("::1", None, False),
    ("127.8.8.8", None, False),
    ("0.0.0.0", None, True),
    ("::", None, True),
    ("10.99.0.1", None, True),
    ("fd00::1", None, True),
    ("0.0.0.0", "127.0.0.1", False),
    ("0.0.0.0", "::1", False),
    ("0.0.0.0", "0.0.0.0", True),
    ("0.0.0.0", "10.0.0.4", True),
    ("10.99.0.1", "127.0.0.1", True),
]


@pytest.mark.parametrize(("host", "bind", "others"), REACH)
def test_an_address_that_others_reach_is_warned_of(host: str, bind: str | None, others: bool) -> None:
    """Each address but this machine's own; a container counts by the address that its port is published on."""
    settings = Settings(host=host, bind=bind, drills=True)

    assert open_to_others(settings) is others
    assert ("asks nobody for a password" in warning_of(settings)) is others
    assert ("drills are off" in warning_of(settings)) is others


@pytest.mark.parametrize(("host", "bind", "others"), REACH)
def test_drills_are_for_this_machine_only(settings: Settings, host: str, bind: str | None, others: bool) -> None:
    """Nobody from elsewhere gets a button that kills workers."""
    client = create_app(settings.model_copy(update={"host": host, "bind": bind})).test_client()
    job_id = client.post("/api/v1/jobs", json=SPEC).get_json()["id"]

    answer = client.post(f"/api/v1/jobs/{job_id}/drill", json={})

    assert ("drills are off" in answer.text) is others


@pytest.mark.parametrize(
    ("host", "url"),
    [("::1", "http://[::1]:8080"), ("::", "http://localhost:8080"), ("10.0.0.4", "http://10.0.0.4:8080")],
)
def test_addresses_are_written_as_browsers_take_them(host: str, url: str) -> None:
    """IPv6 in brackets."""
    assert url_of(Settings(host=host)) == url
