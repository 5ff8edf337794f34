"""One attempt at a program in a process of its own, which kills itself with -9 at a point if asked to.

    python tests/training/driver.py          # then a line on stdin for each attempt:
    DIR PROGRAM [--chunk N] [--die-at POINT:TIMES] [--poison]

POINT is one of POINTS; the process dies the TIMES-th time that it gets there. ``--poison`` builds other
models first, so that all automatic names differ. As in the service, each attempt is a fork of a process
that has imported TensorFlow and run no op; for each, its pid and then its wait status are printed.
"""

import argparse
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

from keepfit.shared.checkpoints import keep
from keepfit.shared.checkpoints.disk import Disk
from keepfit.worker.training import bits, run, saving, train
from keepfit.worker.training.callbacks import Callbacks
from keepfit.worker.training.engine import Engine, Evaluator, Steps
from keepfit.worker.training.trainer_state import History
from tests.training import programs
from tests.training.running import attempt, jobdir_at

POINTS: dict[str, tuple[Any, str]] = {
    "build": (Engine, "__init__"),
    "tracing": (Steps, "_on_rows"),
    "chunk": (Engine, "train"),
    "validation": (Evaluator, "run"),
    "epoch-end": (Callbacks, "epoch_end"),
    "finalise": (Callbacks, "finalise"),
    "export": (train, "export"),
    "result": (run, "_commit"),
    "state-written": (Disk, "fsync"),
    "renamed": (Disk, "fsync_dir"),
    "history-begun": (History, "_write_anew"),
    "history-grown": (Disk, "append"),
    "prune": (keep, "prune"),
    "prune-finished": (keep, "prune_finished"),
    "load": (saving, "load"),
}


def die_at(point: str, times: int) -> None:
    """Kill this process when it gets to ``point`` for the ``times``-th time."""
    owner, name = POINTS[point]
    real: Callable[..., Any] = getattr(owner, name)
    left = times

    def deadly(*args: Any, **kwargs: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)

    setattr(owner, name, deadly)


def main() -> None:
    """Fork an attempt for each line."""
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            os._exit(run_attempt(line.split()))
        print(pid, flush=True)
        print(os.waitpid(pid, 0)[1], flush=True)


def run_attempt(arguments: list[str]) -> int:
    """Run one attempt; 0 if the job is finished."""
    parser = argparse.ArgumentParser()
    parser.add_argument("dir", type=Path)
    parser.add_argument("program")
    parser.add_argument("--chunk", type=int)
    parser.add_argument("--die-at")
    parser.add_argument("--poison", action="store_true")
    args = parser.parse_args(arguments)
    bits.configure(2)
    if args.poison:
        programs.build("attention+adam+constant").build_model()
        programs.build("dropout+sgd+constant").build_model()
    if args.die_at:
        point, times = args.die_at.split(":")
        die_at(point, int(times))
    result = attempt(programs.build(args.program), jobdir_at(args.dir), chunk_steps=args.chunk)
    print(result.outcome, result.reason, file=sys.stderr)
    return 0 if result.outcome == "finished" else 1


if __name__ == "__main__":
    main()
