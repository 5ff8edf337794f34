"""The whole story in a terminal: train, kill the worker, recover, compare the bits, evaluate.

    python -m web.demo [--stay]        # also: keepfit demo

Starts a service of its own, by the same command that people use, in a temporary directory on free
ports. Speaks to it over HTTP only; what it kills, it kills with a plain ``kill -9``. Exit code 1,
with what did not hold, if any of it does not hold.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import psutil
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from shared.errors import KeepfitError
from shared.launch.tether import die_with_parent
from shared.settings import PROJECT_DIR
from shared.states import JobState
from web.client import RESTING, Job, KeepfitClient

LIMIT_S = 90.0
KILL_AFTER_EPOCHS = 2
ACCURACY_WANTED = 0.93
LOOK_S = 0.02

SPEC: dict[str, Any] = {
    "kind": "train",
    "name": "demo",
    "data": {"name": "mnist-5k"},
    "model": {"name": "mlp"},
    # Tiny batches make epochs long enough to be killed in, on any machine.
    "training": {"epochs": 25, "batch_size": 2, "learning_rate": 0.0005, "seed": 7, "checkpoint_every_steps": 1000},
}


class DemoFailed(KeepfitError):
    """Something that the demo shows did not hold."""


def tell(console: Console, stay: bool = False) -> int:
    """Tell the story; 0 if all of it held."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="keepfit-demo-") as directory:
        try:
            with own_service(Path(directory), console) as (client, service):
                Story(console, client, service, started).tell()
                if stay:
                    console.print(f"\nThe service stays at {client.base_url} until Ctrl-C.")
                    service.wait()
        except (KeepfitError, TimeoutError) as exc:
            console.print(f"[bold red]It does not hold:[/] {exc}")
            return 1
        except KeyboardInterrupt:
            return 130
    console.print(f"[bold green]All of it held.[/] {time.monotonic() - started:.0f} s in all.")
    return 0


@contextmanager
def own_service(directory: Path, console: Console) -> Iterator[tuple[KeepfitClient, subprocess.Popen[bytes]]]:
    """Run `keepfit up` in ``directory`` on free ports. Raises DemoFailed if a process is left afterwards."""
    port, redis_port = _free_ports(2)
    output = directory / "service.txt"
    options = ["--data-dir", str(directory / "data"), "--port", str(port), "--redis-port", str(redis_port)]
    command = [sys.executable, "-m", "web.cli", "up", *options, "--host", "127.0.0.1", "--workers", "1", "--drills"]
    demo = os.getpid()
    with output.open("wb") as file:
        service = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            cwd=PROJECT_DIR,
            start_new_session=True,  # Ctrl-C is for the demo, which then stops the service
            preexec_fn=lambda: die_with_parent(demo),  # noqa: PLW1509  no thread is running here
        )
    parts: list[psutil.Process] = []
    try:
        with KeepfitClient(f"http://127.0.0.1:{port}") as client:
            with console.status("Starting a service of its own ..."):
                _until(lambda: "Keepfit is ready" in output.read_text() or service.poll() is not None, "it starts", 60)
            if service.poll() is not None:
                raise DemoFailed(f"the service did not start:\n{output.read_text()}")
            yield client, service
    finally:
        parts = psutil.Process(service.pid).children(recursive=True) if service.poll() is None else []
        service.terminate()
        try:
            service.wait(10)
        except subprocess.TimeoutExpired:
            service.kill()
        _, left = psutil.wait_procs(parts, timeout=2)
        for process in left:
            process.kill()
    if left:
        raise DemoFailed(f"processes were left behind: {left}")


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def _until(condition: Any, what: str, limit_s: float) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            raise DemoFailed(f"not within {limit_s:.0f} s: {what}")
        time.sleep(LOOK_S)


@dataclass
class Story:
    """The story, chapter by chapter."""

    console: Console
    client: KeepfitClient
    service: subprocess.Popen[bytes]
    started: float
    _chapter: int = field(default=0, init=False)

    def tell(self) -> None:
        """All of it. Raises DemoFailed."""
        self._say(f"A service of its own is ready at {self.client.base_url}")
        job = self.client.submit(SPEC)
        self._say(f"Submitted a job over HTTP: {job.url}")
        killed_at = self._kill_mid_epoch(job.id)
        self._show_recovery(job.id, killed_at)
        job = self._finished(job.id, "training goes on")
        twin = self._twin()
        self._compare(job, twin)
        self._evaluate(job)
        self._expect(time.monotonic() - self.started < LIMIT_S, f"all of it takes less than {LIMIT_S:.0f} s")
        self.console.print(f"      the job   {job.url}\n      its twin  {twin.url}")

    def _kill_mid_epoch(self, job_id: str) -> float:
        """Kill the worker while an epoch is under way; returns when."""
        with self._bar("training") as show:
            while not _mid_epoch(job := self.client.job(job_id)):
                self._expect(time.monotonic() - self.started < LIMIT_S, "training gets that far in time")
                self._expect(job.state not in RESTING, f"the job is still training (it is {job.state}: {job.reason})")
                show(job)
                time.sleep(LOOK_S)
        attempt = job.raw["attempts"][-1]
        worker = psutil.Process(attempt["pid"]).parent()
        self._expect(worker is not None and worker.ppid() == self.service.pid, "the worker belongs to this service")
        assert worker is not None
        os.kill(worker.pid, signal.SIGKILL)
        at = job.progress
        self._say(
            f"kill -9 of the whole worker (process {worker.pid}), soon after step {at['step']:,} of {at['steps']:,}"
        )
        return time.monotonic()

    def _show_recovery(self, job_id: str, killed_at: float) -> None:
        """Wait until the next attempt trains, and say how long that took."""
        training: Mapping[str, Any] | None = None
        with self.console.status("recovering ..."):
            deadline = killed_at + 30
            while training is None:
                self._expect(time.monotonic() < deadline, "the job trains again within 30 s")
                job = self.client.job(job_id)
                begun = [a for a in job.raw["attempts"] if a["number"] > 1 and a["started"]]
                training = next((a for a in begun if a["last_step"] > a["started"]["step"]), None)
                time.sleep(LOOK_S)
        took, start = time.monotonic() - killed_at, training["started"]
        self._say(
            f"Recovered by itself: attempt {training['number']} trains again {took:.1f} s after the kill, "
            f"from step {start['step']:,} (epoch {start['epoch'] + 1}, batch {start['batch']:,})"
        )
        self._expect(start["step"] > 0, "it went on from a checkpoint, not from the beginning")
        self._expect(start["exact"], f"the resume is exact (it differs in {start['differs']})")

    def _finished(self, job_id: str, what: str) -> Job:
        with self._bar(what) as show:
            while (job := self.client.job(job_id)).state not in RESTING:
                self._expect(time.monotonic() - self.started < LIMIT_S, f"{what} ends within {LIMIT_S:.0f} s")
                show(job)
                time.sleep(0.1)
        self._expect(job.state is JobState.SUCCEEDED, f"the job succeeds (it is {job.state}: {job.reason})")
        return job

    def _twin(self) -> Job:
        """The same training, left alone."""
        twin = self.client.submit(SPEC | {"name": "demo, undisturbed twin"})
        twin = self._finished(twin.id, "an undisturbed twin")
        self._expect(twin.attempt == 1, "the twin was not disturbed")
        self._say("Trained an undisturbed twin: the same spec and seed, one attempt")
        return twin

    def _compare(self, job: Job, twin: Job) -> None:
        self.console.print(f"      killed      sha256 {job.weights_sha256}")
        self.console.print(f"      undisturbed sha256 {twin.weights_sha256}")
        self._expect(bool(job.weights_sha256), "the job has a digest of its weights")
        self._expect(job.weights_sha256 == twin.weights_sha256, "both have the same weights, bit by bit")
        self._expect(dict(job.metrics) == dict(twin.metrics), "both have the same metrics, to the last digit")
        self._say("The same bits, as if nothing had happened")

    def _evaluate(self, job: Job) -> None:
        evaluation = self._finished(self.client.evaluate(job.id, "mnist-5k").id, "evaluation")
        accuracy = evaluation.metrics["accuracy"]
        self._expect(accuracy == job.metrics["accuracy"], "the evaluation gives the accuracy that the job has shown")
        self._expect(accuracy >= ACCURACY_WANTED, f"the accuracy {accuracy:.4f} reaches {ACCURACY_WANTED}")
        self._say(f"Evaluated the model on 1,000 test digits: accuracy {accuracy:.4f}")

    def _say(self, text: str) -> None:
        self._chapter += 1
        seconds = time.monotonic() - self.started
        self.console.print(f"[bold]{self._chapter}.[/] [dim]{seconds:4.1f} s[/]  {text}")

    def _expect(self, holds: bool, what: str) -> None:
        if not holds:
            raise DemoFailed(f"expected that {what}")

    @contextmanager
    def _bar(self, what: str) -> Iterator[Any]:
        """A bar that follows a job's steps."""
        columns = (TextColumn("   {task.description}"), BarColumn(), TaskProgressColumn())
        with Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal) as bar:
            task = bar.add_task(what, total=None)

            def show(job: Job) -> None:
                if steps := job.progress.get("steps"):
                    bar.update(task, completed=job.progress["step"], total=steps)

            yield show


def _mid_epoch(job: Job) -> bool:
    """Whether some epochs are done, and the latest checkpoint lies within an epoch."""
    at = job.progress
    return bool(at) and at["epoch"] >= KILL_AFTER_EPOCHS and job.raw["checkpoint_step"] % at["batches"] != 0


@click.command(name="demo")
@click.option("--stay", is_flag=True, help="Leave the service running at the end, to look at the pages.")
def main(stay: bool) -> None:
    """Train, kill the worker, recover, compare the bits, evaluate."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends like Ctrl-C, so that the service is stopped
    raise SystemExit(tell(Console(highlight=False, soft_wrap=True), stay))


if __name__ == "__main__":
    main()
