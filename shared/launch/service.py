"""`keepfit up`: checks, starts and watches the whole service, and says in plain lines how it goes.

    up(settings, console)      # returns the exit code when all has been stopped

The checks are in ``preflight``, the waiting in ``readiness``, the watching in ``supervision``.
"""

import contextlib
import os
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.text import Text

from keepfit.shared import datadir
from keepfit.shared.addresses import url_of, warning_of
from keepfit.shared.launch.holding import hold
from keepfit.shared.launch.leftovers import end_leftovers, note_parts
from keepfit.shared.launch.parts import Part, parts_of, write_server_file
from keepfit.shared.launch.preflight import (
    CannotStart,
    check_ports,
    check_server,
    keep_password,
    prepare_data_dir,
    without_password,
)
from keepfit.shared.launch.readiness import Readiness
from keepfit.shared.launch.serverfile import ServerFiles
from keepfit.shared.launch.supervision import Control, supervise
from keepfit.shared.settings import Settings

START_FAILURES = 4
"""A part that has ended this often before it was ever healthy will not become so by itself."""
START_PATIENCE_S = 120.0


class Say(Protocol):
    """Puts a message, with values in its places, into the language of whoever reads it."""

    def __call__(self, message: str, /, **values: object) -> str:
        """The message in that language."""


def in_english(message: str, /, **values: object) -> str:
    """``message`` as it stands here, with ``values`` in the places that it names."""
    return message.format(**values)


def up(settings: Settings, console: Console, say: Say = in_english) -> int:
    """Run the service until it is asked to stop; ``say`` puts what it tells into the reader's language.

    Raises CannotStart or NewerVersion before anything was started.
    """
    os.umask(0o077)  # whatever it or its parts write is this user's affair only
    settings = settings.model_copy(update={"data_dir": settings.data_dir.expanduser().resolve()})
    datadir.check(settings.data_dir)
    prepare_data_dir(settings.data_dir)
    with hold(settings.data_dir, url_of(settings)):
        datadir.take(settings.data_dir)
        run_dir = settings.data_dir / "run"
        if ended := end_leftovers(run_dir / "parts.json"):
            console.print(say("Processes of an earlier run that were left behind have been ended: {n}.", n=ended))
        check_ports(settings)
        if settings.redis_url is not None:
            check_server(settings.broker_url)
        else:
            keep_password(settings)
            write_server_file(settings)
        parts = parts_of(settings)
        _empty(run_dir / "tmp")
        console.print(say("Starting Keepfit in {path}", path=settings.data_dir), soft_wrap=True, markup=False)
        narrator = Narrator(settings, console, parts, say)
        try:
            supervise(parts, run_dir, settings.data_dir / "logs", narrator)
        finally:
            narrator.close()
            shutil.rmtree(run_dir / "tmp", ignore_errors=True)
        (run_dir / "parts.json").unlink(missing_ok=True)
    if narrator.failure:
        raise CannotStart(narrator.failure)
    console.print(say("Stopped. Jobs that were running go on from their checkpoints at the next start."))
    return 0


@dataclass
class Narrator:
    """Watches the parts, tells people what happens, and gives up when the start fails."""

    settings: Settings
    console: Console
    parts: list[Part]
    say: Say = in_english
    failure: str = ""
    _started: float = field(default_factory=time.monotonic)
    _failures: dict[str, int] = field(default_factory=dict)
    _ready: bool = False
    _noted: frozenset[int] = frozenset()
    _next_complaint: float = 0.0

    def __post_init__(self) -> None:
        """Nothing has been looked at yet."""
        self._readiness = Readiness(self.settings)
        self._files = ServerFiles(self.settings.data_dir)

    def look(self, control: Control) -> None:
        """Called ten times a second: note the processes, and before all are healthy look how far they are."""
        pids = control.pids()
        if (now := frozenset(pids.values())) != self._noted:
            with contextlib.suppress(OSError):  # a full disk: tried again in the next look
                note_parts(self.settings.data_dir / "run" / "parts.json", now)
                self._noted = now
        if self._files.failures and "server" in pids and self._readiness.server_answers():
            self._files.answered()
        if self._ready:
            return
        for name in self._readiness.look(pids):
            self._say_healthy(name)
        if self._readiness.complete():
            self._ready = True
            self._say_ready()
        elif reason := self._cause_to_give_up():
            self.failure = reason
            control.stop()

    def ended(self, name: str, reason: str) -> None:
        """A part has ended without having been asked to."""
        self._failures[name] = self._failures.get(name, 0) + 1
        if self._ready:
            self._say(self.say("{name} {reason}; it is started again.", name=name, reason=reason))
        if name == "server" and (said := self._files.ended(reason)):
            self._failures[name] = 0
            self._say(said)

    def not_logged(self, reason: str) -> None:
        """A line of a part's log could not be written; said once a minute."""
        if time.monotonic() > self._next_complaint:
            self._next_complaint = time.monotonic() + 60
            said = self.say(
                "The logs take no more lines ({reason}). Free some space; until then lines are lost, jobs are not.",
                reason=reason,
            )
            self._say(said)

    def stopping(self, hard: bool) -> None:
        """Everything is being stopped."""
        at_once = self.say("Stopping at once.")
        self.console.print("\n" + (at_once if hard else self.say("Stopping; running jobs write a checkpoint first.")))

    def close(self) -> None:
        """Give the connections back."""
        self._readiness.close()

    def _say(self, text: str) -> None:
        self.console.print(f"{time.strftime('%H:%M:%S')}  {text}", soft_wrap=True, highlight=False, markup=False)

    def _say_healthy(self, name: str) -> None:
        where = {"web": url_of(self.settings), "server": without_password(self.settings.broker_url)}.get(name, "")
        seconds = time.monotonic() - self._started
        slots = self._readiness.healthy[name]
        some = self.say("takes {n} job at a time" if slots == 1 else "takes {n} jobs at a time", n=slots)
        text = f"  {name:<8} {some if slots else self.say('answers')} {where}".rstrip()
        self.console.print(f"{text}  ({seconds:.1f} s)", soft_wrap=True, highlight=False, markup=False)

    def _say_ready(self) -> None:
        seconds = time.monotonic() - self._started
        said = Text.assemble((self.say("Keepfit is ready:"), "bold green"), " ", (url_of(self.settings), "bold"))
        self.console.print(
            said.append("  " + self.say("({seconds} s; Ctrl-C stops it)", seconds=f"{seconds:.1f}")),
            soft_wrap=True,
            highlight=False,
            markup=False,
        )
        if warning := warning_of(self.settings):
            self.console.print(warning, soft_wrap=True, highlight=False, markup=False)

    def _cause_to_give_up(self) -> str:
        for part in self.parts:
            if part.name not in self._readiness.healthy and self._failures.get(part.name, 0) >= START_FAILURES:
                return self._did_not_start(part.name, self.say("{name} ends again and again", name=part.name))
        if time.monotonic() - self._started > START_PATIENCE_S:
            missing = [part.name for part in self.parts if part.name not in self._readiness.healthy]
            what = {"names": ", ".join(missing), "seconds": f"{START_PATIENCE_S:.0f}"}
            return self._did_not_start(missing[0], self.say("{names} not healthy after {seconds} s", **what))
        return ""

    def _did_not_start(self, name: str, what: str) -> str:
        log = self.settings.data_dir / "logs" / f"{name}.log"
        advice = self.say(
            "If its file is the cause: {path} may be deleted: everything in it is made again from the job directories.",
            path=self.settings.data_dir / "redis",
        )
        said = self.say("Keepfit did not start: {what}. The end of {log}:", what=what, log=log)
        return f"{said}\n{_tail(log)}" + (f"\n{advice}" if name == "server" else "")


def _empty(directory: Path) -> None:
    """Make ``directory`` anew: what parts that were killed have left in it is of no use to anybody."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()


def _tail(log: Path, lines: int = 12) -> str:
    try:
        return "\n".join("  " + line for line in log.read_text(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return "  (nothing)"
