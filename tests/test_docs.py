"""What the documents say is so: settings, commands, targets, addresses of the API, files; in both languages."""

import re
import subprocess
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest

from keepfit.shared.jobs.states import Cause, JobState, Outcome, Wish
from keepfit.shared.settings import Settings
from keepfit.web.app import create_app
from keepfit.web.cli.command import main

ROOT = Path(__file__).resolve().parent.parent
README_LINES = 120
KOREAN = {
    "README.ko.md": "README.md",
    **{f"docs/ko/{p.name}": f"docs/{p.name}" for p in sorted((ROOT / "docs/ko").glob("*.md"))},
}
"""Each Korean page, and the English one that says the same."""
DOCS = sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md"))
PAGES = sorted({*KOREAN, *KOREAN.values(), "CONTRIBUTING.md"} | set(DOCS))
OF_TODAY = [name for name in PAGES if not name.startswith("docs/decisions/")]
"""Decisions tell of their own day."""
SIDES = ("shared", "web", "worker")
MADE = {"docs/proof.md"}
"""Is made by `make proof`."""
HOUSE_WORDS = (
    "actor",
    "barren",
    "beat",
    "bump",
    "card",
    "chunk",
    "claim",
    "deaf",
    "deed",
    "desk",
    "drain",
    "drill",
    "fence",
    "hub",
    "index",
    "intake",
    "keeper",
    "kick",
    "lane",
    "lease",
    "nemesis",
    "note",
    "order",
    "owner",
    "pace",
    "plan",
    "program",
    "seen",
    "settle",
    "setbacks",
    "stray",
    "sweep",
    "twin",
    "verdict",
    "wish",
)
"""Words that mean something here which no dictionary says. Whoever brings one more explains it in the glossary."""
SETTINGS = ("docs/settings.md", "docs/ko/settings.md")
API = ("docs/api.md", "docs/ko/api.md")


def _text(name: str) -> str:
    return (ROOT / name).read_text()


def _fenced(name: str) -> list[str]:
    return re.findall(r"```.*?\n(.*?)```", _text(name), re.DOTALL)


def _code(name: str) -> str:
    """All that is in fenced blocks or in single backticks."""
    return "\n".join([*_fenced(name), *re.findall(r"`([^`\n]+)`", _text(name))])


def _rows(name: str) -> dict[str, tuple[str, str]]:
    """The table of settings: variable -> default, meaning."""
    rows = re.findall(r"^\| `(KEEPFIT_\w+)` \|(.*?)\| (.*) \|$", _text(name), re.MULTILINE)
    return {variable: (default.strip().strip("`"), meaning) for variable, default, meaning in rows}


def test_the_readmes_are_short() -> None:
    """What it is, two commands, the first job, the promises, links: the rest has pages of its own."""
    lines = {name: len(_text(name).splitlines()) for name in ("README.md", "README.ko.md")}

    assert all(count < README_LINES for count in lines.values()), lines


@pytest.mark.parametrize("name", KOREAN)
def test_a_page_says_the_same_in_korean(name: str) -> None:
    """The same headings in the same places, the same code, tables as long, and the same links."""
    korean, english = _shape(name), _shape(KOREAN[name])

    assert korean == english


def _shape(name: str) -> dict[str, Any]:
    """What a translation must leave as it is."""
    text = re.sub(r"```.*?```", "```", _text(name), flags=re.DOTALL)
    links = [re.sub(r"^ko/|/ko/|^\.\./|\.ko\.md$", "", link) for link in re.findall(r"\]\(([^)#]+)", text)]
    return {
        "headings": re.findall(r"^#+(?= )", text, re.MULTILINE),
        "code": [re.sub(r" +# .*", "", block) for block in _fenced(name)],
        "first columns": [re.findall(r"`[^`]+`", row) for row in re.findall(r"^\| (.*?) \|", text, re.MULTILINE)],
        "links": sorted(re.sub(r"^docs/?(ko/)?|README.*", "", link) for link in links if not link.startswith("http")),
    }


@pytest.mark.parametrize("name", SETTINGS)
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

    assert {variable: meaning for variable, (_, meaning) in _rows("docs/settings.md").items()} == real


@pytest.mark.parametrize("name", OF_TODAY)
def test_the_commands_exist(name: str) -> None:
    """Each `keepfit ...` on a page is a command, with the options that it is shown with."""
    for command, rest in re.findall(r"(?:^|[ (/])keepfit (?!import)([a-z]+)([^\n#]*)", _code(name), re.MULTILINE):
        found = main.commands.get(command)
        assert found, f"there is no `keepfit {command}`"
        known = {option for p in found.params if isinstance(p, click.Option) for option in (*p.opts, *p.secondary_opts)}
        assert set(re.findall(r"--[a-z-]+", rest)) <= known | {"--help"}, f"keepfit {command}{rest}"


def test_every_command_is_explained() -> None:
    """No command goes unmentioned: they stand in docs/terminal.md, `up` and `demo` in the README too."""
    pages = _code("docs/terminal.md") + _text("docs/terminal.md").partition("```")[2]
    mentioned = set(re.findall(r"\bkeepfit ([a-z]+)", pages)) | set(re.findall(r"# .*\b(resume|cancel)\b", pages))

    assert set(main.commands) - mentioned - {"resume", "cancel", "demo"} == set()
    assert {"up", "demo", "submit", "download"} <= set(re.findall(r"\bkeepfit ([a-z]+)", _code("README.md")))


@pytest.mark.parametrize("name", OF_TODAY)
def test_the_targets_exist(name: str) -> None:
    """Each `make ...` on a page is a target that `make help` explains."""
    explained = _targets()

    shown = set(re.findall(r"(?:^|`| )make ([a-z-]+)", _code(name), re.MULTILINE))

    assert shown <= explained
    assert shown or not name.startswith("README")


def test_every_target_is_explained() -> None:
    """Whoever works on it finds each target in CONTRIBUTING.md, what people run in the README as well."""
    shown = set(
        re.findall(r"(?:^|`| )make ([a-z-]+)", _code("CONTRIBUTING.md") + "\n" + _code("README.md"), re.MULTILINE)
    )

    assert _targets() <= shown


def _targets() -> set[str]:
    text = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"^  make ([a-z-]+)", text, re.MULTILINE))


def test_the_workflow_runs_what_there_is() -> None:
    """Its targets exist, and its Pythons are those that the package and the README name."""
    workflow, project = _text(".github/workflows/test.yml"), tomllib.loads(_text("pyproject.toml"))["project"]
    low, high = (int(minor) for minor in re.findall(r"3\.(\d+)", project["requires-python"]))
    supported = [f"3.{minor}" for minor in range(low, high)]

    assert set(re.findall(r"\bmake ([a-z-]+)", workflow)) <= _targets()
    assert re.findall(r'"(3\.\d+)"', re.findall(r"python: (\[.*\])", workflow)[0]) == supported
    assert f"Python {', '.join(supported[:-1])} or {supported[-1]}" in _text("README.md")


def test_the_wheel_has_the_name_that_is_shown() -> None:
    """The version in the README's file name is the one that is built."""
    version = tomllib.loads(_text("pyproject.toml"))["project"]["version"]

    for name in ("README.md", "README.ko.md"):
        assert re.findall(r"keepfit-([\w.]+)-py3-none-any\.whl", _text(name)) == [version]


@pytest.mark.parametrize("name", API)
def test_the_addresses_of_the_api_are_those_of_the_table(name: str, tmp_path: Path) -> None:
    """Each address in the table is one that the application answers, and none that it answers is missing."""
    rules = create_app(Settings(data_dir=tmp_path)).url_map
    real = {rule.endpoint for rule in rules.iter_rules() if rule.endpoint.startswith(("api.", "stream."))}

    shown = re.findall(r"`(GET|POST|PUT|PATCH|DELETE) (/[^`]+)`", _text(name))
    found = {
        rules.bind("127.0.0.1").match(path.replace("<id>", "aaaaaaaaaaaa"), method=method)[0]: path
        for method, path in shown
    }

    assert "api.nothing_here" not in found, found["api.nothing_here"]
    assert real - {"api.nothing_here"} == set(found)


@pytest.mark.parametrize("name", PAGES)
def test_files_that_are_pointed_to_exist(name: str) -> None:
    """No link within the project leads nowhere."""
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", _text(name))

    missing = [link for link in links if not ((ROOT / name).parent / link).exists()]

    assert not missing


def test_every_page_is_found_from_the_readme() -> None:
    """A page that nothing links to is read by nobody; decisions are found in their folder."""
    found, look_at = set[str](), ["README.md"]
    while look_at:
        name = look_at.pop()
        found.add(name)
        links = re.findall(r"\]\((?!https?:|#)([^)#]+\.md)", _text(name))
        paths = {((ROOT / name).parent / link).resolve().relative_to(ROOT).as_posix() for link in links}
        look_at += paths - found

    assert set(OF_TODAY) <= found


@pytest.mark.parametrize("name", OF_TODAY)
def test_places_that_are_named_exist(name: str) -> None:
    """A folder or file of ours in backticks is there, under that very name."""
    named = re.findall(r"`((?:shared|web|worker|tests|bench|requirements|docs)/[\w./-]+)`", _text(name))

    missing = [place for place in named if not (ROOT / place).exists() and place not in MADE]

    assert not missing


def test_every_room_is_in_the_architecture() -> None:
    """docs/architecture.md says of each folder with code what is in it."""
    table = _text("docs/architecture.md").partition("## The rooms")[2]
    rooms = {p.parent.relative_to(ROOT).as_posix() for side in SIDES for p in (ROOT / side).glob("*/**/__init__.py")}

    assert rooms == set(re.findall(r"^\| `(\w+/[\w/]+)` \|", table, re.MULTILINE))


@pytest.mark.parametrize("name", [*DOCS, "CONTRIBUTING.md"])
def test_tests_that_are_pointed_to_exist(name: str) -> None:
    """Each test file that a page names is there, and each `::test_...` after it is in it."""
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
    """Every KEEPFIT_ variable that pages, compose file and Makefile name is a setting, or the compose file's own."""
    compose = _text("docker-compose.yml")
    pages = "".join(_text(name) for name in OF_TODAY)
    named = set(re.findall(r"KEEPFIT_[A-Z_]+", pages + compose + _text("Makefile")))

    real = {f"KEEPFIT_{field.upper()}" for field in Settings.model_fields}
    limits = set(re.findall(r"mem_limit: \$\{(KEEPFIT_[A-Z_]+):-", compose))

    assert named <= real | limits


@cache
def _glossary() -> dict[str, str]:
    """Each word and what it means."""
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", _text("docs/glossary.md"), re.MULTILINE)
    return {word: meaning for word, meaning in rows if word != "word" and not word.startswith("-")}


@cache
def _words_of_the_code() -> set[str]:
    """Every word of code and comments; parts of names such as ``restart_budget`` and ``JobDir`` are words."""
    sides = [path for side in (*SIDES, "tests") for path in (ROOT / side).rglob("*")]
    files = [path for path in sides if path.suffix in {".py", ".lua"} and path != Path(__file__)]
    names = set[str]().union(*(re.findall(r"[A-Za-z]+", path.read_text()) for path in files))
    return {part.lower() for name in names for part in (name, *re.findall(r"[A-Z]?[a-z]+", name))}


@pytest.mark.parametrize("word", _glossary())
def test_each_word_of_the_glossary_is_used(word: str) -> None:
    """What the code does not say any more is no word of the house."""
    unused = [part for part in word.split() if not {part, f"{part}s"} & _words_of_the_code()]

    assert not unused


@pytest.mark.parametrize("word", HOUSE_WORDS)
def test_each_word_of_the_house_is_explained(word: str) -> None:
    """A newcomer finds it in docs/glossary.md."""
    assert word in _glossary()


def test_states_and_scripts_are_explained() -> None:
    """Every state, wish, outcome and cause, and every script of the store."""
    text = " ".join(f"{word} {meaning}" for word, meaning in _glossary().items())
    scripts = {path.stem.replace("_", " ") for path in (ROOT / "shared/store/lua").glob("*.lua")} - {"common"}

    assert not set(JobState) - set(_glossary())
    assert not scripts - set(_glossary()), "a script of shared/store/lua has no row in docs/glossary.md"
    assert not [word for kind in (Wish, Outcome, Cause) for word in kind if not re.search(rf"\b{word}\b", text)]
