"""Each script of the store and its row: they have the same names, and nothing is counted by hand."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest

from keepfit.shared.actors import How
from keepfit.shared.jobs.states import Cause, Outcome, Wish
from keepfit.shared.reasons import NONE
from keepfit.shared.store import keys, scripts
from keepfit.shared.store.scripts import ROWS, Names, Pairs, name_of, text_of

LUA = Path(scripts.__file__).parent / "lua"
NO_CODE = re.compile(r"--[^\n]*|'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
NAME = re.compile(r"(?<![\w.:])[A-Za-z_]\w*")
KEYWORDS = "and break do else elseif end false for function if in local nil not or return then true until while"
LIBRARY = "ipairs pairs tonumber tostring unpack math string table redis cjson"
LANGUAGE = {*KEYWORDS.split(), *LIBRARY.split()}
DECLARED = re.compile(r"\blocal function (\w+)\s*\(([^)]*)\)|\blocal ([\w, ]+)|\bfor ([\w, ]+) (?:=|in\b)")
TABLE_KEY = re.compile(r"(?<=[{,])\s*(\w+)\s*=(?!=)")
"""In ``{ outcome = outcome }`` the first is no variable."""


def own_text(row: type[scripts.Script[Any]]) -> str:
    """The script's own file, without comments and texts."""
    return NO_CODE.sub("''", (LUA / f"{name_of(row)}.lua").read_text())


def declared(text: str) -> Iterator[str]:
    """The names that ``text`` declares."""
    for function, parameters, variables, counters in DECLARED.findall(text):
        for names in (function, parameters, variables, counters):
            yield from (name.strip() for name in names.split(",") if name.strip())


def test_every_script_has_one_row() -> None:
    """And every row has a script."""
    assert sorted(map(name_of, ROWS)) == sorted(p.stem for p in LUA.glob("*.lua") if p.stem != "common")


@pytest.mark.parametrize("row", ROWS, ids=name_of)
def test_a_script_knows_its_arguments_by_their_names(row: type[scripts.Script[Any]]) -> None:
    """Each argument of the row is used, and every name in the script is an argument, a key, shared or its own."""
    own, common = own_text(row), NO_CODE.sub("''", scripts.common_text())
    arguments = {field.name for field in fields(row)}
    used = set(NAME.findall(TABLE_KEY.sub("", own))) - LANGUAGE

    assert arguments <= used, "an argument that the script does not look at"
    assert used <= arguments | set(declared(own)) | set(declared(common)) | set(keys.SCRIPT_KEYS), "a name from nowhere"
    assert not arguments & set(declared(own)), "an argument is hidden by a name of the script's own"


@pytest.mark.parametrize("path", sorted(LUA.glob("*.lua")), ids=lambda path: path.stem)
def test_no_script_counts_its_arguments(path: Path) -> None:
    """Numbers are generated on both sides."""
    assert not re.search(r"\b(ARGV|KEYS)\b", path.read_text())


def test_the_head_of_a_script_names_what_the_row_sends() -> None:
    """In the order in which the row's values are sent; numbers and yes or no as such, the last one as many."""
    finish = scripts.Finish(
        job_id="a",
        owner="b",
        attempt=3,
        outcome=Outcome.STOPPED,
        reason=NONE,
        cause=Cause.WORKER,
        result="",
        budget=5,
        backoff_ms=1000,
        by=How.KEEPER,
        pause_with_reason=True,
    )
    assert finish.arguments() == ["a", "b", 3, "stopped", "", "worker", "", 5, 1000, "keeper", 1]
    text = text_of(scripts.Finish)
    assert "local attempt = tonumber(ARGV[3])\nlocal outcome = ARGV[4]\n" in text
    assert "local pause_with_reason = ARGV[11] == '1'\n" in text

    request = scripts.Request(job_id="a", wish=Wish.RUN, wish_number=1, by="", priority=None, only_priority=False)
    assert request.arguments() == ["a", "run", 1, "", "", 0]

    put_back = scripts.Create(job_id="a", created_ms=7, record=(("name", "job"), ("attempt", 0)))
    assert put_back.arguments() == ["a", 7, "name", "job", "attempt", 0]
    assert "local record = {}; for i = 3, #ARGV do record[i - 2] = ARGV[i] end" in text_of(scripts.Create)


def test_only_the_last_argument_may_be_many() -> None:
    """Whatever came behind it would be taken for one of them."""

    @dataclass(frozen=True, kw_only=True)
    class Leave(scripts.Script[None]):
        names: Names
        pairs: Pairs

    with pytest.raises(AssertionError, match="all arguments that are left"):
        text_of(Leave)
