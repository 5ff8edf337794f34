"""How the command speaks: every error is one message, every line reaches a pipe as it is.

    @job_command("show")
    @click.pass_context
    def show(ctx, ...):
        with client_of(ctx) as client: ...

Knows click and rich; nothing of jobs.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import click
from pydantic import ValidationError
from rich.cells import cell_len
from rich.console import Console

from keepfit.shared.actors import How
from keepfit.shared.addresses import url_of
from keepfit.shared.errors import KeepfitError
from keepfit.shared.settings import Settings, terminal_language
from keepfit.web.client import Client
from keepfit.web.words.catalogue import _, marked, speaking
from keepfit.web.words.refusals import in_words

URL_HELP = marked("Address of the Keepfit to speak to, such as http://127.0.0.1:8080.")
HOW_TO_INSTALL = marked(
    "Install keepfit[all]: in a clone `make run` does it and starts the service, or pip install '.[all]'; "
    "without one, pip install 'keepfit-...-py3-none-any.whl[all]' with the name of the wheel."
)
"""Keepfit is on no index: only what a person has as files can be installed."""


class _Spoken:
    """Its help, which stands in the code in English, is read in the language that is spoken."""

    _help: str | None = None

    @property
    def help(self) -> str | None:
        """What it is for."""
        return self._help and _(self._help)

    @help.setter  # noqa: A003  click's own name
    def help(self, text: str | None) -> None:
        self._help = text


class Option(_Spoken, click.Option):
    """An option whose help is translated."""


class Command(_Spoken, click.Command):
    """A command whose help is translated."""


option = partial(click.option, cls=Option)


CLICK = (click.core, click.decorators, click.exceptions, click.formatting, click.parser, click.types)


def _one_or_many(one: str, many: str, number: int) -> str:
    """As gettext's ``ngettext``, for click, which fills in the number itself."""
    return _(one if number == 1 else many)


class Commands(_Spoken, click.Group):
    """Turns what can go wrong into a message and exit code 1; everything else is a bug and shows as one."""

    command_class = Command

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run as a program, in the language of the terminal."""
        for module in CLICK:  # takes its own words from gettext's global catalogue, which only compiled files can fill
            vars(module).update(_=_, ngettext=_one_or_many)
        with speaking(terminal_language()):
            return super().main(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. Raises ClickException with what a person can do about it."""
        try:
            return super().invoke(ctx)
        except KeepfitError as exc:
            raise click.ClickException(in_words(exc)) from exc
        except TimeoutError as exc:
            raise click.ClickException(str(exc)) from exc
        except BrokenPipeError:  # `keepfit list | head`: click ends quietly
            raise
        except OSError as exc:
            where = f"{exc.filename}: " if exc.filename else ""
            raise click.ClickException(f"{where}{exc.strerror or exc}.") from exc


@contextmanager
def whole_installation() -> Iterator[None]:
    """Around imports of what the client alone does not bring. Raises ClickException that says how to get it."""
    try:
        yield
    except ImportError as exc:
        missing = _("{name} is not installed, and this command needs all of Keepfit.", name=exc.name)
        raise click.ClickException(f"{missing} {_(HOW_TO_INSTALL)}") from exc


def job_command(
    name: str, help: str | None = None, context_settings: dict[str, Any] | None = None
) -> Callable[[Callable[..., Any]], click.Command]:
    """A command that speaks to a service: it takes ``--url`` itself, as the group before it does."""

    def make(function: Callable[..., Any]) -> click.Command:
        command = click.command(name, cls=Command, help=help, context_settings=context_settings)(function)
        command.params.append(Option(["--url"], expose_value=False, callback=_take_url, help=URL_HELP))
        return command

    return make


def _take_url(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.obj = value


@contextmanager
def client_of(ctx: click.Context) -> Iterator[Client]:
    """A client of the service that the command line or the settings name."""
    settings = settings_of()
    with Client(ctx.obj or url_of(settings), patience_s=3.0, via=How.COMMAND) as client:
        yield client


def settings_of(**given: Any) -> Settings:
    """Settings from the environment, overridden by the options that were given. Raises UsageError."""
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as exc:
        lines = [f"KEEPFIT_{str(e['loc'][0]).upper()}: {e['msg']}" for e in exc.errors()]
        raise click.UsageError(_("A setting is wrong. {which}", which="; ".join(lines))) from exc


def plain_console() -> Console:
    """A console that prints text as it is: no markup, no emoji codes, no colours of its own, no line cut in two."""
    return Console(markup=False, emoji=False, highlight=False, soft_wrap=True)


def labelled(rows: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Each value behind its title, as a line; what has no value has no line."""
    width = max(9, *(cell_len(title) for title, _value in rows))
    yield from (f"{title}{' ' * (width - cell_len(title))} {value}" for title, value in rows if value)


def columns(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """``rows`` under ``titles``, as lines that no width of a terminal breaks; wide letters count as two."""
    table = [titles, *rows]
    widths = [max(cell_len(row[i]) for row in table) for i in range(len(titles))]
    for row in table:
        cells = (cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()
