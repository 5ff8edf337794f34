"""Every message for people in the code, and the catalogues that say it in other languages.

    python -m tests.harness.messages        # what `make words` runs: new messages into each catalogue, old ones out

A message is the text of `_`, `n_` or `marked`, in code and templates; of an error of ours, which says what to do
where it is raised; and of a command's docstring and its options' help.
"""

import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from string import Formatter

from babel.messages import pofile
from babel.messages.catalog import Catalog
from jinja2 import Environment
from jinja2.ext import extract_from_ast

from keepfit.shared import errors
from keepfit.shared.spec import DATASETS, KINDS, MODELS, kind_named
from keepfit.web.words.catalogue import ENGLISH, FOLDER, LANGUAGES

ROOT = Path(__file__).resolve().parents[2]
OURS = tuple(name for name, cls in vars(errors).items() if isinstance(cls, type) and issubclass(cls, Exception))
SAYING = ("_", "n_", "marked", *OURS)
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
    yield from (Message(kind.title) for kind in (*KINDS.values(), kind_named("of a later version")))
    yield from (Message(text) for info in DATASETS.values() for text in (info.title, info.description))
    yield from (Message(text) for info in MODELS.values() for text in (info.title, info.description))


def _message(said: list[str], path: Path, line: int) -> Message:
    return Message(said[0], said[1] if len(said) > 1 else "", f"{path.relative_to(ROOT)}:{line}")


def _in_code(path: Path) -> Iterator[Message]:
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in SAYING:
            most = 2 if node.func.id == "n_" else 1
            said = [text for arg in node.args[:most] if (text := _text(arg))]
            if said and (node.func.id not in OURS or said[0][0].isupper()):  # else a part of what another error says
                yield _message(said, path, node.lineno)
        if path.is_relative_to(ROOT / "web/cli"):
            yield from (Message(text, where=path.name) for text in _of_command(node))


def _of_command(node: ast.AST) -> Iterator[str]:
    """The help of a command and its options."""
    if isinstance(node, ast.FunctionDef) and any(_makes_command(d) for d in node.decorator_list):
        yield from filter(None, [ast.get_docstring(node)])
    if isinstance(node, ast.keyword) and node.arg == "help" and (text := _text(node.value)):
        yield text


def _makes_command(decorator: ast.expr) -> bool:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return ast.unparse(called).endswith(("command", "group"))


def _text(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


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
