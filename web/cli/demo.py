"""The whole story in a terminal: train, kill the worker, recover, compare the bits, evaluate.

    keepfit demo [--stay]

Starts a service of its own, by the same command that people use, in a temporary directory on free
ports. Speaks to it over HTTP only; what it kills, it kills with a plain ``kill -9``. Exit code 1,
with what did not hold, if any of it does not hold; 3 if the machine is too slow or too busy to tell:
whatever takes too long is no broken promise.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.text import Text

from keepfit.shared.actors import How
from keepfit.shared.errors import KeepfitError
from keepfit.shared.host import die_with_parent
from keepfit.shared.jobs.states import JobState
from keepfit.shared.settings import IMPORT_DIR
from keepfit.shared.spec.task import DEFAULT_TASK
from keepfit.web.cli.terminal import labelled
from keepfit.web.client import RESTING, Client, Job, RequestRefused, ServiceUnreachable
from keepfit.web.words.catalogue import _
from keepfit.web.words.reasons import told
from keepfit.web.words.refusals import in_words
from keepfit.web.words.states import state_name

LIMIT_S = 90.0
START_S = 60.0
RECOVER_S = 30.0
END_S = 12.0
KILL_AFTER_EPOCHS = 2
SHARE_WANTED = 0.93
LOOK_S = 0.02

SPEC: dict[str, Any] = {
    "kind": "train",
    "name": "demo",
    # Tiny batches make epochs long enough to be killed in, on any machine.
    "training": {"epochs": 25, "batch_size": 2, "learning_rate": 0.0005, "seed": 7, "checkpoint_every_steps": 1000},
}


class DemoFailed(KeepfitError):
    """Something that the demo shows did not hold."""


class TooSlow(KeepfitError):
    """It has taken so long that nothing can be said."""


HELD, BROKEN, SLOW, STOPPED = 0, 1, 3, 130
"""Exit codes."""


def tell(console: Console, stay: bool = False, limit_s: float = LIMIT_S) -> int:
    """Tell the story, in at most ``limit_s`` seconds; one of the exit codes above."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="keepfit-demo-") as directory:
        try:
            with own_service(Path(directory), console) as (client, service):
                Story(console, client, service, started, limit_s).tell()
                if stay:
                    console.print("\n" + _("The service stays at {url} until Ctrl-C.", url=client.base_url))
                    service.wait()
        except (TooSlow, ServiceUnreachable, TimeoutError) as exc:
            return _too_slow(console, exc)
        except KeepfitError as exc:
            if isinstance(exc, RequestRefused) and exc.status == httpx.codes.SERVICE_UNAVAILABLE:
                return _too_slow(console, exc)
            console.print(Text.assemble((_("It does not hold: "), "bold red"), in_words(exc)))
            return BROKEN
        except KeyboardInterrupt:
            return STOPPED
    took = _("{seconds} s in all.", seconds=f"{time.monotonic() - started:.0f}")
    console.print(Text.assemble((_("All of it held."), "bold green"), f" {took}"))
    return HELD


def _too_slow(console: Console, exc: Exception) -> int:
    said = in_words(exc) if isinstance(exc, KeepfitError) else str(exc)
    console.print(Text.assemble((_("Too slow here to tell: "), "bold yellow"), said))
    advice = _(
        "Nothing is known to have failed. This machine has {cores} cores and a load of {load}; please try again when "
        "it has less to do.",
        cores=os.cpu_count(),
        load=f"{os.getloadavg()[0]:.1f}",
    )
    console.print(advice)
    return SLOW


@contextmanager
def own_service(directory: Path, console: Console) -> Iterator[tuple[Client, subprocess.Popen[bytes]]]:
    """Run `keepfit up` in ``directory`` on free ports. Raises DemoFailed if a process is left afterwards."""
    port, redis_port = _free_ports(2)
    output = directory / "service.txt"
    options = ["--data-dir", str(directory / "data"), "--port", str(port), "--redis-port", str(redis_port)]
    options += ["--host", "127.0.0.1", "--workers", "1", "--drills"]
    command = [sys.executable, "-m", "keepfit", "up", *options]
    demo = os.getpid()
    with output.open("wb") as file:
        service = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            cwd=IMPORT_DIR,
            start_new_session=True,  # Ctrl-C is for the demo, which then stops the service
            preexec_fn=lambda: die_with_parent(demo),  # noqa: PLW1509  no thread is running here
        )
    parts: list[psutil.Process] = []
    try:
        with Client(f"http://127.0.0.1:{port}", via=How.COMMAND) as client:
            with console.status(_("Starting a service of its own ...")):
                _until(lambda: _is_ready(output) or service.poll() is not None, _("the service starts"), START_S)
            if service.poll() is not None:
                raise DemoFailed("the service did not start:\n{output}", output=output.read_text(errors="replace"))
            yield client, service
    finally:
        parts = psutil.Process(service.pid).children(recursive=True) if service.poll() is None else []
        service.terminate()
        try:
            service.wait(END_S)
        except subprocess.TimeoutExpired:
            service.kill()
        _gone, left = psutil.wait_procs(parts, timeout=2)
        for process in left:
            process.kill()
    if left:
        raise _late(END_S, _("the service's processes end ({left})", left=left))


def _is_ready(output: Path) -> bool:
    return _("Keepfit is ready:") in output.read_text(errors="replace")


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def _late(limit_s: float, what: str) -> TooSlow:
    return TooSlow("not within {seconds} s: {what}.", seconds=f"{limit_s:.0f}", what=what)


def _until(condition: Callable[[], object], what: str, limit_s: float) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            raise _late(limit_s, what)
        time.sleep(LOOK_S)


@dataclass
class Story:
    """The story, chapter by chapter."""

    console: Console
    client: Client
    service: subprocess.Popen[bytes]
    started: float
    limit_s: float = LIMIT_S
    _chapter: int = field(default=0, init=False)

    def tell(self) -> None:
        """All of it. Raises DemoFailed."""
        self._say(_("A service of its own is ready at {url}", url=self.client.base_url))
        job = self.client.submit(SPEC)
        self._say(_("Submitted a job over HTTP: {url}", url=job.url))
        killed_at = self._kill_mid_epoch(job.id)
        self._show_recovery(job.id, killed_at)
        job = self._finished(job.id, _("training goes on"))
        twin = self._twin()
        self._compare(job, twin)
        self._evaluate(job)
        self._in_time(_("all of it"))
        for line in labelled([(_("the job"), job.url), (_("its twin"), twin.url)]):
            self.console.print(f"      {line}")

    def _kill_mid_epoch(self, job_id: str) -> float:
        """Kill the worker while an epoch is under way; returns when."""
        with self._bar(_("training")) as show:
            while not _mid_epoch(job := self.client.job(job_id)):
                self._in_time(_("training for some epochs"))
                if job.state is JobState.SUCCEEDED:
                    raise TooSlow(_("the training was over before its worker could be killed."))
                training = _(
                    "the job is still training (it is {state}: {why})", state=state_name(job.state), why=told(job.raw)
                )
                self._expect(job.state not in RESTING, training)
                show(job)
                time.sleep(LOOK_S)
        attempt = job.raw["attempts"][-1]
        try:
            worker = psutil.Process(attempt["pid"]).parent()
            ours = worker is not None and worker.ppid() == self.service.pid
            self._expect(ours, _("the worker belongs to this service"))
            assert worker is not None
            worker.kill()
        except psutil.NoSuchProcess as exc:
            raise TooSlow(_("the worker was gone before it could be killed.")) from exc
        at = job.progress
        where = {"step": f"{at['step']:,}", "steps": f"{at['steps']:,}"}
        self._say(
            _("kill -9 of the whole worker (process {pid}), soon after step {step} of {steps}", pid=worker.pid, **where)
        )
        return time.monotonic()

    def _show_recovery(self, job_id: str, killed_at: float) -> None:
        """Wait until the next attempt trains, and say how long that took."""
        training: Mapping[str, Any] | None = None
        with self.console.status(_("recovering ...")):
            while training is None:
                if time.monotonic() - killed_at > RECOVER_S:
                    raise _late(RECOVER_S, _("the job trains again after the kill"))
                job = self.client.job(job_id)
                begun = [a for a in job.raw["attempts"] if a["number"] > 1 and a["started"]]
                training = next((a for a in begun if a["last_step"] > a["started"]["step"]), None)
                time.sleep(LOOK_S)
        took, start = time.monotonic() - killed_at, training["started"]
        said = _(
            "Recovered by itself: attempt {number} trains again {seconds} s after the kill, from step {step} "
            "(epoch {epoch}, batch {batch})",
            number=training["number"],
            seconds=f"{took:.1f}",
            step=f"{start['step']:,}",
            epoch=start["epoch"] + 1,
            batch=f"{start['batch']:,}",
        )
        self._say(said)
        self._expect(start["step"] > 0, _("it went on from a checkpoint, not from the beginning"))
        self._expect(start["exact"], _("the resume is exact (it differs in {what})", what=start["differs"]))

    def _finished(self, job_id: str, what: str) -> Job:
        with self._bar(what) as show:
            while (job := self.client.job(job_id)).state not in RESTING:
                self._in_time(what)
                show(job)
                time.sleep(0.1)
        said = _("the job succeeds (it is {state}: {why})", state=state_name(job.state), why=told(job.raw))
        self._expect(job.state is JobState.SUCCEEDED, said)
        return job

    def _twin(self) -> Job:
        """The same training, left alone."""
        twin = self.client.submit(SPEC | {"name": "demo, undisturbed twin"})
        twin = self._finished(twin.id, _("an undisturbed twin"))
        if twin.attempt > 1:
            raise TooSlow(_("the undisturbed twin lost its worker as well, so there is nothing to compare with."))
        self._say(_("Trained an undisturbed twin: the same spec and seed, one attempt"))
        return twin

    def _compare(self, job: Job, twin: Job) -> None:
        sums = [(_("killed"), f"sha256 {job.weights_sha256}"), (_("undisturbed"), f"sha256 {twin.weights_sha256}")]
        for line in labelled(sums):
            self.console.print(f"      {line}")
        self._expect(bool(job.weights_sha256), _("the job has a digest of its weights"))
        self._expect(job.weights_sha256 == twin.weights_sha256, _("both have the same weights, bit by bit"))
        self._expect(dict(job.metrics) == dict(twin.metrics), _("both have the same metrics, to the last digit"))
        self._say(_("The same bits, as if nothing had happened"))

    def _evaluate(self, job: Job) -> None:
        evaluation = self._finished(self.client.evaluate(job.id).id, _("evaluation"))
        title, share = _(DEFAULT_TASK.title), DEFAULT_TASK.primary_in(evaluation.metrics) or 0.0
        shown = DEFAULT_TASK.primary_in(job.metrics)
        self._expect(share == shown, _("the evaluation gives the {metric} that the job has shown", metric=title))
        found = f"{share:.4f}"
        reached = _("the {metric} {found} reaches {wanted}", metric=title, found=found, wanted=SHARE_WANTED)
        self._expect(share >= SHARE_WANTED, reached)
        self._say(_("Evaluated the model on 1,000 test digits: {metric} {found}", metric=title, found=found))

    def _say(self, text: str) -> None:
        self._chapter += 1
        seconds = time.monotonic() - self.started
        self.console.print(
            Text.assemble(
                (f"{self._chapter}.", "bold"), " ", (_("{seconds} s", seconds=f"{seconds:4.1f}"), "dim"), f"  {text}"
            )
        )

    def _in_time(self, what: str) -> None:
        if time.monotonic() - self.started > self.limit_s:
            raise _late(self.limit_s, what)

    def _expect(self, holds: bool, what: str) -> None:
        if not holds:
            raise DemoFailed("expected that {what}", what=what)

    @contextmanager
    def _bar(self, what: str) -> Iterator[Any]:
        """A bar that follows a job's steps."""
        columns = (TextColumn("   {task.description}", markup=False), BarColumn(), TaskProgressColumn())
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
