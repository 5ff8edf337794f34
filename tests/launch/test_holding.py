"""One service for a data directory, whatever has been removed by hand; leftovers are ended, nobody else is."""

import json
import os
import shutil
import sys
import threading
from pathlib import Path

import psutil
import pytest

from keepfit.shared.launch import leftovers
from keepfit.shared.launch.holding import hold
from keepfit.shared.launch.leftovers import end_leftovers, living_launcher, note_parts
from keepfit.shared.launch.preflight import CannotStart, make_private, prepare_data_dir
from tests.harness.processes import ROOT, Household, free_port
from tests.harness.services import Service
from tests.harness.waiting import wait_until

HOLDS = """
import sys, time
from pathlib import Path
from keepfit.shared.launch.holding import hold
with hold(Path(sys.argv[1]), "http://first"):
    print("held", flush=True)
    time.sleep(1000)
"""


@pytest.mark.parametrize("removed", ["lock", "folder"])
def test_a_lock_that_was_removed_by_hand_lets_nobody_in(household: Household, data_dir: Path, removed: str) -> None:
    """The directory itself is locked as well."""
    prepare_data_dir(data_dir)
    first = household.start([sys.executable, "-c", HOLDS, data_dir], {"PYTHONPATH": str(ROOT)})
    household.wait_for(first, "held", "the first one holds the directory")
    if removed == "lock":
        (data_dir / "run" / "lock").unlink()
    else:
        shutil.rmtree(data_dir / "run")
        prepare_data_dir(data_dir)

    with pytest.raises(CannotStart, match="already runs on the data directory"), hold(data_dir, "http://second"):
        pass

    assert first.running()


def test_a_second_service_does_not_end_the_first_ones_processes(service: Service, household: Household) -> None:
    """Its lock file is gone; its parts go on, and the second one is refused."""
    parts, lock = service.process.children(), service.data_dir / "run" / "lock"
    said = lock.read_text()
    lock.unlink()
    options = ["--data-dir", str(service.data_dir), "--port", str(free_port()), "--redis-port", str(free_port())]

    second = household.start_service(*options, ready=False)

    assert second.wait() == 1
    lock.write_text(said)  # for the tests after this one
    assert f"already runs on the data directory {service.data_dir}" in second.text()
    assert f"(process {service.process.pid})" in second.text()
    assert "Traceback" not in second.text()
    assert all(part.is_running() for part in parts)


def test_a_launcher_that_lives_is_known(household: Household, tmp_path: Path) -> None:
    """By its id and its start, as its parts are."""
    noted, other = tmp_path / "parts.json", household.start(["sleep", "1000"])
    note_parts(noted, [])
    assert living_launcher(noted) is None  # this very process

    started = psutil.Process(other.pid).create_time()
    noted.write_text(json.dumps({"launcher": [other.pid, started], "parts": []}))
    assert living_launcher(noted) == other.pid
    noted.write_text(json.dumps({"launcher": [other.pid, started - 3600], "parts": []}))
    assert living_launcher(noted) is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "3", '{"parts": 3}', '{"parts": [[1]]}', '{"parts": [["a", 1], 5]}', "[[1, 2, 3]]"]
)
def test_a_note_that_cannot_be_read_ends_nobody(tmp_path: Path, text: str) -> None:
    """It may be torn, or from another version."""
    noted = tmp_path / "parts.json"
    noted.write_text(text)

    assert living_launcher(noted) is None
    assert end_leftovers(noted) == 0


def test_processes_that_end_meanwhile_are_no_error(tmp_path: Path, household: Household) -> None:
    """After a power cut of all parts they go at any moment, between any two questions about them."""
    noted = tmp_path / "parts.json"
    for _ in range(5):
        parts = [household.start([sys.executable, "-c", f"import time; time.sleep({i} / 100)"]) for i in range(12)]
        note_parts(noted, [part.pid for part in parts])
        reapers = [threading.Thread(target=part.wait) for part in parts]  # so that the kernel forgets them at once
        for reaper in reapers:
            reaper.start()

        end_leftovers(noted)

        for reaper in reapers:
            reaper.join()
        assert not noted.exists()


def test_what_a_gone_process_is_asked_is_nothing(household: Household) -> None:
    """The question that version 0.1 died of: who are the children of a process that has ended since."""
    part = household.start(["sleep", "1000"])
    process = psutil.Process(part.pid)
    part.process.kill()
    part.wait()

    assert leftovers._ask(process, lambda p: p.children(recursive=True)) is None
    assert leftovers._started(part.pid) is None


def test_only_a_directory_of_ours_is_closed_to_others(tmp_path: Path) -> None:
    """One of version 0.1, an empty one and a new one; not a folder that holds other things."""
    old, empty, new, foreign = (tmp_path / name for name in ("old", "empty", "new", "foreign"))
    for path in (old, empty, foreign):
        path.mkdir()
        path.chmod(0o755)
    (old / "jobs").mkdir()
    (foreign / "thesis.tex").touch()

    for path in (old, empty, new, foreign):
        make_private(path)

    assert [oct(path.stat().st_mode & 0o777) for path in (old, empty, new, foreign)] == ["0o700"] * 3 + ["0o755"]


def test_all_that_a_service_writes_is_private(service: Service) -> None:
    """Its logs, its server's files and its jobs are this user's."""
    wait_until((service.data_dir / "logs" / "web.log").exists, "the logs are there")

    open_ones = [
        path
        for path in [service.data_dir, *service.data_dir.rglob("*")]
        if not path.is_symlink() and path.stat().st_mode & 0o077 and path.stat().st_uid == os.geteuid()
    ]

    assert open_ones == []
