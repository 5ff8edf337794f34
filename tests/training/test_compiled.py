"""Kept programs: the same bits as compiled ones, and no damaged one is ever used."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from keepfit.worker.training import device

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import sys
from pathlib import Path
from keepfit.worker.training import bits, device
device.use_cache(Path(sys.argv[1]))
bits.configure(2)
from tests.training import programs
from tests.training.running import undisturbed
print(undisturbed(programs.build("xla-mlp"), Path(sys.argv[2])))
"""


def in_a_process(cache: Path, job: Path) -> str:
    """Train in a new process with this cache; returns what the job has come to."""
    command = [sys.executable, "-c", PROGRAM, str(cache), str(job)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A cache that a first process has filled, and what its job has come to."""
    folder = tmp_path_factory.mktemp("filled")
    return folder / "cache", in_a_process(folder / "cache", folder / "first")


@pytest.fixture
def cache(filled: tuple[Path, str], tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(filled[0], tmp_path / "cache"))


def kept(cache: Path) -> list[Path]:
    """The programs that later processes can have."""
    return sorted(path for path in cache.glob("xla-*/*--*") if path.is_file())


def test_a_kept_program_gives_the_bits_of_a_compiled_one(filled: tuple[Path, str], cache: Path, tmp_path: Path) -> None:
    """Compiled and published, then loaded; no private directory is left."""
    published = kept(cache)

    loaded = in_a_process(cache, tmp_path / "second")

    assert published == kept(cache) != []
    assert loaded == filled[1]
    assert not list(cache.glob("xla-*/process-*"))


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b[:1000] + bytes([b[1000] ^ 1]) + b[1001:]])
def test_a_damaged_program_is_compiled_anew(
    damage: object, filled: tuple[Path, str], cache: Path, tmp_path: Path
) -> None:
    """Cut off, or one bit flipped: removed, and replaced by what this process compiles."""
    (entry, *_) = kept(cache)
    content = entry.read_bytes()
    assert callable(damage)
    entry.write_bytes(damage(content))

    again = in_a_process(cache, tmp_path / "second")

    assert again == filled[1]
    assert entry.read_bytes() == content if entry.exists() else kept(cache) != []


def test_only_the_dead_lose_their_private_directory(cache: Path, tmp_path: Path) -> None:
    """Two containers on one data directory do not see each other's processes; a lock says who is alive."""
    (shared,) = cache.glob("xla-*")
    of_a_killed_one, of_a_living_one = shared / "process-killed", shared / "process-living"
    of_a_killed_one.mkdir()
    of_a_living_one.mkdir()
    lock = os.open(of_a_living_one, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)

    in_a_process(cache, tmp_path / "second")

    os.close(lock)
    assert [path.name for path in shared.glob("process-*")] == [of_a_living_one.name]


def open_to_others(cache: Path) -> None:
    """Anybody may write there."""
    cache.chmod(0o777)


def open_within(cache: Path) -> None:
    """The group may write to the folder of one kind of machine."""
    (shared,) = cache.glob("xla-*")
    shared.chmod(0o770)


def another_users(cache: Path) -> None:
    """It belongs to somebody else."""
    os.chown(cache, 12345, 12345)


def a_link(cache: Path) -> None:
    """It stands somewhere else."""
    cache.rename(cache.with_name("elsewhere"))
    cache.symlink_to("elsewhere")


@pytest.mark.parametrize("harm", [open_to_others, open_within, another_users, a_link])
def test_a_directory_that_others_can_write_to_is_not_used(
    harm: Callable[[Path], None], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever writes there would run code in the worker: nothing is loaded from it, nothing published into it."""
    if harm is another_users and os.geteuid() != 0:
        pytest.skip("only root can give a directory away")
    monkeypatch.setenv("TF_XLA_FLAGS", "")
    harm(cache)
    there = sorted(cache.rglob("*"))

    device.use_cache(cache)
    device.publish()

    assert os.environ["TF_XLA_FLAGS"] == ""
    assert sorted(cache.rglob("*")) == there


def test_a_directory_of_ones_own_is_used(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what was kept in it, so that recovery is as fast as before; a new one is closed to others."""
    monkeypatch.setenv("TF_XLA_FLAGS", "")
    device.use_cache(cache)
    first = os.environ["TF_XLA_FLAGS"]
    device.discard()
    monkeypatch.setenv("TF_XLA_FLAGS", "")
    device.use_cache(cache.with_name("new"))

    assert str(cache) in first
    assert cache.with_name("new").stat().st_mode & 0o777 == 0o700
    device.discard()
