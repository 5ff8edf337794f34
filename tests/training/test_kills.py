"""P1 with real processes: kill -9 at every kind of moment, then go on in a new process."""

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.training import driver, programs
from tests.training.running import Final, final_of, jobdir_at, undisturbed

DRIVER = Path(driver.__file__)


class Nursery:
    """Starts attempts, each in a process of its own."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, str(DRIVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )

    def start(self, folder: Path, program: str, *options: str) -> int:
        """Start an attempt and return its pid."""
        assert self._server.stdin is not None
        self._server.stdin.write(" ".join([str(folder), program, "--chunk", "1", *options, "\n"]).encode())
        self._server.stdin.flush()
        return self._answer()

    def wait(self) -> int:
        """The exit status of the attempt, as `subprocess` has it."""
        return os.waitstatus_to_exitcode(self._answer())

    def die(self, folder: Path, program: str, where: str, *options: str) -> None:
        """An attempt that must be killed at ``where``."""
        self.start(folder, program, "--die-at", where, *options)
        assert self.wait() == -signal.SIGKILL, f"it never got to {where}"

    def finish(self, folder: Path, program: str, *options: str) -> Final:
        """An attempt that must come to the end."""
        self.start(folder, program, *options)
        assert self.wait() == 0
        return final_of(jobdir_at(folder))

    def close(self) -> None:
        """End the server."""
        self._server.communicate(timeout=30)

    def _answer(self) -> int:
        assert self._server.stdout is not None
        return int(self._server.stdout.readline())


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    """One server of forks for these tests."""
    nursery = Nursery()
    yield nursery
    nursery.close()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Final:
    """What the program `dropout+adam+plateau` comes to when nothing happens to it."""
    return undisturbed(programs.build("dropout+adam+plateau"), tmp_path_factory.mktemp("whole") / "job")


MOMENTS = {
    "build": "build:1",
    "before the first step": "chunk:1",
    "tracing": "tracing:1",
    "mid-epoch": "chunk:6",
    "validation": "validation:2",
    "epoch end": "epoch-end:2",
    "finalisation": "finalise:1",
    "export": "export:1",
    "before the result": "result:1",
    "a checkpoint half written": "state-written:8",
    "a checkpoint just renamed": "renamed:6",
    "the history begun": "history-begun:1",
    "the history grown": "history-grown:1",
    "pruning": "prune:4",
    "pruning at the end": "prune-finished:1",
}


@pytest.mark.parametrize("where", MOMENTS.values(), ids=MOMENTS.keys())
def test_killed_at_a_moment_it_ends_the_same(where: str, nursery: Nursery, whole: Final, tmp_path: Path) -> None:
    """One kill; the next process has built other models before."""
    nursery.die(tmp_path / "job", "dropout+adam+plateau", where)

    assert nursery.finish(tmp_path / "job", "dropout+adam+plateau", "--poison") == whole


def test_killed_while_it_resumes_it_ends_the_same(nursery: Nursery, whole: Final, tmp_path: Path) -> None:
    """The second process dies as it reads the checkpoint that the first one has left."""
    nursery.die(tmp_path / "job", "dropout+adam+plateau", "chunk:6")
    nursery.die(tmp_path / "job", "dropout+adam+plateau", "load:1")

    assert nursery.finish(tmp_path / "job", "dropout+adam+plateau") == whole


def test_killed_ten_times_twice_in_one_epoch(nursery: Nursery, whole: Final, tmp_path: Path) -> None:
    """Each attempt dies a step or two after it has resumed; no step is done twice in the end, none is left out."""
    for times in (3, 2, 3, 2, 3, 2, 2, 3, 2, 2):
        nursery.die(tmp_path / "job", "dropout+adam+plateau", f"chunk:{times}")

    ended = nursery.finish(tmp_path / "job", "dropout+adam+plateau")

    assert ended == whole
    assert ended.iterations == programs.EPOCHS * programs.build("dropout+adam+plateau").batches


@pytest.mark.chaos
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("chunk", range(1, 13))
def test_killed_at_every_chunk_boundary(chunk: int, nursery: Nursery, whole: Final, tmp_path: Path) -> None:
    """Before each of the chunks of a short job."""
    nursery.die(tmp_path / "job", "dropout+adam+plateau", f"chunk:{chunk}")

    assert nursery.finish(tmp_path / "job", "dropout+adam+plateau") == whole


def kill_at_random(nursery: Nursery, folder: Path, program: str, chance: random.Random) -> bool:
    """Start an attempt and kill it at a random moment of its life; False if it was faster."""
    pid = nursery.start(folder, program)
    alarm = threading.Timer(chance.uniform(0.0, 2.5), os.kill, (pid, signal.SIGKILL))
    alarm.start()
    status = nursery.wait()
    alarm.cancel()
    alarm.join()
    return status == -signal.SIGKILL


@pytest.mark.chaos
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(40))
def test_killed_at_random_moments(seed: int, nursery: Nursery, tmp_path: Path) -> None:
    """Five kills at random moments, 200 in all, over models of every kind."""
    name = random.Random(seed).choice(programs.names())
    chance = random.Random(1000 + seed)
    expected = undisturbed(programs.build(name), tmp_path / "whole")

    kills, folders = 0, iter(range(100))
    while kills < 5:  # where an attempt is faster than its death, the rest hits another run of the same job
        folder = tmp_path / f"job{next(folders)}"
        while kills < 5 and kill_at_random(nursery, folder, name, chance):
            kills += 1
        assert nursery.finish(folder, name) == expected
