"""The people who use the service while it is tormented: they submit, wish, wait, and repeat what was not answered.

    people = People(client, jobs_dir, seed)
    people.start(); ...; people.finish(timeout_s)       # every promise has been kept, or StillWaiting

A submit without an answer is repeated under the same key, as the API asks. A job that was paused
because it could not go on (a full disk) is resumed. A deletion is asked for until it is answered.
"""

import random
import threading
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from keepfit.shared.jobs.directory import job_id_of
from keepfit.shared.jobs.states import ENDS, JobState
from keepfit.web.client import Client, Job, RequestRefused, ServiceUnreachable
from tests.harness.waiting import wait_until

AT_ONCE = 6
"""Jobs that are not over yet."""
LOOK_S = 0.15

MLP = {"epochs": 40, "batch_size": 8, "checkpoint_interval_s": 0.5}
SPECS: dict[str, dict[str, Any]] = {
    "mlp": {"training": MLP | {"seed": 7}},
    "mlp, every 500 steps": {"training": MLP | {"seed": 8, "epochs": 30, "checkpoint_every_steps": 500}},
    "mlp in the graph": {"training": MLP | {"seed": 9, "epochs": 12, "plan": "graph"}},
    "cnn": {"model": {"name": "cnn"}, "training": {"epochs": 4, "batch_size": 32, "checkpoint_interval_s": 0.5}},
}
SUBMITTED = tuple(SPECS)
"""What people submit at random."""
LONG = "mlp, long"
"""Takes longer than a lease on any machine."""
SPECS[LONG] = {"training": MLP | {"seed": 10, "plan": "graph", "epochs": 160}}
ENDLESS = "mlp, endless"
"""Is over only when a person's wish is obeyed, so that no wish can be forgotten unseen."""
SPECS[ENDLESS] = {"training": MLP | {"seed": 11, "epochs": 10_000}}
PLANS: dict[tuple[str, ...], int] = {
    (): 5,
    ("pause",): 2,
    ("cancel",): 1,
    ("endless", "cancel"): 1,
    ("endless", "pause", "cancel"): 2,
    ("delete",): 1,
    ("endless", "delete"): 2,
    ("endless", "pause", "delete"): 1,
}
"""What people wish of their jobs one after the other, and how often. To delete one is the last wish."""
SAMPLES = 3_600


def steps_of(name: str) -> int:
    """Optimizer steps of the spec ``name``: 3,600 samples in batches, the last one may be smaller."""
    training = SPECS[name]["training"]
    return int(training["epochs"] * -(-SAMPLES // training["batch_size"]))


@dataclass
class Promise:
    """One job, from a person's side."""

    spec: str
    plan: str = ""
    """For people who read it: the wishes, one after the other."""
    key: str = field(default_factory=lambda: uuid.uuid4().hex)
    wish_after_s: float = 0.0
    job_id: str = ""
    """Known once it was accepted."""
    submits: int = 0
    wishes: list[str] = field(default_factory=list)
    """Those that are still to be made; each is made again until it was answered with yes."""
    since: float = field(default_factory=time.monotonic)
    """The submit, or the last wish that was obeyed."""
    pausing: bool = False
    """It is to be seen paused before anything else is wished."""
    resumes: list[float] = field(default_factory=list)
    """When a person had it go on; wall clock."""
    ended: JobState | None = None
    """The first end that a person has seen."""
    damaged: list[float] = field(default_factory=list)
    """When one of its documents was damaged, wall clock: it may be trained again."""
    gone: bool = False
    """Somebody has taken its directory away: nobody waits for it any more."""
    deleting: bool = False
    """A person has asked to delete it, and asks until it is answered; whatever it was doing, it may end so."""
    deleted: bool = False
    """That was answered with yes: it must never be seen again."""


class People:
    """All of them, in one thread."""

    def __init__(self, client: Client, jobs_dir: Path, seed: int) -> None:
        self.client, self.jobs_dir = client, jobs_dir
        self.promises: list[Promise] = []
        self.trouble: list[str] = []
        self._random = random.Random(seed + 1)
        self._lock = threading.Lock()
        self._ordering = True
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._live, name="people", daemon=True)
        client._http.timeout = httpx.Timeout(5.0, connect=2.0)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def finish(self, timeout_s: float) -> None:
        """Submit nothing new and wait until every job is over."""
        self._ordering = False
        for promise in self.promises:
            if promise.damaged:  # it may be at work again since its end was seen
                promise.ended = None
        try:
            wait_until(lambda: self.trouble or not self._open(), "every job is over", timeout_s)
        finally:
            self._ended.set()
            self._thread.join(30)

    def new_promise(self) -> Promise:
        """A job that somebody is going to submit."""
        with self._lock:
            chosen = self._random.choice(SUBMITTED)
            plan = self._random.choices(list(PLANS), list(PLANS.values()))[0]
            wishes = [word for word in plan if word != "endless"]
            spec = ENDLESS if "endless" in plan else chosen
            after = self._random.uniform(0.5, 10)
            promise = Promise(spec, ", ".join(plan), wish_after_s=after, wishes=wishes)
            self.promises.append(promise)
            return promise

    def directory_of(self, promise: Promise) -> Path:
        """Where the job will be."""
        return self.jobs_dir / job_id_of(f"api-{promise.key}")

    def submit(self, promise: Promise) -> None:
        """Send it, perhaps not for the first time."""
        promise.submits += 1
        try:
            promise.job_id = self.client.submit({"name": promise.spec, **SPECS[promise.spec]}, key=promise.key).id
        except (ServiceUnreachable, RequestRefused) as exc:
            self._understand(exc)

    def delete(self, promise: Promise) -> None:
        """Ask to delete it, perhaps not for the first time; then repeat the submit, as a slow program would."""
        promise.deleting = True
        try:
            self.client.delete(promise.job_id, cancel=True)
            promise.deleted = True
        except (ServiceUnreachable, RequestRefused) as exc:
            if not promise.gone:
                self._understand(exc)
            return
        self.submit(promise)

    def _open(self) -> list[Promise]:
        with self._lock:
            return [p for p in self.promises if p.ended is None and not p.gone and not p.deleted]

    def _live(self) -> None:
        while not self._ended.wait(LOOK_S):
            try:
                if self._ordering and len(self._open()) < AT_ONCE:
                    self.new_promise()
                for promise in self._open():
                    self._attend(promise)
            except Exception as exc:  # noqa: BLE001 - told by the test; a thread that dies unseen would hang it
                self.trouble.append(f"a person stumbled: {exc!r}")
                return

    def _attend(self, promise: Promise) -> None:
        if not promise.job_id:
            self.submit(promise)
            return
        if promise.deleting:
            self.delete(promise)
            return
        try:
            job = self.client.job(promise.job_id)
            if job.state in ENDS:
                promise.ended = job.state
            else:
                self._wish(promise, job)
        except (ServiceUnreachable, RequestRefused) as exc:
            if not promise.gone and not promise.deleting:  # the nemesis may have had it deleted just now
                self._understand(exc)

    def _wish(self, promise: Promise, job: Job) -> None:
        if job.state is JobState.PAUSED:
            promise.resumes.append(time.time())
            self.client.resume(job.id)
            promise.pausing, promise.since = False, time.monotonic()
        elif promise.wishes and not promise.pausing and time.monotonic() - promise.since > promise.wish_after_s:
            if promise.wishes[0] == "delete":
                promise.deleting = True
                return
            (self.client.cancel if promise.wishes[0] == "cancel" else self.client.pause)(job.id)
            promise.pausing = promise.wishes.pop(0) == "pause"

    def _understand(self, exc: Exception) -> None:
        """An answer that a person can expect: not reachable, not now, no space. Anything else is trouble."""
        if isinstance(exc, RequestRefused) and exc.status not in (409, 503, 507):
            self.trouble.append(f"an answer that should never come: {exc.status} {exc}")
