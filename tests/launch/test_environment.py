"""The set-up from the lock files: what it refuses, when it does nothing, how it mends itself. No network."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.harness.processes import ROOT

LOCKS = ("run", "dev", "web", "worker")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project directory with nothing but what the set-up reads."""
    (tmp_path / "requirements").mkdir()
    for name in ("environment.sh", "supported.py", "run.lock", "dev.lock"):
        shutil.copy(ROOT / "requirements" / name, tmp_path / "requirements" / name)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "keepfit").mkdir()
    for name in ("shared", "web", "worker"):
        (tmp_path / name).mkdir()
        (tmp_path / "keepfit" / name).symlink_to(f"../{name}")
    return tmp_path


def _set_up(project: Path, python: Path | str) -> subprocess.CompletedProcess[str]:
    command = [str(project / "requirements" / "environment.sh"), "run"]
    environment = {"PATH": "/usr/bin:/bin", "PYTHON": str(python)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


def _script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def _stamp(project: Path) -> str:
    """The stamp that a finished set-up of ``project`` has written."""
    files = b"".join((project / name).read_bytes() for name in ("requirements/run.lock", "pyproject.toml"))
    checksum = subprocess.run(["cksum"], input=files, capture_output=True, check=True).stdout.decode().strip()
    return f"{project} {checksum}\n"


def _pinned(lock: str) -> set[str]:
    """The names of the packages in a lock file."""
    text = (ROOT / "requirements" / f"{lock}.lock").read_text()
    return set(re.findall(r"^([a-z0-9-]+)==", text, re.MULTILINE))


def test_this_python_is_supported() -> None:
    """The check accepts a Python that the tests themselves run on."""
    command = [sys.executable, str(ROOT / "requirements" / "supported.py")]

    assert subprocess.run(command, capture_output=True).returncode == 0


def test_a_python_without_tensorflow_packages_is_refused(project: Path) -> None:
    """The message says what was looked at, why it does not do, and what to install."""
    old = _script(project / "python-old", 'echo "Python 3.9: TensorFlow has packages for 3.11, 3.12 and 3.13"; exit 1')

    result = _set_up(project, old)

    assert result.returncode != 0
    assert f"{old}: Python 3.9: TensorFlow has packages for" in result.stderr
    assert "make run PYTHON=" in result.stderr
    assert not (project / ".venv").exists()


def test_a_python_that_is_not_there_is_refused(project: Path) -> None:
    """A typing error in PYTHON is a message."""
    result = _set_up(project, "python-of-nobody")

    assert result.returncode != 0
    assert "python-of-nobody: not found" in result.stderr


def test_a_finished_set_up_is_left_alone(project: Path) -> None:
    """With a stamp that fits, nothing happens."""
    venv = project / ".venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "keepfit-run").write_text(_stamp(project))
    same = _script(venv / "bin" / "python", "echo Python 3.11.7")

    result = _set_up(project, same)

    assert result.returncode == 0
    assert result.stdout == ""


def test_a_changed_lock_file_is_noticed(project: Path) -> None:
    """With a stamp of another lock file, the set-up begins again."""
    venv = project / ".venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "keepfit-run").write_text(_stamp(project))
    same = _script(venv / "bin" / "python", "echo Python 3.11.7")
    with (project / "requirements" / "run.lock").open("a") as file:
        file.write("# changed\n")

    result = _set_up(project, same)

    assert "[1/4]" in result.stdout


def test_an_interrupted_set_up_begins_afresh(project: Path) -> None:
    """Half an environment is thrown away, whatever its stamp says."""
    venv = project / ".venv"
    venv.mkdir()
    (venv / "keepfit-run").write_text(_stamp(project))
    (venv / "keepfit-unfinished").touch()
    (venv / "half-a-package").touch()

    result = _set_up(project, "/bin/false")

    assert "did not finish: starting afresh" in result.stdout
    assert not (venv / "half-a-package").exists()


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_file_pins_every_package_with_hashes(lock: str) -> None:
    """Each package has one version and its hashes, and the file says nothing of where they came from."""
    text = (ROOT / "requirements" / f"{lock}.lock").read_text()
    packages = re.split(r"^(?=[a-z])", text, flags=re.MULTILINE)[1:]

    assert len(packages) > 20
    assert not [p.split()[0] for p in packages if "==" not in p.split()[0] or "--hash=sha256:" not in p]
    assert "://" not in text


def test_each_place_gets_what_it_needs_and_no_more() -> None:
    """The web image has no TensorFlow; nothing that trains has matplotlib, which Keras would load."""
    pinned = {lock: _pinned(lock) for lock in LOCKS}

    assert not pinned["web"] & {"tensorflow", "keras", "numpy", "supervisor"}
    assert {"tensorflow", "keras"} <= pinned["worker"]
    assert not [lock for lock in LOCKS if "matplotlib" in pinned[lock]]
    assert pinned["web"] <= pinned["run"] <= pinned["dev"]
    assert pinned["worker"] <= pinned["run"]


def test_the_lock_files_have_all_that_the_project_asks_for() -> None:
    """A dependency that was added to pyproject.toml is in the lock files too."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *(d for extra in project["optional-dependencies"].values() for d in extra)]
    names = {re.split(r"[><=[]", dependency)[0] for dependency in asked} - {"keepfit"}

    pinned = _pinned("dev")

    assert names <= pinned


WILLING_PYTHON = 'if [ "$2" = venv ]; then mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; fi'
"""Stands for Python and pip, so that the set-up comes to its end without a network."""


def test_links_that_an_archive_has_lost_are_made_again(project: Path) -> None:
    """A link that was unpacked as a file, as a second copy of its folder, or not at all, is a link again."""
    for name in ("shared", "web", "worker"):
        (project / name / "module.py").write_text("same")
        (project / "keepfit" / name).unlink()
    (project / "keepfit" / "shared").write_text("../shared")
    shutil.copytree(project / "web", project / "keepfit" / "web")

    result = _set_up(project, _script(project / "python", WILLING_PYTHON))

    assert result.returncode == 0, result.stderr
    assert {name: str((project / "keepfit" / name).readlink()) for name in ("shared", "web", "worker")} == {
        "shared": "../shared", "web": "../web", "worker": "../worker",
    }  # fmt: skip


def test_a_folder_with_changes_in_place_of_a_link_is_not_thrown_away(project: Path) -> None:
    """Who has worked in the second copy is told, and keeps it."""
    (project / "keepfit" / "web").unlink()
    (project / "keepfit" / "web").mkdir()
    (project / "keepfit" / "web" / "mine.py").write_text("work of a day")

    result = _set_up(project, _script(project / "python", WILLING_PYTHON))

    assert result.returncode == 1
    assert "keepfit/web is a folder of its own, and differs from web" in result.stderr
    assert (project / "keepfit" / "web" / "mine.py").read_text() == "work of a day"


def test_what_it_says_of_its_size_was_measured() -> None:
    """The line that a person sees first agrees with the measurement (bench/setup_size.py) within a tenth."""
    measured = json.loads((ROOT / "bench" / "results" / "setup_size.json").read_text())
    said = re.search(
        r"\((\d+) MB to fetch, ([\d.]+) GB on disk", (ROOT / "requirements" / "environment.sh").read_text()
    )

    assert said
    assert abs(int(said[1]) / measured["fetched_mb"] - 1) < 0.1
    assert abs(float(said[2]) * 1000 / measured["venv_mb"] - 1) < 0.1
