"""What a person gets who installs Keepfit without a clone: the wheel, the source archive, and one import name."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.harness.processes import ROOT

BUILD = """
import sys
from setuptools import build_meta
getattr(build_meta, "build_" + sys.argv[1])(sys.argv[2])
"""
INSIDE = {
    "keepfit/__init__.py",
    "keepfit/py.typed",
    "keepfit/shared/catalog/builtin/datasets/mnist-5k.json",
    "keepfit/shared/catalog/builtin/models/mlp.json",
    "keepfit/shared/store/lua/claim.lua",
    "keepfit/web/templates/job.html",
    "keepfit/web/static/job.js",
    "keepfit/web/words/translations/ko.po",
    "keepfit/worker/data/builtin/mnist-5k.npz",
}


def build(kind: str, tree: Path, target: Path) -> Path:
    """The archive that setuptools makes of ``tree``."""
    target.mkdir()
    command = [sys.executable, "-c", BUILD, kind, str(target)]
    subprocess.run(command, cwd=tree, check=True, capture_output=True, text=True)
    (made,) = target.iterdir()
    return made


def copied(tree: Path) -> Path:
    """A copy of what packages are made from, links as links: setuptools leaves a folder `build` behind."""
    for name in ("keepfit", "shared", "web", "worker"):
        shutil.copytree(ROOT / name, tree / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    return tree


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], list[str]]:
    """The names in the source archive, and those in the wheel that is built from that."""
    folder = tmp_path_factory.mktemp("package")
    source = build("sdist", copied(folder / "tree"), folder / "source")
    with tarfile.open(source) as archive:
        packed = [member.name.partition("/")[2] for member in archive.getmembers() if not member.isdir()]
        archive.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    with zipfile.ZipFile(build("wheel", unpacked, folder / "wheel")) as wheel:
        return packed, wheel.namelist()


def of_keepfit(names: Iterable[str]) -> list[str]:
    """Those that are Keepfit itself, without what describes the package."""
    return sorted(name for name in names if ".dist-info/" not in name and ".egg-info/" not in name)


def test_the_wheel_holds_keepfit_and_nothing_else(archives: tuple[list[str], list[str]]) -> None:
    """Everything lies under the one import name, with data set, Lua, pages and type marker."""
    names = of_keepfit(archives[1])
    code = {path.relative_to(ROOT) for name in ("shared", "web", "worker") for path in (ROOT / name).rglob("*.py")}

    assert {name.split("/")[0] for name in names} == {"keepfit"}
    assert set(names) >= INSIDE
    assert {f"keepfit/{path}" for path in code} <= set(names)


def test_each_file_is_packed_once(archives: tuple[list[str], list[str]]) -> None:
    """Neither the links nor the folders that they lead to put a file into an archive for a second time."""
    for names in archives:
        assert len(names) == len(set(names))
        assert not {name for name in of_keepfit(names) if f"keepfit/{name}" in names}


def test_celery_as_people_know_it_gives_the_same_app() -> None:
    """In a checkout `worker.app` is `keepfit.worker.app`, and no module is loaded twice."""
    code = (
        "import importlib, sys; bare = importlib.import_module('worker.app'); import keepfit.worker.app as named\n"
        "assert bare is named and bare.app is named.app\n"
        "print(*(m for m in sys.modules if m.split('.')[0] in {'shared', 'web', 'worker'}))"
    )

    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True).stdout

    assert set(loaded.split()) == {"worker", "worker.app"}
