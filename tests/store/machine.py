"""Draws random calls of the store's scripts, makes each on a real server and in the model, and compares all of it.

    Transitions.store, Transitions.dirs = store, make_dirs(jobs_dir)
    run_state_machine_as_test(Transitions)
    Transitions.tally                      # how often each transition was seen

No step waits: leases lapse at once or are long, and a back-off is over when a step says so.
"""

from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from keepfit.shared import actors
from keepfit.shared.actors import Actor, How, Role, local
from keepfit.shared.errors import BadTransition, JobNotFound
from keepfit.shared.jobs.directory import JobDir, create_jobdir
from keepfit.shared.jobs.events import CheckpointFailed, CheckpointSaved, Event, LogLine, Progress
from keepfit.shared.jobs.states import Cause, JobState, Outcome, Transition, Wish
from keepfit.shared.reasons import said
from keepfit.shared.spec import kind_named, parse_spec
from keepfit.shared.store import Budget, Claim, LeaseState, Store, keys
from tests.harness.documents import write_wish
from tests.store.model import KEEPER, WORKER, Disk, End, Model
from tests.store.observe import Observer, by_job, judge

BACKS_OFF, BACK_OFF_ENDS = "(backs off)", "(is ready after a back-off)"
LONG_S = 10_000.0
DUE = 1
"""An hour long past, on the server's clock."""
OWNERS = ["red", "blue"]
BUDGETS = [Budget(5, 12.0), Budget(3, 12.0), Budget(5, 20.0), Budget(3, 0.0)]
EARLY, LATE = (CheckpointSaved(step, epoch=0, batch=0, bytes=1, seconds=0.0) for step in (3, 7))
REPORTS: list[list[Event]] = [
    [EARLY],
    [LogLine("here"), LATE],
    [LATE, EARLY],
    [Progress(step=4, steps=9, epoch=0, epochs=1, batch=4, batches=9)],
    [CheckpointFailed(step=4, reason="No space left on device", failures=1)],
]
ENDS = [Outcome.INTERRUPTED] * 2 + [*Outcome]
CAUSES = [Cause.PROCESS, Cause.WORKER, Cause.MEMORY, Cause.SERVER]
FALLS = {JobState.QUEUED: (keys.READY, "unqueued"), JobState.RUNNING: (keys.LEASES, "unleased")}
SOMEBODY = [local(How.PAGE), local(How.COMMAND), Actor("ada", Role.MEMBER, How.API), None]
WRONG = ["other owner", "other attempt", "somebody before"]
WHO = ["owner"] * 3 + WRONG

picks = st.integers(0, 11)
leases = st.sampled_from([LONG_S, 0.0])
mostly = st.sampled_from([True, True, True, False])
slots = st.sampled_from([None, 1, 2])
"""Of a worker; None for any number."""
rarely = st.sampled_from([False, False, False, True])


def make_dirs(jobs_dir: Path) -> list[JobDir]:
    """Jobs whose directories say different things: nothing yet, a wish, earlier attempts."""
    names = {f"job-{n}": by for n, by in enumerate(SOMEBODY)}
    dirs = [create_jobdir(jobs_dir, parse_spec({"name": name}), name, by=by)[0] for name, by in names.items()]
    evaluation = parse_spec({"kind": "evaluate", "name": "e", "source": dirs[0].id})
    dirs[3] = create_jobdir(jobs_dir, evaluation, "evaluation", by=SOMEBODY[3])[0]
    write_wish(dirs[1], Wish.PAUSE, 2, priority=1, by=SOMEBODY[1])
    dirs[2].new_attempt(1)
    dirs[2].new_attempt(2)
    return dirs


def on_disk(jobdir: JobDir) -> Disk:
    """What the model is to know of ``jobdir``."""
    status = jobdir.status()
    created_ms = jobdir.job.created_ms
    people = actors.text_of(jobdir.job.by), actors.text_of(status.by)
    short = kind_named(jobdir.needs.kind).short
    priority = int(short) if status.priority is None else status.priority
    return Disk(jobdir.id, created_ms, priority, status.wish, status.wish_number, status.attempt, *people, short)


class Transitions(RuleBasedStateMachine):
    """A real store and the model, side by side."""

    store: ClassVar[Store]
    dirs: ClassVar[list[JobDir]]
    disks: ClassVar[list[Disk]]
    tally: ClassVar[Counter[Transition]]
    seen_calls: ClassVar[Counter[str]]

    def __init__(self) -> None:
        super().__init__()
        self.store.link.ask(lambda r: r.flushdb())
        self.model = Model(self.disks)
        self.observer = Observer(self.store, [jobdir.id for jobdir in self.dirs])
        self.seen = self.observer.look()
        self.past: deque[Claim] = deque(maxlen=12)
        self.calls = 0

    def step(self, script: str, answer: Any, expect: Callable[[], Any], claim: Claim | None = None) -> None:
        """``script`` has just given ``answer``: compare it, and all that the server now holds, with the model."""
        look = self.observer.look()
        self.model.now = look.clock(self.seen)
        assert answer == expect()
        assert look.view == self.model.view()
        expected = self.model.take_events()
        assert look.streams == by_job(expected)
        assert look.changes == [(job_id, event.kind) for job_id, event in expected]
        self.tally.update(judge(script, self.seen, look, claim))
        self.calls += 1
        self.seen_calls[script] += 1
        self.seen_calls[BACKS_OFF] += len(look.view.delayed.keys() - self.seen.view.delayed.keys())
        if script in {"claim", "top_up"}:
            self.seen_calls[BACK_OFF_ENDS] += len(self.seen.view.delayed.keys() - look.view.delayed.keys())
        self.seen = look

    def aimed(self, pick: int, at: list[str]) -> JobDir:
        """One of the jobs ``at`` which a call makes a difference, or any if there is none."""
        jobs = [d for d in self.dirs if d.id in at] or self.dirs
        return jobs[pick % len(jobs)]

    def every(self, calls: int) -> bool:
        """For calls that mostly change no state, or undo so much that nothing could grow: one in so many."""
        return self.calls % calls == calls - 1

    def unknown(self) -> list[str]:
        """The jobs that the server has no record of."""
        return [d.id for d in self.dirs if d.id not in self.model.jobs]

    def adoptable(self) -> list[Claim]:
        """Claims that somebody had, of jobs that the server does not know to run or to have ended."""
        return [c for c in self.past if c.job_id not in self.model.jobs or c.job_id in self.model.waiting()]

    def claim_of(self, who: str, pick: int) -> Claim:
        """A claim that holds, one that differs from it in a single respect, or one that somebody had."""
        held = self.model.held()
        if who == "somebody before" or not held:
            return self.past[-1 - pick % len(self.past)]
        job_id, attempt, owner = held[pick % len(held)]
        if who == "other owner":
            owner = OWNERS[owner == OWNERS[0]]
        elif who == "other attempt":
            attempt += 1 if pick % 2 else -1
        return Claim(job_id, attempt, owner)

    @precondition(lambda self: self.unknown() or self.every(6))
    @rule(pick=picks)
    def create(self, pick: int) -> None:
        """A person submits, perhaps again."""
        jobdir = self.aimed(pick, self.unknown())
        self.step("create", self.store.jobs.create(jobdir), lambda: self.model.create(jobdir.id))

    @precondition(lambda self: self.model.waiting() or self.every(6))
    @rule(owner=st.sampled_from(OWNERS), lease_s=leases, slots=slots)
    def claim_the_best(self, owner: str, lease_s: float, slots: int | None) -> None:
        """A worker claims; its lease may lapse at once."""
        self.claim(owner, "", lease_s, slots)

    @precondition(lambda self: self.model.waiting())
    @rule(owner=st.sampled_from(OWNERS), pick=picks, lease_s=leases, slots=slots)
    def claim_the_hinted(self, owner: str, pick: int, lease_s: float, slots: int | None) -> None:
        """A worker claims the job that its kick names, which may have gone."""
        self.claim(owner, self.dirs[pick % len(self.dirs)].id, lease_s, slots)

    def claim(self, owner: str, hint: str, lease_s: float, slots: int | None = None) -> None:
        """One claim."""
        claim = self.store.leases.claim(owner, hint=hint, lease_s=lease_s, slots=slots)
        answer = claim and (claim.job_id, claim.attempt, claim.previous_end.to_text())
        self.step("claim", answer, lambda: self.model.claim(owner, hint, round(lease_s * 1000), slots))
        if claim:
            self.past.append(claim)

    @precondition(lambda self: self.past and self.every(2))
    @rule(who=st.sampled_from(WHO), pick=picks, lease_s=leases)
    def renew(self, who: str, pick: int, lease_s: float) -> None:
        """Some owner, past or present, sends a heartbeat."""
        c = self.claim_of(who, pick)
        renewal = self.store.leases.renew(c, lease_s=lease_s)
        lease_ms = round(lease_s * 1000)
        self.step("renew", renewal, lambda: self.model.renew(c.job_id, c.attempt, c.owner, lease_ms), c)

    @precondition(lambda self: self.past and self.every(2))
    @rule(who=st.sampled_from(WHO), pick=picks, events=st.sampled_from(REPORTS))
    def report(self, who: str, pick: int, events: list[Event]) -> None:
        """Some owner, past or present, says what it did."""
        c = self.claim_of(who, pick)
        accepted = self.store.leases.report(c, events)
        self.step("report", accepted, lambda: self.model.report(c.job_id, c.attempt, c.owner, events), c)

    @precondition(lambda self: self.past and self.every(2))
    @rule(who=st.sampled_from(WHO), pick=picks, floor=st.integers(0, 4))
    def bump(self, who: str, pick: int, floor: int) -> None:
        """Some owner, past or present, finds later attempts on disk."""
        c = self.claim_of(who, pick)
        raised = self.store.leases.bump(c, floor=floor)
        answer = raised if raised is LeaseState.LOST else raised.attempt
        self.step("bump", answer, lambda: self.model.bump(c.job_id, c.attempt, c.owner, floor), c)

    @precondition(lambda self: self.model.held())
    @rule(pick=picks, outcome=st.sampled_from(ENDS), budget=st.sampled_from(BUDGETS), pause=rarely)
    def end(self, pick: int, outcome: Outcome, budget: Budget, pause: bool) -> None:
        """An owner ends its attempt, or a keeper of its host does it in its name."""
        self.finish(self.claim_of("owner", pick), pick, outcome, budget, pause, CAUSES[pick % len(CAUSES)])

    @precondition(lambda self: self.model.waiting() and not self.model.delayed)
    @rule(pick=picks, budget=st.sampled_from(BUDGETS), times=st.integers(2, 5))
    def crash(self, pick: int, budget: Budget, times: int) -> None:
        """Every attempt of a job dies; by chance alone few jobs would back off, and fewer fail of it."""
        job_id = self.aimed(pick, self.model.waiting()).id
        for _ in range(times):
            if job_id in self.model.waiting() and job_id not in self.model.delayed:
                self.claim(OWNERS[0], job_id, LONG_S)
                self.finish(self.past[-1], pick, Outcome.INTERRUPTED, budget, False, Cause.PROCESS)

    @precondition(lambda self: self.past and self.every(2))
    @rule(who=st.sampled_from(WRONG), pick=picks, outcome=st.sampled_from(ENDS), budget=st.sampled_from(BUDGETS))
    def end_of_somebody(self, who: str, pick: int, outcome: Outcome, budget: Budget) -> None:
        """Somebody ends an attempt that is not, or no longer, its own."""
        self.finish(self.claim_of(who, pick), pick, outcome, budget, False, Cause.PROCESS)

    def finish(self, c: Claim, pick: int, outcome: Outcome, budget: Budget, pause: bool, cause: Cause) -> None:
        """One end, with a result or without."""
        result = {"seconds": pick} if pick % 2 else None
        state = self.store.leases.finish(
            c, outcome, reason=said("because"), budget=budget, by=How.KEEPER if pick % 3 else How.WORKER, result=result,
            pause_with_reason=pause, cause=cause,
        )  # fmt: skip
        by = KEEPER if pick % 3 else WORKER
        end = End(outcome, said("because"), budget.restarts, round(budget.backoff_s * 1000), pause, cause, by)
        stored = f'{{"seconds":{pick}}}' if result else ""
        self.step("finish", state, lambda: self.model.finish((c.job_id, c.attempt, c.owner), end, stored), c)

    @precondition(lambda self: self.model.lapsed())
    @rule(budget=st.sampled_from(BUDGETS), pick=picks)
    def reap(self, budget: Budget, pick: int) -> None:
        """A keeper settles what has lapsed, and nothing else; some of it had a worker that lives."""
        end = End(Outcome.INTERRUPTED, said("silence"), budget.restarts, round(budget.backoff_s * 1000), by=KEEPER)
        silent = [jobdir.id for n, jobdir in enumerate(self.dirs) if pick >> n & 1]
        reaped = self.store.leases.reap(budget, reason=said("silence"), silent=silent)
        self.step("reap", reaped, lambda: self.model.reap(end, silent))

    @precondition(lambda self: self.adoptable() or (self.past and self.every(6)))
    @rule(pick=picks, lease_s=leases)
    def adopt(self, pick: int, lease_s: float) -> None:
        """Some owner takes its job back, mostly one whose record is gone or waits again."""
        claims = self.adoptable() or [*self.past]
        c = claims[-1 - pick % len(claims)]
        jobdir = next(d for d in self.dirs if d.id == c.job_id)
        lease = self.store.leases.adopt(c, jobdir, lease_s=lease_s)
        args = c.job_id, c.attempt, c.owner, round(lease_s * 1000)
        self.step("adopt", lease, lambda: self.model.adopt(*args), c)

    @precondition(lambda self: self.unknown() or self.every(6))
    @rule(pick=picks, state=st.sampled_from([s for s in JobState if s is not JobState.RUNNING]))
    def put_back(self, pick: int, state: JobState) -> None:
        """A keeper puts a job back whose record is gone; one that is there stays as it is."""
        jobdir = self.aimed(pick, self.unknown())
        result = '{"seconds": 1}' if pick % 2 else ""
        put_back = self.store.upkeep.put_back(jobdir, state, said("found so"), result=result)
        self.step("put_back", put_back, lambda: self.model.put_back(jobdir.id, state, said("found so"), result))

    @precondition(lambda self: self.every(2 if self.model.delayed else 6))
    @rule(pick=picks, damaged=rarely)
    def forget(self, pick: int, damaged: bool) -> None:
        """The doctor drops a record, but not that of a running job, unless it is damaged."""
        jobdir = self.aimed(pick, [*self.model.delayed] if pick % 2 else [])
        forgotten = self.store.upkeep.forget(jobdir.id, damaged=damaged)
        self.step("forget", forgotten, lambda: self.model.forget(jobdir.id, damaged))

    @precondition(lambda self: self.model.jobs and self.every(12))
    @rule(pick=picks)
    def remove(self, pick: int) -> None:
        """A job's directory was removed by hand."""
        job_id = self.aimed(pick, [*self.model.jobs]).id
        self.store.upkeep.remove(job_id)
        self.step("remove", None, lambda: self.model.remove(job_id))
        self.observer.start_over_with(job_id)

    @precondition(lambda self: self.model.jobs and self.every(2))
    @rule(pick=picks, counted=rarely, lost=st.booleans())
    def fall_out(self, pick: int, counted: bool, lost: bool) -> None:
        """A job falls out of the list that it belongs in, or that whole list is lost; a keeper puts all back."""
        job_id = self.aimed(pick, [*self.model.jobs]).id
        state = self.model.jobs[job_id].state
        place, word = FALLS.get(state, (keys.JOBS, "unlisted"))
        if counted:
            place, word = keys.state(state), "miscounted"
        elif job_id in self.model.delayed:
            place = keys.DELAYED
        there = self.store.link.ask(lambda r: r.zrange(place, 0, -1))
        gone = there if lost else [job_id]
        self.store.link.ask(lambda r: r.zrem(place, *gone))
        self.step(
            "mend",
            self.store.upkeep.mend([d.id for d in self.dirs if d.id in self.model.jobs]),
            lambda: {i: w for i in gone for i, w in self.model.mend(i, word).items()},
        )

    @precondition(lambda self: self.model.movable())
    @rule(pick=picks, wish=st.sampled_from([Wish.RUN, *Wish]))
    def wish(self, pick: int, wish: Wish) -> None:
        """A person wishes something of a job that backs off or has stopped, else of one that waits."""
        movable = self.model.movable()
        at = [*self.model.delayed] if pick % 2 else [i for i in movable if i not in self.model.waiting()]
        self.request(self.aimed(pick, at or movable).id, wish, 1, None, False)

    @precondition(lambda self: self.every(2))
    @rule(pick=picks, wish=st.sampled_from(Wish), newer=st.sampled_from([1, 1, 0, -1]), running=st.booleans())
    def wish_of_any(self, pick: int, wish: Wish, newer: int, running: bool) -> None:
        """A person wishes something of any job, again or anew, or an old wish arrives late."""
        at = (self.model.lapsed() or self.model.in_state(JobState.RUNNING)) if running else []
        self.request(self.aimed(pick, at).id, wish, newer, None, False)

    @precondition(lambda self: self.model.jobs and self.every(2))
    @rule(pick=picks, newer=st.sampled_from([1, 1, 1, 0, -1]), priority=st.sampled_from([-9, 0, 9]), only=mostly)
    def prioritise(self, pick: int, newer: int, priority: int, only: bool) -> None:
        """A person moves a job in the queue; a keeper who brings a wish from the disk brings the priority along."""
        job_id = self.aimed(pick, [*self.model.jobs]).id
        self.request(job_id, self.model.jobs[job_id].wish, newer, priority, only)

    def request(self, job_id: str, wish: Wish, newer: int, priority: int | None, only: bool) -> None:
        """One wish, whose number is ``newer`` than that of the latest."""
        job = self.model.jobs.get(job_id)
        number = max(0, job.wish_number + newer) if job else 0
        by = SOMEBODY[number % 4]
        try:
            answer: Any = self.store.jobs.request(
                job_id, wish, number=number, by=by, priority=priority, only_priority=only
            ).state
        except BadTransition:
            answer = "refused"
        except JobNotFound:
            answer = "missing"
        args = job_id, wish, number, actors.text_of(by), priority, only
        self.step("request", answer, lambda: self.model.request(*args))

    @precondition(lambda self: self.model.waiting() and (self.every(2) or DUE in self.model.delayed.values()))
    @rule(waiting=st.sampled_from([0, 0, 1]), kicked=st.sampled_from([False, True]), most=st.integers(1, 3))
    def top_up(self, waiting: int, kicked: bool, most: int) -> None:
        """A keeper asks for kicks, while some wait in Celery's list or the last top-up was just now."""
        self.store.link.ask(lambda r: r.delete(keys.QUEUE, *([] if kicked else [keys.KICK])))
        self.model.kicked &= kicked
        if waiting:
            self.store.link.ask(lambda r: r.rpush(keys.QUEUE, "kick"))
        self.step("top_up", self.store.upkeep.top_up(gap_s=LONG_S, most=most), lambda: self.model.top_up(waiting, most))

    @precondition(lambda self: self.model.delayed)
    @rule(pick=picks)
    def back_off_ends(self, pick: int) -> None:
        """Time passes for one job that backs off: its hour moves, since the server's clock does not."""
        job_id = self.aimed(pick, [*self.model.delayed]).id
        self.store.link.ask(lambda r: r.zadd(keys.DELAYED, {job_id: DUE}, xx=True))
        self.model.delayed[job_id] = DUE
        self.seen = self.observer.look()

    @precondition(lambda self: self.every(20) or len(self.model.in_state(JobState.SUCCEEDED)) == len(self.dirs))
    @rule()
    def wipe(self) -> None:
        """The server loses everything, also when nothing else could move any more."""
        self.store.link.ask(lambda r: r.flushdb())
        self.model.wipe()
        self.observer.start_over()
        self.seen = self.observer.look()
