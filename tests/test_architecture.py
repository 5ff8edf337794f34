"""The house rules that a machine can check: sizes, docstrings, who imports and reads what."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("shared", "worker", "web")
CHECKED = (*PACKAGES, "tests", "bench")
BARE = re.compile(r"^(shared|web|worker)(\.(?!log\b)\w+)+(:\w+)?$|(-m|import|from) (shared|web|worker)\.")
MAY_SAY_BARE_NAMES = {
    "tests/compat/make_0_1.py",  # starts version 0.1, whose modules had them
    "tests/launch/test_package.py",
    "worker/__init__.py",  # has `celery -A worker.app` give the very same app
}
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 40
TRAINING_ROOMS = ("worker/training", "worker/data", "worker/models", "worker/evaluation", "worker/kinds")
TRAINING_MAY_USE = {"spec", "catalog", "jobs", "checkpoints", "durable", "errors", "host", "reasons"}


def _files(*folders: str) -> list[Path]:
    return sorted(p for folder in folders for p in (ROOT / folder).rglob("*.py") if "output" not in p.parts)


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _function_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of ``node`` without its docstring: explaining more must never be punished."""
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    if ast.get_docstring(node) is not None:
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


@pytest.mark.parametrize("path", _files(*CHECKED), ids=_name)
def test_files_and_functions_stay_small(path: Path) -> None:
    """A file has at most 400 lines, a function at most 40."""
    lines = len(path.read_text().splitlines())
    functions = [n for n in ast.walk(_tree(path)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]

    long = {f.name: size for f in functions if (size := _function_lines(f)) > MAX_FUNCTION_LINES}

    assert lines <= MAX_FILE_LINES, f"{_name(path)} has {lines} lines"
    assert not long, f"{_name(path)} has functions that are too long: {long}"


@pytest.mark.parametrize("path", _files(*CHECKED), ids=_name)
def test_modules_say_what_they_know(path: Path) -> None:
    """Each module opens with a docstring."""
    docstring = ast.get_docstring(_tree(path))

    assert docstring, f"{_name(path)} has no docstring"


@pytest.mark.parametrize("path", _files("tests"), ids=_name)
def test_tests_say_what_they_show(path: Path) -> None:
    """Each test has a docstring of one line."""
    tests = [n for n in ast.walk(_tree(path)) if isinstance(n, ast.FunctionDef) and n.name.startswith("test_")]

    silent = [t.name for t in tests if "\n" in (ast.get_docstring(t) or "\n")]

    assert not silent, f"{_name(path)}: {silent}"


@pytest.mark.parametrize("path", [p for p in _files("tests") if p.name != "waiting.py"], ids=_name)
def test_tests_do_not_sleep(path: Path) -> None:
    """Only tests/harness/waiting.py sleeps; tests wait for what they need."""
    sleeps = [n.lineno for n in ast.walk(_tree(path)) if isinstance(n, ast.Attribute) and n.attr == "sleep"]

    assert not sleeps, f"{_name(path)} sleeps at lines {sleeps}"


def test_the_web_side_loads_no_tensorflow() -> None:
    """Every module of `web` can be imported without loading what trains."""
    modules = [_name(p).removesuffix(".py").replace("/", ".") for p in _files("web")]
    code = f"import importlib\nfor m in {modules!r}: importlib.import_module('keepfit.' + m.removesuffix('.__init__'))"

    assert not _loaded_by(code) & {"tensorflow", "keras", "numpy", "keepfit.worker"}


def _loaded_by(code: str) -> set[str]:
    """Every module, and every package above one, that is loaded after ``code`` was run."""
    code += "\nimport sys; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    return set(ran.stdout.split())


def test_the_import_name_loads_nothing() -> None:
    """`import keepfit` loads none of the three sides; client and command load no web server, queue or Keras."""
    assert not {m for m in _loaded_by("import keepfit") if m.startswith("keepfit.")}

    heavy = {"flask", "celery", "redis", "tensorflow", "keras", "numpy", "psutil"}
    assert not _loaded_by("from keepfit import Client") & heavy
    assert not _loaded_by("import keepfit.web.cli.command") & heavy


@pytest.mark.parametrize("path", [p for p in _files(*CHECKED) if _name(p) not in MAY_SAY_BARE_NAMES], ids=_name)
def test_our_code_has_one_import_name(path: Path) -> None:
    """`shared`, `web` and `worker` are imported as `keepfit.*` only: else a module would be loaded twice."""
    imported = [name for name in _imports(path) if name.split(".")[0] in PACKAGES]
    started = [
        node.value
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and BARE.search(node.value)
    ]

    assert not imported
    assert not started


@pytest.mark.parametrize("path", _files(*PACKAGES), ids=_name)
def test_only_the_store_speaks_to_redis(path: Path) -> None:
    """`redis` is imported in shared/store and nowhere else."""
    imported = {name.split(".")[0] for name in _imports(path)}

    assert "redis" not in imported or path.is_relative_to(ROOT / "shared/store")


@pytest.mark.parametrize("path", _files(*TRAINING_ROOMS), ids=_name)
def test_training_stands_alone(path: Path) -> None:
    """What trains knows of shared only what is pure or on disk, and of worker only itself."""
    ours = [name.split(".")[1:] for name in _imports(path) if name.startswith("keepfit.")]

    strangers = [
        ".".join(n)
        for n in ours
        if not (n[0] == "shared" and n[1] in TRAINING_MAY_USE) and "/".join(n[:2]) not in TRAINING_ROOMS
    ]

    assert not strangers


def _environment_reads(path: Path) -> list[int]:
    """Lines that read the environment. Assigning a variable, for a library, is not a read."""
    tree = _tree(path)
    written = {
        id(t.value)
        for n in ast.walk(tree)
        if isinstance(n, ast.Assign)
        for t in n.targets
        if isinstance(t, ast.Subscript)
    }
    written |= {
        id(n.func.value)
        for n in ast.walk(tree)
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute) and n.func.attr in {"setdefault", "update"}
    }
    return [
        n.lineno
        for n in ast.walk(tree)
        if isinstance(n, ast.Attribute)
        and (n.attr == "getenv" or (n.attr in {"environ", "environb"} and id(n) not in written))
    ]


@pytest.mark.parametrize("path", _files(*PACKAGES), ids=_name)
def test_only_the_settings_read_the_environment(path: Path) -> None:
    """`os.environ` is read in shared/settings.py; one other place records what libraries read from it."""
    reads = _environment_reads(path)

    allowed = _name(path) in {"shared/settings.py", "worker/training/bits.py"}
    assert not reads or allowed, f"{_name(path)} reads the environment at {reads}"


MAY_NAME_CARDS = {
    "worker/models/presets.py",  # the builder of each preset
    "shared/spec/upgrade.py",  # what version 1 meant where it said nothing
}


@pytest.mark.parametrize("path", [p for p in _files(*PACKAGES) if _name(p) not in MAY_NAME_CARDS], ids=_name)
def test_no_code_knows_a_card_by_its_name(path: Path) -> None:
    """Adding a data set or a preset touches its card, its reader or builder, and its test: nothing else names one."""
    names = {card.stem for card in (ROOT / "shared/catalog/builtin").rglob("*.json")}
    assert len(names) >= 5, "the cards are elsewhere now"

    said = [n.value for n in ast.walk(_tree(path)) if isinstance(n, ast.Constant) and n.value in names]

    assert not said


def test_keys_are_built_in_one_place() -> None:
    """A Redis key is written out only in shared/store/keys.py."""
    keys = ROOT / "shared/store/keys.py"
    prefixes = set(re.findall(r'"([a-z]+:)', keys.read_text()))
    assert prefixes, "keys.py has no key with a prefix, so this test would look for nothing"

    strangers = [
        f"{_name(path)}:{node.lineno}"
        for path in _files(*PACKAGES)
        if path != keys
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith(tuple(prefixes))
    ]

    assert not strangers


def _allowed_any() -> Iterator[str]:
    """The files in which ``Any`` may stand, out of the patterns of pyproject.toml."""
    ignores = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]["per-file-ignores"]
    patterns = [pattern for pattern, rules in ignores.items() if "ANN401" in rules and pattern.startswith(PACKAGES)]
    while patterns:
        pattern = patterns.pop()
        if (inner := re.search(r"\{([^{}]*)\}", pattern)) is None:
            yield pattern
        else:
            patterns += [pattern[: inner.start()] + part + pattern[inner.end() :] for part in inner[1].split(",")]


def test_any_is_allowed_only_where_it_is_needed() -> None:
    """Each file of the allow list is there and still has an ``Any``: what was tightened stays so."""
    allowed = list(_allowed_any())

    assert len(allowed) > 20
    assert not [name for name in allowed if not re.search(r"\bAny\b", (ROOT / name).read_text())]


def _says(path: Path, word: str) -> bool:
    """Whether code says ``word`` outside of its docstrings and comments; a template or a script anywhere."""
    if path.suffix != ".py":
        return word in path.read_text().lower()
    tree = _tree(path)
    documents = [n.value for n in ast.walk(tree) if isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant)]
    names = (
        n.id if isinstance(n, ast.Name) else n.attr if isinstance(n, ast.Attribute) else "" for n in ast.walk(tree)
    )
    texts = (n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and n not in documents)
    return any(word in str(said).lower() for said in (*names, *texts))


def test_only_the_task_knows_which_metric_counts() -> None:
    """Its name, its title and its direction stand in shared/spec/task.py; translations apart."""
    code = [*_files(*PACKAGES), *(p for kind in ("html", "js", "css", "lua") for p in ROOT.glob(f"[sw]*/**/*.{kind}"))]

    saying = {_name(path) for path in code if "vendor" not in path.parts and _says(path, "accuracy")}

    assert not saying - {"shared/spec/task.py", "web/index/schema.py"}
