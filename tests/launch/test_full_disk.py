"""A full disk under the launcher itself: one plain line a minute, no traceback, and the parts go on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from keepfit.shared.launch.parts import Part
from keepfit.shared.launch.service import Narrator
from keepfit.shared.settings import Settings
from tests.harness.processes import ROOT

SCRIPT = """
import resource, sys
from pathlib import Path
from rich.console import Console
from keepfit.shared.launch.parts import Part
from keepfit.shared.launch.service import Narrator
from keepfit.shared.launch.supervision import supervise
from keepfit.shared.settings import Settings

data_dir = Path(sys.argv[1])
settings = Settings(data_dir=data_dir)
chatter = Part("chatter", (sys.executable, "-c", "import time\\nfor n in range(10**6): print('line', n, flush=True); "
               "time.sleep(0.01)"), 20, 1)
dying = Part("dying", ("/bin/sh", "-c", "sleep 0.3"), 20, 1)

class Full(Narrator):
    looks = 0
    def look(self, control):
        self.looks += 1
        if self.looks == 5:  # from here on no file grows any more, as on a full disk
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        super().look(control)
        if self.looks == 40:
            print("still watching", control.pids().keys(), flush=True)
            control.stop()

narrator = Full(settings, Console(), [chatter, dying])
supervise([chatter, dying], data_dir / "run", data_dir / "logs", narrator)
print("all stopped", flush=True)
"""


def test_a_full_disk_costs_the_launcher_a_line_not_a_traceback(data_dir: Path) -> None:
    """Version 0.1 printed its logger's traceback for each line of each part."""
    for folder in ("run", "logs"):
        (data_dir / folder).mkdir()

    # Over a pipe: the limit holds for every file.
    command = [sys.executable, "-c", SCRIPT, str(data_dir)]
    launcher = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )

    assert launcher.returncode == 0
    assert "Traceback" not in launcher.stdout + launcher.stderr
    assert launcher.stdout.count("The logs take no more lines") == 1
    assert "still watching" in launcher.stdout
    assert "all stopped" in launcher.stdout


def test_lines_that_are_lost_are_said_once_a_minute(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not once for each."""
    narrator = Narrator(Settings(data_dir=data_dir), Console(soft_wrap=True), [Part("web", ("true",), 20, 1)])

    for _ in range(100):
        narrator.not_logged("No space left on device")

    narrator.close()
    printed = capsys.readouterr().out
    assert printed.count("The logs take no more lines (No space left on device).") == 1
    assert "jobs are not" in printed
