"""Every message for people in the code, and the catalogues that say it in other languages.

    python -m tests.harness.messages        # what `make words` runs: new messages into each catalogue, old ones out

A message is the text of `_`, `n_`, `marked` or `say`, in code and templates; of an error of ours, which says what to
do where it is raised; of a command's docstring and its options' help; and what click itself says.
"""

import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from string import Formatter

from babel.messages import pofile
from babel.messages.catalog import Catalog
from jinja2 import Environment
from jinja2.ext import extract_from_ast

from keepfit.shared.catalog.library import builtin_library
from keepfit.shared.errors import KeepfitError
from keepfit.shared.reasons import ENGLISH as ENGLISH_REASONS
from keepfit.shared.reasons import Code
from keepfit.shared.spec import KINDS, kind_named
from keepfit.shared.spec.task import TASKS
from keepfit.web.cli.terminal import CLICK
from keepfit.web.words.catalogue import ENGLISH, FOLDER, LANGUAGES

ROOT = Path(__file__).resolve().parents[2]
SAYING = ("_", "n_", "marked", "say")
WIDTH = 118


@dataclass(frozen=True)
class Message:
    """What is said, and where."""

    one: str
    many: str = ""
    where: str = ""

    @property
    def places(self) -> set[str]:
        """The names of its places for values."""
        return places(self.one)


def places(text: str) -> set[str]:
    """The names of the places for values in ``text``."""
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def messages() -> Iterator[Message]:
    """All of them, in the code's order."""
    for path in sorted((ROOT / "web").rglob("*.html")):
        source = Environment(autoescape=True, trim_blocks=True).parse(path.read_text())
        for line, _function, said in extract_from_ast(source, ("_", "n_")):
            if texts := [text for text in ([said] if isinstance(said, str) else said or ()) if text]:
                yield _message(texts, path, line)
    for folder in ("web", "shared"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield from _in_code(path)
    for module in CLICK:
        yield from _of_click(Path(str(module.__file__)))
    yield from (Message(kind.title) for kind in (*KINDS.values(), kind_named("of a later version")))
    yield from (Message(text) for task in TASKS.values() for text in (task.title, task.loss_title))
    cards = (*builtin_library().datasets(), *builtin_library().models())
    yield from (Message(text) for card in cards for text in (card.title, card.description))
    yield from (Message(words, where=f"reason {code}") for code, words in ENGLISH_REASONS.items() if code != Code.SAID)


def _message(said: list[str], path: Path, line: int) -> Message:
    return Message(said[0], said[1] if len(said) > 1 else "", f"{path.relative_to(ROOT)}:{line}")


def _in_code(path: Path) -> Iterator[Message]:
    for node in ast.walk(_tree(path)):
        name = _called(node)
        if isinstance(node, ast.Call) and node.args and name in SAYING:
            said = [text for arg in node.args[: 2 if name == "n_" else 1] for text in _texts(arg)]
            if name == "n_" and said:
                yield _message(said, path, node.lineno)
            else:
                yield from (_message([text], path, node.lineno) for text in said)
        if isinstance(node, ast.Call) and node.args and name in _errors():
            yield from (_message([text], path, node.lineno) for text in _texts(node.args[0]) if _is_whole(text))
        if path.is_relative_to(ROOT / "web/cli"):
            yield from (Message(text, where=path.name) for text in _of_command(node))


def _is_whole(text: str) -> bool:
    """Whether an error says all of it: what begins small is a part of what another one says."""
    return not text[0].islower() or bool(places(text))


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def _called(node: ast.AST) -> str:
    """The last part of the name of what is called: `say` of `self.say(...)`."""
    function = node.func if isinstance(node, ast.Call) else None
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


@cache
def _errors() -> frozenset[str]:
    """The names of our errors, wherever they are defined."""
    trees = [_tree(path) for folder in ("shared", "web") for path in (ROOT / folder).rglob("*.py")]
    classes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    found, before = {KeepfitError.__name__}, 0
    while before != len(found):
        before = len(found)
        found |= {c.name for c in classes for base in c.bases if isinstance(base, ast.Name) and base.id in found}
    return frozenset(found)


def _of_click(path: Path) -> Iterator[Message]:
    """What click itself says, which it takes one by one, the plurals too."""
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Call) and _called(node) in ("_", "ngettext"):
            yield from (Message(text, where=f"click {path.name}") for arg in node.args[:2] for text in _texts(arg))


def _of_command(node: ast.AST) -> Iterator[str]:
    """The help of a command and its options."""
    if isinstance(node, ast.FunctionDef) and any(_makes_command(d) for d in node.decorator_list):
        yield from filter(None, [ast.get_docstring(node)])
    if isinstance(node, ast.keyword) and node.arg == "help":
        yield from _texts(node.value)


def _makes_command(decorator: ast.expr) -> bool:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return ast.unparse(called).endswith(("command", "group"))


def _texts(node: ast.expr) -> list[str]:
    """The text of an argument, or the texts of which it is one."""
    if isinstance(node, ast.IfExp):
        return [*_texts(node.body), *_texts(node.orelse)]
    return [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value else []


def read(language: str) -> Catalog:
    """The catalogue of ``language`` as gettext's tools read it."""
    path = FOLDER / f"{language}.po"
    return pofile.read_po(BytesIO(path.read_bytes() if path.exists() else b""), locale=language)


def written(catalog: Catalog) -> str:
    """The one form in which a catalogue is kept: sorted, without line numbers, so that it merges like code."""
    out = BytesIO()
    pofile.write_po(
        out, catalog, width=WIDTH, no_location=True, omit_header=True, sort_output=True, ignore_obsolete=True
    )
    return out.getvalue().decode()


def one_form(text: object) -> str:
    """A message, or the one form of it where there is one for each number."""
    return str((text[0] if isinstance(text, list | tuple) else text) or "")


def updated(language: str, found: Iterable[Message]) -> Catalog:
    """The catalogue of ``language`` with just the messages ``found``, and the translations that it has of them."""
    kept, new = read(language), Catalog(locale=language)
    for message in found:
        known = kept.get(message.one)
        said = one_form(known.string) if known is not None and not known.fuzzy else ""
        if message.many:
            new.add((message.one, message.many), (said,))
        else:
            new.add(message.one, said)
    for entry in new:
        entry.flags.clear()  # the places are named by us, {like this}; what looks like %s is none
    return new


def main() -> None:
    """Bring each catalogue up to date and say what is left to translate."""
    left = 0
    for language in LANGUAGES:
        if language == ENGLISH:
            continue
        catalog = updated(language, messages())
        (FOLDER / f"{language}.po").write_text(written(catalog))
        for message in catalog:
            if message.id and not one_form(message.string):
                left += 1
                print(f"{language}: not translated: {message.id}", file=sys.stderr)
    sys.exit(1 if left else 0)


if __name__ == "__main__":
    main()
