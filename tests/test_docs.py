"""What the README says is so: settings, commands, targets, addresses of the API, files it points to."""

import re
import subprocess
from pathlib import Path

import click
import pytest

from keepfit.shared.settings import Settings
from keepfit.web.app import create_app
from keepfit.web.cli.command import main

ROOT = Path(__file__).resolve().parent.parent
READMES = ("README.md", "README.ko.md")


def _text(name: str) -> str:
    return (ROOT / name).read_text()


def _code(name: str) -> str:
    """All that is in fenced blocks or in single backticks."""
    text = _text(name)
    fenced = re.findall(r"```.*?\n(.*?)```", text, re.DOTALL)
    return "\n".join([*fenced, *re.findall(r"`([^`\n]+)`", text)])


def _rows(name: str) -> dict[str, tuple[str, str]]:
    """The table of settings: variable -> default, meaning."""
    rows = re.findall(r"^\| `(KEEPFIT_\w+)` \|(.*?)\| (.*) \|$", _text(name), re.MULTILINE)
    return {variable: (default.strip().strip("`"), meaning) for variable, default, meaning in rows}


@pytest.mark.parametrize("name", READMES)
def test_the_table_has_every_setting_with_its_default(name: str) -> None:
    """No setting is missing, none is made up, and each default is the real one."""
    real = {
        f"KEEPFIT_{field.upper()}": "" if info.default is None or info.default_factory else str(info.default)
        for field, info in Settings.model_fields.items()
    }

    assert {variable: default for variable, (default, _) in _rows(name).items()} == real


def test_the_table_says_what_the_settings_say_of_themselves() -> None:
    """The meaning in the English table is the description in the code."""
    real = {f"KEEPFIT_{field.upper()}": info.description for field, info in Settings.model_fields.items()}

    assert {variable: meaning for variable, (_, meaning) in _rows("README.md").items()} == real


@pytest.mark.parametrize("name", READMES)
def test_the_commands_exist(name: str) -> None:
    """Each `keepfit ...` in the README is a command, with the options that it is shown with."""
    shown = re.findall(r"(?:^|[ (/])keepfit (?!import)([a-z]+)([^\n#]*)", _code(name), re.MULTILINE)
    commands = {command for command, _ in shown}
    assert {"up", "submit", "list", "evaluate", "download", "verify", "doctor"} <= commands

    for command, rest in shown:
        found = main.commands.get(command)
        assert found, f"there is no `keepfit {command}`"
        known = {option for p in found.params if isinstance(p, click.Option) for option in (*p.opts, *p.secondary_opts)}
        assert set(re.findall(r"--[a-z-]+", rest)) <= known | {"--help"}, f"keepfit {command}{rest}"


def test_every_command_is_in_the_readme() -> None:
    """No command goes unmentioned."""
    mentioned = set(re.findall(r"\bkeepfit ([a-z]+)", _code("README.md"))) | {"resume", "cancel", "demo"}

    assert set(main.commands) <= mentioned


@pytest.mark.parametrize("name", READMES)
def test_the_targets_exist(name: str) -> None:
    """Each `make ...` in the README is a target that `make help` explains."""
    help_text = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    explained = set(re.findall(r"^  make ([a-z-]+)", help_text, re.MULTILINE))

    shown = set(re.findall(r"(?:^|`| )make ([a-z-]+)", _code(name), re.MULTILINE))

    assert shown
    assert shown <= explained


@pytest.mark.parametrize("name", READMES)
def test_the_addresses_of_the_api_exist(name: str, tmp_path: Path) -> None:
    """Each address in the table of the API is one that the application answers."""
    rules = create_app(Settings(data_dir=tmp_path)).url_map.bind("127.0.0.1")

    shown = re.findall(r"`(GET|POST) (/[^`]+)`", _text(name))

    assert len(shown) >= 9
    for method, path in shown:
        endpoint, _ = rules.match(path.replace("<id>", "aaaaaaaaaaaa"), method=method)
        assert endpoint != "api.nothing_here", path


@pytest.mark.parametrize("name", [*READMES, *sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md"))])
def test_files_that_are_pointed_to_exist(name: str) -> None:
    """No link within the project leads nowhere."""
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", _text(name))

    missing = [link for link in links if not ((ROOT / name).parent / link).exists()]

    assert not missing


@pytest.mark.parametrize("name", sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md")))
def test_tests_that_are_pointed_to_exist(name: str) -> None:
    """Each test file that the docs name is there, and each `::test_...` after it is in it."""
    files = {p.relative_to(ROOT).as_posix(): p for p in (ROOT / "tests").rglob("*.py") if "output" not in p.parts}
    missing, text = [], ""
    for file, test in re.findall(r"([\w/.-]*\btest_\w+\.py)|::(test_\w+)", _text(name)):
        if file:
            found = [path for known, path in files.items() if f"/{known}".endswith(f"/{file}")]
            missing += [] if found else [file]
            text = "".join(path.read_text() for path in found)
        elif f"def {test}(" not in text:
            missing.append(test)

    assert not missing


def test_the_docs_have_no_settings_of_their_own() -> None:
    """Every KEEPFIT_ variable that README, compose file and Makefile name is a setting, or the compose file's own."""
    compose = _text("docker-compose.yml")
    named = set(re.findall(r"KEEPFIT_[A-Z_]+", _text("README.md") + compose + _text("Makefile")))

    real = {f"KEEPFIT_{field.upper()}" for field in Settings.model_fields}
    limits = set(re.findall(r"mem_limit: \$\{(KEEPFIT_[A-Z_]+):-", compose))

    assert named <= real | limits
