"""A data directory of a newer version is refused in words, by whatever is started in it; one of 0.1 is taken."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from keepfit.shared import datadir
from keepfit.shared.errors import NewerVersion
from keepfit.shared.settings import Settings
from keepfit.web.app import create_app
from keepfit.web.cli.command import main
from tests.harness.processes import Household, free_port

WORDS = "was made by a newer version of Keepfit (7.0.0)"


@pytest.fixture
def newer(data_dir: Path) -> Path:
    """A data directory of a made-up newer version."""
    (data_dir / "jobs").mkdir()
    (data_dir / datadir.NAME).write_text(json.dumps({"format": datadir.FORMAT + 1, "made_by": "7.0.0"}))
    return data_dir


def content(directory: Path) -> list[str]:
    """All that is in it."""
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


@pytest.mark.parametrize("command", ["verify", "doctor"])
def test_commands_refuse_it(newer: Path, command: str) -> None:
    """With what to do, and exit code 1."""
    result = CliRunner().invoke(main, [command, "--data-dir", str(newer)])

    assert result.exit_code == 1
    assert WORDS in result.output
    assert "Install that version or a later one" in result.output
    assert "Traceback" not in result.output


def test_the_web_side_refuses_it(newer: Path) -> None:
    """Before it writes anything."""
    before = content(newer)

    with pytest.raises(NewerVersion, match="newer version"):
        create_app(Settings(data_dir=newer, redis_url=f"redis://127.0.0.1:{free_port()}/0"))

    assert content(newer) == before


def test_the_service_and_a_worker_refuse_it(newer: Path, household: Household) -> None:
    """Real processes: both end at once, say why, and leave the directory as it was."""
    before = content(newer)
    settings = Settings(data_dir=newer, redis_url=f"redis://127.0.0.1:{free_port()}/0")

    service = household.start_service("--data-dir", str(newer), "--port", str(free_port()), ready=False)
    worker = household.start_worker(settings, ready=False)

    assert (service.wait(60), worker.wait(60)) == (1, 1)
    for part in (service, worker):
        assert WORDS in part.text()
        assert "Traceback" not in part.text()
    assert content(newer) == before


def test_a_directory_of_the_first_version_is_taken(data_dir: Path) -> None:
    """It has no version.json; from now on it says what it is. A damaged one is written anew."""
    assert datadir.check(data_dir) == 0

    for damage in (None, "", "{", "[]", '{"format": "x"}'):
        if damage is not None:
            (data_dir / datadir.NAME).write_text(damage)
        datadir.take(data_dir)
        assert datadir.check(data_dir) == datadir.FORMAT


def test_what_takes_no_writes_is_left_to_who_needs_them(tmp_path: Path) -> None:
    """A directory that is not there, or a file in its place."""
    datadir.take(tmp_path / "missing")
    (tmp_path / "file").touch()
    datadir.take(tmp_path / "file")

    assert content(tmp_path) == ["file"]
