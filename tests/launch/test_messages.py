"""The `keepfit` command where there is no service: each wrong word on the command line is a message, at once."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from keepfit.web.cli.command import main
from tests.harness.processes import free_port


def _keepfit(*arguments: str) -> Result:
    """Run the command. A bug shows as an exception, not as an exit code."""
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


@pytest.mark.parametrize("command", [["verify"], ["verify", "aaaaaaaaaaaa"], ["doctor"], ["doctor", "--repair"]])
def test_a_data_directory_that_is_not_there_is_a_message(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing to check is no success: it says where it looked, and how to look elsewhere."""
    monkeypatch.chdir(tmp_path)

    result = _keepfit(*command)

    assert result.exit_code == 1
    assert "There is no data directory keepfit-data" in result.output
    assert "--data-dir" in result.output


@pytest.mark.parametrize("url", ["foo", "localhost:8080", "http://", "http://[::1", "http://x:99999", "ftp://x"])
def test_an_address_that_is_none_is_a_message(url: str) -> None:
    """It is the address that is wrong, not the service that is away."""
    result = _keepfit("--url", url, "list")

    assert result.exit_code == 1
    assert f"{url} is not the address of a Keepfit" in result.output
    assert "http://127.0.0.1:8080" in result.output
    assert "No Keepfit answers" not in result.output


@pytest.mark.parametrize("where", ["--redis-port", "--redis-url"])
def test_doctor_says_how_to_name_a_server_that_it_does_not_reach(where: str, tmp_path: Path) -> None:
    """The port of the embedded server, or the address of another one."""
    port = str(free_port())

    result = _keepfit(
        "doctor", "--data-dir", str(tmp_path), where, port if "port" in where else f"redis://:geheim@127.0.0.1:{port}/0"
    )

    assert result.exit_code == 1
    assert "does not answer" in result.output
    assert "--redis-port" in result.output
    assert "--redis-url" in result.output
    assert "geheim" not in result.output


def test_a_redis_url_that_is_none_is_a_message(tmp_path: Path) -> None:
    """It says what one looks like."""
    result = _keepfit("doctor", "--data-dir", str(tmp_path), "--redis-url", "foo")

    assert result.exit_code == 1
    assert "redis://" in result.output


SPECS = {
    "empty": (b"", "is empty"),
    "blank": (b" \n", "is empty"),
    "binary": (b"\x89PNG\r\n\x1a\n\x00\xff", "is not text"),
    "zeros": (b"\0" * 64, "is not text"),
    "words": (b"name: first", "is not JSON"),
    "list": (b"[]", "must hold one JSON object"),
    "deep": (b"[" * 200_000, "is not JSON"),
}


@pytest.mark.parametrize(("content", "said"), SPECS.values(), ids=SPECS.keys())
def test_a_spec_that_is_no_json_object_is_said_in_words(content: bytes, said: str, tmp_path: Path) -> None:
    """Each message names the file and what it must hold."""
    file = tmp_path / "spec.json"
    file.write_bytes(content)

    result = _keepfit("submit", str(file))

    assert result.exit_code == 1
    assert f"spec.json {said}" in result.output
    assert '{"name": "first"}' in result.output
