"""The command speaks the language of its terminal: help, errors, click's own words, and what it says of jobs."""

import json
import re

import pytest
from click.testing import CliRunner, Result
from flask import Flask

from keepfit.web.cli.command import main
from keepfit.web.words.catalogue import _
from tests.web.acting import Actor
from tests.web.test_terminal import served

KOREAN = {"LC_ALL": "", "LC_MESSAGES": "", "LANG": "ko_KR.UTF-8"}
ENGLISH_WORDS = re.compile(r"\b[a-z]{2,}\b")


def keepfit(*arguments: str, **environment: str) -> Result:
    """Run the command in a Korean terminal, or in another one."""
    for command in main.commands.values():
        command._help_option = None  # click keeps the words of the first language that it was asked in
    return CliRunner().invoke(main, arguments, env=KOREAN | environment, catch_exceptions=False)


@pytest.mark.parametrize(
    ("environment", "korean"),
    [
        ({}, True),
        ({"LANG": "ko"}, True),
        ({"LC_MESSAGES": "en_US.UTF-8"}, False),
        ({"LC_ALL": "ko_KR.EUC-KR", "LANG": "C"}, True),
        ({"LC_ALL": "C"}, False),
        ({"LANG": ""}, False),
        ({"LANG": "fr_FR.UTF-8"}, False),
    ],
)
def test_the_first_variable_that_is_set_decides(environment: dict[str, str], korean: bool) -> None:
    """LC_ALL, LC_MESSAGES, LANG, as POSIX has it; afterwards nothing of this process speaks another language."""
    said = keepfit("--help", **environment).output

    assert ("사용법:" in said, "Usage:" in said) == (korean, not korean)
    assert _("Queued") == "Queued"


@pytest.mark.parametrize("command", sorted(main.commands))
def test_the_help_of_each_command_is_translated(command: str) -> None:
    """The command itself, its options, and click's own titles; only the names of options and types stay."""
    said = keepfit(command, "--help").output
    words = re.sub(r"--?[a-z-]+|\[[^\]]*\]|`[^`]*`|https?:\S+|x[<>]=?\d+|keepfit|make run|[a-z.]+@\S+", "", said)

    assert set(ENGLISH_WORDS.findall(words)) <= {command, "main", "id"}
    assert "사용법:" in said


def test_a_wrong_command_line_is_explained_in_korean() -> None:
    """A missing argument, a value out of range, an unknown option, a service that is not there."""
    assert "빠진 인자: 'ID'." in keepfit("show").output
    assert "범위는 -9<=x<=9" in keepfit("priority", "abc", "99").output
    assert "그런 옵션이 없습니다: '--nothing'." in keepfit("list", "--nothing").output
    assert "작업에는 이름이 필요합니다" in keepfit("submit", "--epochs", "3").output


def test_jobs_are_told_of_in_korean(app: Flask, finished: str, actor: Actor) -> None:
    """List, one job, its events, a refusal; --json is the same in any language."""
    with served(app) as url:
        listed = keepfit("--url", url, "list").output
        shown = keepfit("--url", url, "show", finished).output
        watched = keepfit("--url", url, "watch", finished).output
        as_json = keepfit("--url", url, "show", finished, "--json").output
        paused = keepfit("--url", url, "pause", finished)

        waits = keepfit("--url", url, "submit", "--name", "waits")
        stopped = keepfit("--url", url, "pause", waits.output.split()[0]).output
        told = keepfit("--url", url, "show", waits.output.split()[0]).output

    assert "대기: 살아 있는 워커가 없음" in waits.output
    assert "요청: 일시 정지" in stopped
    assert "사용자가 일시 정지함" in told
    assert "상태" in listed
    assert "성공" in listed
    assert "정확도" in shown
    assert "손실" in watched
    assert json.loads(as_json)["state"] == "succeeded"
    assert paused.exit_code == 1
