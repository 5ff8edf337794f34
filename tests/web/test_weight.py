"""What a page costs on the way: gzip, and files of ours that a browser keeps for good."""

import gzip
import re

import pytest
from flask.testing import FlaskClient

from keepfit.web.assets import FOLDER
from keepfit.web.compression import LEAST_BYTES

TAKES_GZIP = {"Accept-Encoding": "gzip, deflate, br"}


@pytest.mark.parametrize("path", ["/", "/jobs/new", "/api/v1/jobs/{id}"])
def test_pages_and_answers_are_small_on_the_way(client: FlaskClient, submitted: str, path: str) -> None:
    """Who takes gzip gets it, who does not gets the same content plain."""
    path = path.format(id=submitted)
    plain, small = client.get(path), client.get(path, headers=TAKES_GZIP)

    assert "Content-Encoding" not in plain.headers
    assert small.headers["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in small.headers["Vary"]
    assert "Accept-Encoding" in plain.headers["Vary"]
    assert len(small.data) == int(small.headers["Content-Length"]) < len(plain.data)
    assert b"<title>" in gzip.decompress(small.data) or b'"spec"' in gzip.decompress(small.data)


def test_what_is_refused_and_what_is_downloaded_goes_as_it_is(client: FlaskClient, finished: str) -> None:
    """An error is short; a model is no text; the refusal of gzip counts."""
    for path in (f"/jobs/{finished}/files/model.keras", "/api/v1/nothing"):
        with client.get(path, headers=TAKES_GZIP) as answer:
            assert "Content-Encoding" not in answer.headers
    assert "Content-Encoding" not in client.get("/", headers={"Accept-Encoding": "gzip;q=0"}).headers


def test_files_of_ours_are_kept_for_good(client: FlaskClient, finished: str) -> None:
    """Their address changes with them; one of another version is sent, and not kept."""
    found = [set(re.findall(r'(?:src|href)="(/static/[^"]+)"', client.get(p).text)) for p in ("/", f"/jobs/{finished}")]
    addresses = set().union(*found)

    assert len(addresses) >= 7
    for address in addresses:
        with client.get(address, headers=TAKES_GZIP) as answer:
            assert answer.status_code == 200
            assert "immutable" in answer.headers["Cache-Control"]
            worth_it = (FOLDER / address.split("/", 4)[4]).stat().st_size >= LEAST_BYTES
            assert ("Content-Encoding" in answer.headers) == worth_it
    with client.get("/static/v/000000000000/job.js") as old:
        assert old.status_code == 200
        assert "immutable" not in old.headers["Cache-Control"]
    assert client.get("/static/v/000000000000/../../forms.py").status_code == 404


def test_the_chart_library_is_the_minified_one() -> None:
    """Pinned by its digest, its licence beside it."""
    folder = FOLDER / "vendor" / "uplot"

    assert {path.name for path in folder.iterdir()} == {"LICENSE", "README.md", "uPlot.iife.min.js", "uPlot.min.css"}
    assert (folder / "uPlot.iife.min.js").stat().st_size < 60_000
