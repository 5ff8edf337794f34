"""Training and evaluation with no service at all.

    python -m keepfit.worker.training train SPEC.json --dir DIR [--datasets DIR] [--threads N]
    python -m keepfit.worker.training evaluate --dir DIR --data NAME

DIR is a job directory, made from the spec on first use and checked against it afterwards. Run again on the same DIR
after a kill, training resumes. Ctrl-C and SIGTERM save a checkpoint and stop. Exit status: 0 finished, 1 failed,
2 bad input, 3 stopped.
"""

import argparse
import json
import os
import signal
import sys
from pathlib import Path

from keepfit.shared.catalog.accepting import accept
from keepfit.shared.catalog.library import builtin_library
from keepfit.shared.errors import InvalidSpec, JobConflict, KeepfitError, StorageFull
from keepfit.shared.jobs.directory import AttemptDir, JobDir, same_spec, write_job
from keepfit.shared.jobs.events import Event, Progress
from keepfit.shared.jobs.states import Outcome
from keepfit.shared.spec import DataSpec, EvaluateSpec, JobSpec, parse_spec
from keepfit.worker.training.interfaces import AttemptResult, StopReason, StopSignal

_EXIT = {Outcome.FINISHED: 0, Outcome.FAILED: 1, Outcome.STOPPED: 3, Outcome.INTERRUPTED: 3}


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    args = _parser().parse_args(argv)
    try:
        spec, jobdir = _job(args)
        result = _attempt(spec, jobdir, args.threads)
    except KeepfitError as exc:
        print(f"keepfit: {exc}", file=sys.stderr)
        return 2
    return _EXIT[result.outcome]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m keepfit.worker.training", description="Train or evaluate without the service."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train what SPEC.json describes, or go on with it")
    train.add_argument("spec", type=Path, metavar="SPEC.json")
    evaluate = commands.add_parser("evaluate", help="measure the model in DIR on a data set")
    evaluate.add_argument("--data", required=True, metavar="NAME")
    for command in (train, evaluate):
        command.add_argument("--dir", required=True, type=Path, help="the job's directory")
        command.add_argument("--datasets", type=Path, help="where data sets are kept (default: beside DIR)")
        command.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="threads to compute with")
    return parser


def _job(args: argparse.Namespace) -> tuple[JobSpec, JobDir]:
    folder = args.dir.absolute()
    datasets = (args.datasets or folder.parent / "datasets").absolute()
    if args.command == "evaluate":
        return _sibling_for(JobDir(folder, datasets), args.data)
    try:
        spec = accept(parse_spec(json.loads(args.spec.read_bytes())), builtin_library())
    except OSError as exc:
        raise InvalidSpec(f"{args.spec} cannot be read: {exc.strerror}.") from exc
    except ValueError as exc:
        raise InvalidSpec(f"{args.spec} is not JSON: {exc}.") from exc
    return spec, _open_or_create(JobDir(folder, datasets), spec)


def _attempt(spec: JobSpec, jobdir: JobDir, threads: int) -> AttemptResult:
    # Set before TensorFlow is imported: its own chatter is not for people.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from keepfit.worker.kinds import run
    from keepfit.worker.training import bits, device

    bits.configure(threads)
    device.use_cache(jobdir.datasets.parent / "cache")
    stop = StopSignal()
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, lambda *_: stop.set(StopReason.WISH))
    dirs = jobdir.attempt_dirs()
    number = dirs[-1].number + 1 if dirs else 1
    try:
        attempt: AttemptDir = jobdir.new_attempt(number)
    except OSError as exc:
        raise StorageFull(f"{jobdir.path} takes no writes ({exc.strerror}).") from exc
    result = run(spec, jobdir, attempt, Printer(), stop)
    print(_summary(result), flush=True)
    return result


def _summary(result: AttemptResult) -> str:
    metrics = ", ".join(f"{name} {value:.4f}" for name, value in result.metrics.items())
    return " ".join(part for part in (f"{result.outcome}:", str(result.reason), metrics) if part)


class Printer:
    """Prints what happens, a line an event."""

    def report(self, event: Event) -> None:
        """Print one event."""
        from keepfit.shared.jobs.loglines import describe

        line = describe(event)
        if isinstance(event, Progress):
            loss = ", ".join(f"{name} {value:.4f}" for name, value in event.logs.items())
            line = f"epoch {event.epoch + 1}/{event.epochs}, batch {event.batch}/{event.batches}: {loss}"
        if line:
            print(line, flush=True)


def _open_or_create(jobdir: JobDir, spec: JobSpec) -> JobDir:
    """The directory of a job that is ``spec``.

    Raises:
        JobConflict: the directory holds another job.
        DamagedFile: it holds one whose job.json cannot be read.
        StorageFull: it cannot be made.
    """
    if os.path.lexists(jobdir.path / "job.json"):
        if not same_spec(jobdir, spec):
            raise JobConflict(f"{jobdir.path} holds a job with another spec. Use another --dir, or the same spec.")
        return jobdir
    try:
        jobdir.path.mkdir(parents=True, exist_ok=True)
        write_job(jobdir.path, jobdir.id, spec)
    except OSError as exc:
        raise StorageFull(f"{jobdir.path} cannot be written ({exc.strerror}).") from exc
    return jobdir


def _sibling_for(source: JobDir, data: str) -> tuple[EvaluateSpec, JobDir]:
    """The evaluation of ``source`` on ``data``, in a directory beside it."""
    card = builtin_library().dataset(data)
    name = str(source.job.spec.get("name") or source.id)
    # Directories made by hand may have any name; the pattern of job ids is for what comes over the network.
    spec = EvaluateSpec.model_construct(
        kind="evaluate",
        name=f"{name} on {data}"[:80],
        source=source.id,
        data=DataSpec(name=card.name, id=card.id),
    )
    evaluation = source.sibling(f"{source.id}-evaluated-on-{data}")
    return spec, _open_or_create(evaluation, spec)


if __name__ == "__main__":
    sys.exit(main())
