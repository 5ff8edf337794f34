"""The synopses in the docstrings: what they call is there, under that name and with those arguments."""

import ast
import builtins
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted(p for side in ("keepfit", "shared", "worker", "web") for p in (ROOT / side).glob("**/*.py"))
MODULES += sorted((ROOT / "tests/harness").glob("*.py"))
BLOCK = re.compile(r"(?:^ {4}.*\n?|^\n(?= {4}))+", re.MULTILINE)


@dataclass(frozen=True)
class Signature:
    """What a call must give, as far as it can be read from the code."""

    positional: tuple[str, ...]
    by_name: frozenset[str]
    required: frozenset[str]
    any_more: bool = False
    any_name: bool = False

    def takes(self, call: ast.Call) -> bool:
        """Whether ``call`` would be bound; one with ``...`` in it leaves something out on purpose."""
        given = [a for a in call.args if not (isinstance(a, ast.Constant) and a.value is ...)]
        named = {k.arg for k in call.keywords if k.arg}
        bound = set(self.positional[: len(given)]) | named
        enough = self.required <= bound or len(given) < len(call.args) or any(k.arg is None for k in call.keywords)
        known = self.any_name or named <= self.by_name | set(self.positional[len(given) :])
        return enough and known and (self.any_more or len(given) <= len(self.positional))


ANY = Signature((), frozenset(), frozenset(), any_more=True, any_name=True)


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def _synopsis(path: Path) -> Iterator[ast.stmt]:
    """The statements of the indented blocks of a module's docstring; what is no Python, such as a command, is not."""
    for block in BLOCK.findall(ast.get_docstring(_tree(path)) or ""):
        try:
            yield from ast.parse(textwrap.dedent(block)).body
        except SyntaxError:
            for line in block.splitlines():
                try:
                    yield from ast.parse(line.strip()).body
                except SyntaxError:
                    continue


def _of_function(node: ast.FunctionDef | ast.AsyncFunctionDef, method: bool) -> Signature:
    given = node.args
    plain = [a.arg for a in (*given.posonlyargs, *given.args)][1 if method and not _is_static(node) else 0 :]
    optional = set(plain[len(plain) - len(given.defaults) :]) if given.defaults else set()
    named = {a.arg: default for a, default in zip(given.kwonlyargs, given.kw_defaults, strict=True)}
    required = set(plain) - optional | {name for name, default in named.items() if default is None}
    return Signature(
        tuple(plain), frozenset(named), frozenset(required), given.vararg is not None, given.kwarg is not None
    )


def _is_static(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(isinstance(d, ast.Name) and d.id == "staticmethod" for d in node.decorator_list)


def _of_class(node: ast.ClassDef) -> Signature:
    """The constructor, or the fields of a dataclass; of one that inherits, nobody can say from here."""
    for inner in node.body:
        if isinstance(inner, ast.FunctionDef) and inner.name == "__init__":
            return _of_function(inner, method=True)
    fields = {
        a.target.id: a.value for a in node.body if isinstance(a, ast.AnnAssign) and isinstance(a.target, ast.Name)
    }
    inherits = any(not (isinstance(base, ast.Name) and base.id == "Protocol") for base in node.bases)
    required = frozenset() if inherits else frozenset(name for name, value in fields.items() if value is None)
    return Signature(tuple(fields), frozenset(fields), required, inherits, inherits)


@cache
def _signatures(path: Path) -> dict[str, list[Signature]]:
    """Of every function, class and method that is defined in a module, by its bare name."""
    found: dict[str, list[Signature]] = {}
    for node in _tree(path).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.setdefault(node.name, []).append(_of_function(node, method=False))
        elif isinstance(node, ast.ClassDef):
            found.setdefault(node.name, []).append(_of_class(node))
            for inner in node.body:
                if isinstance(inner, ast.AnnAssign) and isinstance(inner.target, ast.Name):  # perhaps it can be called
                    found.setdefault(inner.target.id, []).append(ANY)
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
                    found.setdefault(inner.name, []).append(_of_function(inner, method=True))
    return found


def _file(module: str) -> Path | None:
    """The file of a module of ours."""
    path = ROOT / module.removeprefix("keepfit.").replace(".", "/")
    return next((p for p in (path.with_suffix(".py"), path / "__init__.py") if p.exists()), None)


@cache
def _reached(path: Path) -> tuple[set[str], set[Path]]:
    """The names that ``path`` and its synopsis import, and the files of ours that they come from."""
    names, files = set[str](), set[Path]()
    for node in (*ast.walk(_tree(path)), *_synopsis(path)):
        if isinstance(node, ast.Import):
            names |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
            found = [_file(node.module or ""), *(_file(f"{node.module}.{alias.name}") for alias in node.names)]
            files |= {file for file in found if file is not None}
    return names, files


def _wrong(path: Path, call: ast.Call, foreign: set[str]) -> str:
    """What is wrong with a call of a synopsis; empty if nothing is."""
    imported, files = _reached(path)
    further = {file for one in files for file in _reached(one)[1]}  # what the values there are made of
    if isinstance(call.func, ast.Name):
        name, here = call.func.id, call.func.id in _signatures(path)
        places = {path} if here else files | further
        near = any(name in _signatures(file) for file in files)
        if not (here or near or name in imported or hasattr(builtins, name)):
            return f"{name} is neither defined here nor where this imports from"
    elif isinstance(call.func, ast.Attribute):
        root = call.func.value
        while isinstance(root, ast.Attribute | ast.Call):
            root = root.func if isinstance(root, ast.Call) else root.value
        if isinstance(root, ast.Name) and root.id in foreign:
            return ""
        name, places = call.func.attr, {path, *files, *further}
        if not any(name in _signatures(place) for place in places):
            return f"nothing here has a method {name}"
    else:
        return ""
    known = [signature for place in places for signature in _signatures(place).get(name, [])]
    if known and not any(signature.takes(call) for signature in known):
        return f"{ast.unparse(call)} would not be taken: {name} has other arguments"
    return ""


@pytest.mark.parametrize(
    "path", [p for p in MODULES if any(_synopsis(p))], ids=lambda p: p.relative_to(ROOT).as_posix()
)
def test_what_a_synopsis_calls_is_there(path: Path) -> None:
    """Nobody runs a docstring: so its names are looked up, and its arguments compared."""
    statements = list(_synopsis(path))
    nodes = [node for statement in statements for node in ast.walk(statement)]
    foreign = {arg.arg for node in nodes if isinstance(node, ast.Lambda) for arg in node.args.args}
    foreign |= {a.name for n in _tree(path).body if isinstance(n, ast.Import) for a in n.names}

    wrong = [_wrong(path, node, foreign) for node in nodes if isinstance(node, ast.Call)]

    assert not [words for words in wrong if words]
