"""A plain Python model of the job store: what the Lua scripts should do, written down a second time.

    model = Model([Disk(job_id, created_ms=1)])
    model.now = 1000                       # the server's clock, in milliseconds, as the script saw it
    model.create(job_id)                   # answers what the script should answer
    model.view(), model.take_events()      # what must now be on the server

Knows nothing of Redis and has no clock of its own, so that leases and back-offs are compared to the millisecond.
"""

import dataclasses
import json
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from keepfit.shared import actors
from keepfit.shared.actors import How
from keepfit.shared.jobs.events import Event, encode
from keepfit.shared.jobs.states import ENDS, OWN_FAULTS, Cause, JobState, Outcome, Wish
from keepfit.shared.reasons import NONE, Code, Reason
from keepfit.shared.store import LeaseState, Renewal
from keepfit.shared.store.records import Lost

S, W = JobState, Wish
LONGEST_BACKOFF_MS = 30_000
WORKER, KEEPER = (actors.text_of(actors.local(how)) for how in (How.WORKER, How.KEEPER))

WISHES: dict[JobState, dict[Wish, JobState]] = {
    S.QUEUED: {W.RUN: S.QUEUED, W.PAUSE: S.PAUSED, W.CANCEL: S.CANCELLED},
    S.RUNNING: {W.RUN: S.RUNNING, W.PAUSE: S.RUNNING, W.CANCEL: S.RUNNING},
    S.PAUSED: {W.RUN: S.QUEUED, W.PAUSE: S.PAUSED, W.CANCEL: S.CANCELLED},
    S.FAILED: {W.RUN: S.QUEUED},
    S.CANCELLED: {W.RUN: S.QUEUED, W.CANCEL: S.CANCELLED},
    S.SUCCEEDED: {},
}
SAID = {S.QUEUED: Code.RESUMED, S.PAUSED: Code.PAUSED, S.CANCELLED: Code.CANCELLED}


@dataclass(frozen=True)
class Disk:
    """What the directory of a job says, which is all that a wiped server learns of it."""

    id: str
    created_ms: int
    priority: int = 0
    wish: Wish = W.RUN
    wish_number: int = 0
    attempt: int = 0
    by: str = ""
    """Who has submitted it (JSON)."""
    wish_by: str = ""
    short: bool = False


@dataclass(frozen=True)
class Happened:
    """One entry of a job's stream."""

    kind: str
    attempt: int
    data: dict[str, Any]
    kept: bool = True
    """Whether it lies in the job's own stream, and not only among the changes."""


@dataclass
class View:
    """All that counts on a server: each job's fields, the members and scores of each index, and the counters."""

    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    index: dict[str, float] = field(default_factory=dict)
    ready: dict[str, float] = field(default_factory=dict)
    short: dict[str, float] = field(default_factory=dict)
    delayed: dict[str, float] = field(default_factory=dict)
    leases: dict[str, float] = field(default_factory=dict)
    states: dict[str, dict[str, float]] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)


@dataclass
class Record:
    """The fields of a job's hash, under their names there."""

    created_ms: int
    priority: int
    wish: Wish
    wish_number: int
    attempt: int
    wish_by: str = ""
    state: JobState = S.QUEUED
    reason: str = ""
    owner: str = ""
    barren: int = 0
    setbacks: int = 0
    last_end: str = ""
    last_outcome: str = ""
    lease_ms: int = 0
    heartbeat_ms: int = 0
    since_ms: int = 0
    wish_ms: int = 0
    checkpoint_step: int = 0
    checkpoint_failure: str = ""
    progress: str = ""
    progress_attempt: int = 0
    result: str = ""

    @property
    def rank(self) -> float:
        """Lower is claimed first."""
        return self.created_ms - self.priority * 1e14


class Model:
    """All jobs, and the rules."""

    def __init__(self, disks: Sequence[Disk]) -> None:
        self.now = 0
        self.disks = {disk.id: disk for disk in disks}
        self.jobs: dict[str, Record] = {}
        self.delayed: dict[str, int] = {}
        """Queued jobs that may not be claimed before a time."""
        self.kicked = False
        self.counters: Counter[str] = Counter()
        self._events: list[tuple[str, Happened]] = []

    def view(self) -> View:
        """What must be on the server."""
        states: dict[str, dict[str, float]] = defaultdict(dict)
        for i, job in self.jobs.items():
            states[job.state][i] = job.since_ms
        return View(
            jobs={i: vars(job) for i, job in self.jobs.items()},
            index={i: job.created_ms for i, job in self.jobs.items()},
            ready={i: self.jobs[i].rank for i in self.waiting() if i not in self.delayed},
            short={i: self.jobs[i].rank for i in self.waiting() if i not in self.delayed and self.disks[i].short},
            delayed=dict(self.delayed),
            leases={i: self.jobs[i].lease_ms for i in self.in_state(S.RUNNING)},
            states=dict(states),
            counters=dict(self.counters),
        )

    def take_events(self) -> list[tuple[str, Happened]]:
        """What must have been appended since the last call, and to which job, in this order."""
        taken, self._events = self._events, []
        return taken

    def held(self) -> list[tuple[str, int, str]]:
        """Job, attempt number and owner of each running attempt."""
        return [(i, job.attempt, job.owner) for i, job in self.jobs.items() if job.state is S.RUNNING]

    def in_state(self, state: JobState) -> list[str]:
        """The jobs in this state."""
        return [i for i, job in self.jobs.items() if job.state is state]

    def waiting(self) -> list[str]:
        """Queued jobs, those that back off among them."""
        return self.in_state(S.QUEUED)

    def movable(self) -> list[str]:
        """Jobs whose state a wish may change at once."""
        return [i for i, job in self.jobs.items() if job.state not in (S.RUNNING, S.SUCCEEDED)]

    def lapsed(self) -> list[str]:
        """Running jobs whose lease has lapsed, the longest first."""
        late = [i for i in self.in_state(S.RUNNING) if self.jobs[i].lease_ms <= self.now]
        return sorted(late, key=lambda i: (self.jobs[i].lease_ms, i))

    def holds(self, job_id: str, attempt: int, owner: str) -> bool:
        """Whether this owner's attempt still counts."""
        return (job_id, attempt, owner) in self.held()

    def wipe(self) -> None:
        """Everything is lost."""
        self.jobs.clear()
        self.delayed.clear()
        self.counters.clear()
        self.kicked = False

    def create(self, job_id: str) -> bool:
        """Queue a job; False if it is there."""
        if job_id in self.jobs:
            return False
        self._insert(job_id)
        self._become(job_id, S.QUEUED, NONE, self.disks[job_id].by)
        return True

    def put_back(self, job_id: str, state: JobState, reason: Reason, result: str = "") -> bool:
        """A job comes back from its directory; False if it is there."""
        if job_id in self.jobs:
            return False
        self._insert(job_id).result = result
        self._become(job_id, state, reason, "", happened=state not in ENDS)  # nobody has done anything
        return True

    def mend(self, job_id: str, word: str) -> dict[str, str]:
        """A job that had fallen out of one list, which is called ``word``, is there again; a back-off is over then."""
        if word == "unqueued":
            self.delayed.pop(job_id, None)
        return {job_id: word}

    def remove(self, job_id: str) -> None:
        """A job's directory is gone, and so is all that is known of it."""
        self.jobs.pop(job_id, None)
        self.delayed.pop(job_id, None)
        self._events.append((job_id, Happened("gone", 0, {}, kept=False)))

    def forget(self, job_id: str, damaged: bool = False) -> bool:
        """A record is dropped, unless its job is running and nothing is wrong with it."""
        if job_id in self.in_state(S.RUNNING) and not damaged:
            return False
        self.jobs.pop(job_id, None)
        self.delayed.pop(job_id, None)
        return True

    def claim(self, owner: str, hint: str, lease_ms: int, slots: int | None) -> tuple[str, int, str] | None:
        """The hinted job if it is ready, else the best; for an owner of ``slots`` long jobs, of the short ones."""
        long = [i for i in self.in_state(S.RUNNING) if self.jobs[i].owner == owner and not self.disks[i].short]
        full = slots is not None and len(long) >= slots
        ready = [i for i in self._promoted() if self.disks[i].short or not full]
        ready.sort(key=lambda i: (self.jobs[i].rank, i))
        if not ready:
            return None
        job_id = hint if hint in ready else ready[0]
        job = self.jobs[job_id]
        job.attempt += 1
        self.counters.update(["recoveries"] * (job.last_outcome == "interrupted"))
        self._lease(job, owner, lease_ms)
        self._become(job_id, S.RUNNING, NONE, WORKER)
        return job_id, job.attempt, job.last_end

    def top_up(self, waiting: int, most: int) -> int:
        """How many kicks to publish, while ``waiting`` of them wait already."""
        ready = len(self._promoted())
        if not ready or waiting or self.kicked:
            return 0
        self.kicked = True
        return min(ready, most)

    def bump(self, job_id: str, attempt: int, owner: str, floor: int) -> int | Lost:
        """The attempt's new number, above ``floor``."""
        if not self.holds(job_id, attempt, owner):
            return LeaseState.LOST
        self.jobs[job_id].attempt = max(attempt, floor) + 1
        return self.jobs[job_id].attempt

    def renew(self, job_id: str, attempt: int, owner: str, lease_ms: int) -> Renewal:
        """The owner's heartbeat."""
        if not self.holds(job_id, attempt, owner):
            return Renewal(LeaseState.LOST if job_id in self.jobs else LeaseState.MISSING, W.RUN)
        self._lease(self.jobs[job_id], owner, lease_ms)
        return Renewal(LeaseState.HELD, self.jobs[job_id].wish)

    def report(self, job_id: str, attempt: int, owner: str, events: Sequence[Event]) -> LeaseState:
        """The owner says what it did."""
        if not self.holds(job_id, attempt, owner):
            return LeaseState.LOST
        job = self.jobs[job_id]
        for event in events:
            data = encode(event)["data"]
            self._emit(job_id, event.type, json.loads(data))
            if event.type == "progress":
                job.progress, job.progress_attempt = data, attempt
            elif event.type == "checkpoint-failed":
                job.checkpoint_failure = data
            elif event.type == "checkpoint":
                job.checkpoint_failure = ""
                step = json.loads(data)["step"]
                if step > job.checkpoint_step:
                    job.checkpoint_step, job.barren, job.setbacks = step, 0, 0
        return LeaseState.HELD

    def finish(self, held: tuple[str, int, str], end: "End", result: str) -> JobState | Lost:
        """The attempt ends."""
        if not self.holds(*held):
            return LeaseState.LOST
        self.jobs[held[0]].result = result or self.jobs[held[0]].result
        return self._settle(held[0], end)

    def reap(self, end: "End", silent: Collection[str]) -> dict[str, JobState]:
        """Lapsed leases are settled; those of the ``silent`` by their own fault."""
        own = dataclasses.replace(end, cause=Cause.SILENCE)
        return {job_id: self._settle(job_id, own if job_id in silent else end) for job_id in self.lapsed()}

    def request(
        self, job_id: str, wish: Wish, number: int, by: str, priority: int | None, only: bool
    ) -> JobState | str:
        """A person's wish; with ``only``, one that must not change the state."""
        job = self.jobs.get(job_id)
        if job is None:
            return "missing"
        if number < job.wish_number:
            return job.state
        target = WISHES[job.state].get(wish)
        if target is None or (only and target is not job.state):
            return "refused"
        job.wish, job.wish_number, job.wish_ms, job.wish_by = wish, number, self.now, by
        job.priority = job.priority if priority is None else priority
        self._emit(job_id, "wish", {"wish": wish, "number": number} | _by(by))
        if target is not job.state:
            job.barren = job.setbacks = 0
            job.result = "" if target is S.QUEUED else job.result
            self._become(job_id, target, Reason.of(SAID[target]), by)
        return target

    def adopt(self, job_id: str, attempt: int, owner: str, lease_ms: int) -> LeaseState:
        """A live owner takes its job back: its record is gone, or nobody has claimed it since."""
        job = self.jobs.get(job_id)
        if self.disks[job_id].attempt > attempt:
            return LeaseState.LOST
        if job is None:
            job = self._insert(job_id)
            job.wish_ms = self.now
        elif job.state is not S.QUEUED or job.attempt > attempt:
            return LeaseState.LOST
        job.attempt = attempt
        self._lease(job, owner, lease_ms)
        self._become(job_id, S.RUNNING, Reason.of(Code.ADOPTED), WORKER)
        return LeaseState.HELD

    def _insert(self, job_id: str) -> Record:
        fields = dataclasses.asdict(self.disks[job_id])
        del fields["id"], fields["by"], fields["short"]
        self.jobs[job_id] = Record(**fields)
        return self.jobs[job_id]

    def _promoted(self) -> list[str]:
        self.delayed = {i: not_before for i, not_before in self.delayed.items() if not_before > self.now}
        return [i for i in self.waiting() if i not in self.delayed]

    def _lease(self, job: Record, owner: str, lease_ms: int) -> None:
        job.owner, job.heartbeat_ms, job.lease_ms = owner, self.now, self.now + lease_ms

    def _become(
        self, job_id: str, state: JobState, reason: Reason, by: str, outcome: str = "", *, happened: bool = True
    ) -> None:
        job = self.jobs[job_id]
        job.state, job.reason, job.since_ms = state, reason.to_text(), self.now
        self.delayed.pop(job_id, None)
        data = {"state": state, "attempt": job.attempt, "reason": reason.to_text(), "outcome": outcome} | _by(by)
        self._emit(job_id, "state", data, happened)
        self.counters.update([f"ended:{state}"] * (happened and state in ENDS))

    def _emit(self, job_id: str, kind: str, data: dict[str, Any], kept: bool = True) -> None:
        self._events.append((job_id, Happened(kind, self.jobs[job_id].attempt, data, kept)))

    def _settle(self, job_id: str, end: "End") -> JobState:
        job = self.jobs[job_id]
        interrupted = end.outcome is Outcome.INTERRUPTED
        job.owner, job.lease_ms, job.last_outcome = "", 0, end.outcome
        job.setbacks += interrupted
        job.barren += interrupted and end.cause in OWN_FAULTS
        self.counters.update([f"interrupted:{end.cause}"] * interrupted)
        state, reason = end.of(job.wish, job.barren)
        job.last_end = (reason if end.outcome is Outcome.STOPPED else end.reason).to_text()
        by = job.wish_by if end.obeys(job.wish) else end.by
        self._become(job_id, state, reason, by, end.outcome)
        if state is S.QUEUED and interrupted and job.setbacks >= 2:
            wait = min(LONGEST_BACKOFF_MS, end.backoff_ms * 2 ** (job.setbacks - 2))
            if wait:
                self.delayed[job_id] = self.now + wait
        return state


@dataclass(frozen=True)
class End:
    """How an attempt ended, and how much patience there is with it."""

    outcome: Outcome
    reason: Reason
    restarts: int
    backoff_ms: int
    pause_with_reason: bool = False
    cause: Cause = Cause.WORKER
    by: str = WORKER

    def obeys(self, wish: Wish) -> bool:
        """Whether the state that a job comes to with it is that of the wish."""
        return wish is not W.RUN and self.outcome not in (Outcome.FINISHED, Outcome.FAILED)

    def of(self, wish: Wish, barren: int) -> tuple[JobState, Reason]:
        """The state that a job comes to with it, and the reason given."""
        if self.outcome is Outcome.FINISHED:
            return S.SUCCEEDED, self.reason
        if self.outcome is Outcome.FAILED:
            return S.FAILED, self.reason
        if self.obeys(wish):
            state = S.CANCELLED if wish is W.CANCEL else S.PAUSED
            return state, Reason.of(SAID[state])
        if self.pause_with_reason:
            return S.PAUSED, self.reason
        if self.outcome is Outcome.INTERRUPTED and self.cause in OWN_FAULTS and barren >= self.restarts:
            return S.FAILED, Reason.of(Code.BUDGET_USED_UP, count=barren, last=self.reason)
        return S.QUEUED, self.reason


def _by(actor: str) -> dict[str, Any]:
    """``actor`` as an event has it; nothing where nobody knows."""
    return {"by": json.loads(actor)} if actor else {}
