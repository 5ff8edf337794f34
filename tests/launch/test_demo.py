"""What the demo says where it cannot show its story: too slow to tell, or broken; a real service each time."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from keepfit.web.cli.demo import BROKEN, SLOW, tell


def _told(limit_s: float) -> tuple[int, str]:
    """The exit code of the demo, and what it has printed."""
    output = io.StringIO()
    return tell(Console(file=output, markup=False, soft_wrap=True, width=80), limit_s=limit_s), output.getvalue()


def test_a_machine_that_is_too_slow_breaks_no_promise() -> None:
    """Whatever takes too long says nothing about Keepfit, and has an exit code of its own."""
    code, said = _told(limit_s=0.0)

    assert code == SLOW == 3
    assert "Too slow here to tell: not within 0 s" in said
    assert "a load of" in said
    assert "It does not hold" not in said


def test_a_service_that_does_not_start_is_said_to_the_letter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where something is not installed, the advice is one that works, brackets and all."""
    (tmp_path / "supervisor.py").write_text("raise ImportError('not here', name='supervisor')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    code, said = _told(limit_s=90.0)

    assert code == BROKEN
    assert "It does not hold: the service did not start" in said
    assert "supervisor is not installed" in said
    assert "make run" in said
    assert "pip install '.[all]'" in said
