"""Looks back, when all is calm, at what was promised, what the disk holds, what the server says and who did what.

    violations = check(evidence)         # sentences; empty means that every promise was kept

Reads only: the people's promises, the audit file, the job directories, the store, the log of faults.
Each rule is one function.
"""

import json
import os
from collections import defaultdict
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keepfit.shared.checkpoints.manifest import STATE, checkpoints_of
from keepfit.shared.errors import KeepfitError
from keepfit.shared.host import Owner
from keepfit.shared.jobs.deleting import is_deleted, unfinished
from keepfit.shared.jobs.directory import JobDir, open_jobdir
from keepfit.shared.jobs.doctor import examine
from keepfit.shared.jobs.states import ENDS, JobState
from keepfit.shared.store import JobRecord, Store, keys
from keepfit.worker.training.model_state import parse_tensors as parse
from tests.chaos.nemesis import Fault
from tests.chaos.people import ENDLESS, Promise, steps_of

NOTED_LATE_S = 3.0
"""A line of the audit file is written just after the fact; its writer may be frozen in between by then."""
PROVOKED_S = 20.0
"""A lease that lapses must have had a fault not longer ago: the longest freeze, and the lease."""
WITHSTOOD = {
    "stop main", "kill server", "stop server", "FLUSHALL", "restart empty", "CLIENT KILL", "CLIENT PAUSE",
    "web killed in submit", "kill web", "stop web", "disk full", "key lost", "foreign messages", "half-open clients",
    "row damaged", "server file damaged", "web killed in delete",
}  # fmt: skip
"""Faults that must cost nobody the lease: training goes on, and no keeper robs who could not renew because of them."""
AT_ANYBODY = {"key damaged"}
"""Faults that may cost anybody the lease."""


@dataclass(frozen=True)
class Line:
    """One line of the audit file."""

    at: float
    job: str
    attempt: int
    owner: str
    event: str

    @property
    def end(self) -> str:
        """The state that this line says the job came into; empty for other lines."""
        kind, _, state = self.event.partition(":")
        return state if kind in ("end", "lapsed") else ""

    @property
    def final(self) -> bool:
        """Whether that state is an end."""
        return self.end in {state.value for state in ENDS}


@dataclass(frozen=True)
class Evidence:
    """All that is looked at."""

    jobs_dir: Path
    store: Store
    promises: Sequence[Promise]
    twins: Mapping[str, str]
    """sha256 of the final weights of the undisturbed job of each spec."""
    lines: Sequence[Line]
    faults: Sequence[Fault] = field(default_factory=list)
    mains: Mapping[str, Container[int]] = field(default_factory=dict)
    """Of each worker the pids of its main processes."""
    history: Callable[[str], Mapping[str, Any]] | None = None
    """What the web side says of a job's curves."""

    def faults_of(self, owner: str) -> list[Fault]:
        """Those that may cost ``owner`` its lease: its processes were killed or frozen, or its line was cut."""
        who = Owner.parse(owner)
        pids = {who.child.pid, who.main.pid}
        severe = [fault for fault in self.faults if fault.kind not in WITHSTOOD]
        hit = [f for f in severe if pids & {*f.pids} or who.main.pid in self.mains.get(f.target, ())]
        return [*hit, *(f for f in severe if f.kind in AT_ANYBODY)]

    def faults_at(self, job_id: str) -> list[Fault]:
        """Those that somebody has done to what is kept of this job."""
        return [f for f in self.faults if job_id in f.target]

    def frozen_s(self, owner: str, since: float, until: float) -> float:
        """For how long at most the processes of ``owner`` stood still in that time."""
        stops = [fault for fault in self.faults if fault.kind in ("stop child", "stop main", "stop worker")]
        pids = {Owner.parse(owner).child.pid, Owner.parse(owner).main.pid}
        return sum(f.lasts_s for f in stops if pids & {*f.pids} and since - f.lasts_s <= f.at <= until)

    def record(self, job_id: str) -> JobRecord:
        """As the server has it."""
        return self.store.jobs.get(job_id)

    def jobdir(self, job_id: str) -> JobDir:
        """As the disk has it."""
        return open_jobdir(self.jobs_dir, job_id)


def read_audit(path: Path) -> list[Line]:
    """What the audit file says of attempts, in the order in which it was written."""
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [Line(r["at_ms"] / 1000, r["job"], r["attempt"], r["owner"], r["event"]) for r in rows if "attempt" in r]


def check(evidence: Evidence) -> list[str]:
    """Every rule, over everything."""
    rules = (
        every_submit_has_ended_as_wished,
        deleted_stays_deleted,
        both_sides_say_the_same,
        results_are_those_of_the_twin,
        curves_come_to_the_end,
        attempts_only_grow,
        ends_are_final,
        one_attempt_at_a_time,
        leases_lapse_for_a_reason,
        nothing_is_left,
    )
    return [f"{rule.__name__}: {sentence}" for rule in rules for sentence in _all_of(rule, evidence)]


def _all_of(rule: Callable[[Evidence], Iterator[str]], evidence: Evidence) -> Iterator[str]:
    try:
        yield from rule(evidence)
    except (KeepfitError, ValueError) as exc:  # a record or a document that is damaged to the end
        yield f"cannot be judged: {exc!r}"


def every_submit_has_ended_as_wished(e: Evidence) -> Iterator[str]:
    """Each promise is one job, in the one end that was wished, and in the one that was seen first."""
    known = {record.id for record in e.store.jobs.list(100_000)}
    for promise in e.promises:
        if promise.gone:
            if promise.job_id in known or (e.jobs_dir / promise.job_id).exists():
                yield f"job {promise.job_id} was removed by hand, and is still there"
            continue
        if promise.deleted:
            continue
        if promise.job_id not in known:
            yield f"a submit (key {promise.key}) has become no job"
            continue
        record = e.record(promise.job_id)
        if record.state not in wished_ends(promise):
            yield f"job {record.id} ({promise.plan}) is {record.state}: {record.reason}"
        if promise.wishes and promise.spec == ENDLESS:
            yield f"job {record.id} ({promise.plan}) is over although nobody has wished to {promise.wishes}"
        if promise.ended is not record.state:
            yield f"job {record.id} was seen {promise.ended}, and is {record.state}"
    for stranger in known - {promise.job_id for promise in e.promises}:
        yield f"nobody has submitted the job {stranger}"


def deleted_stays_deleted(e: Evidence) -> Iterator[str]:
    """No record, no key, no directory, no byte but the tombstone's; and nothing is deleted that nobody asked for."""
    keys_left = e.store.link.ask(lambda r: list(r.scan_iter(count=1000)))
    for promise in e.promises:
        if promise.deleted and not is_deleted(e.jobs_dir, promise.job_id):
            yield f"job {promise.job_id} was deleted and has no tombstone"
        if promise.deleted and (e.jobs_dir / promise.job_id).exists():
            yield f"job {promise.job_id} was deleted, and has a directory again"
        if promise.deleted and any(promise.job_id in key for key in keys_left):
            yield f"job {promise.job_id} was deleted, and the server still has something of it"
        if not promise.deleting and is_deleted(e.jobs_dir, promise.job_id):
            yield f"job {promise.job_id} was deleted although nobody has asked for it"
    yield from (f"the space of the deleted job {job_id} is not freed" for job_id in unfinished(e.jobs_dir))


def wished_ends(promise: Promise) -> set[JobState]:
    """An endless job can only be cancelled; another one may be done before it hears of that."""
    cancelled = {JobState.CANCELLED} if "cancel" in promise.plan else set()
    return cancelled if promise.spec == ENDLESS else {JobState.SUCCEEDED, *cancelled}


def both_sides_say_the_same(e: Evidence) -> Iterator[str]:
    """The doctor finds nothing."""
    damaged = {p.job_id for p in e.promises if p.damaged}
    for finding in examine(e.jobs_dir, e.store):
        if finding.problem and finding.job_id not in damaged:
            yield f"job {finding.job_id}: {finding.problem} (disk: {finding.disk}; server: {finding.server})"


def results_are_those_of_the_twin(e: Evidence) -> Iterator[str]:
    """Weights by their sha256, steps by the result, by the optimizer's own count."""
    for promise in e.promises:
        if promise.ended is not JobState.SUCCEEDED or promise.gone or promise.deleted:
            continue
        result, steps = e.record(promise.job_id).result, steps_of(promise.spec)
        if result.get("weights_sha256") != e.twins[promise.spec]:
            yield f"job {promise.job_id} ({promise.spec}) has other weights than its undisturbed twin"
        if result.get("step") != steps:
            yield f"job {promise.job_id} has done {result.get('step')} steps, not {steps}"
        for step, counted in _iterations(e.jobdir(promise.job_id)):
            if step != counted:
                yield f"job {promise.job_id}: its checkpoint at step {step} has an optimizer that counted {counted}"


def curves_come_to_the_end(e: Evidence) -> Iterator[str]:
    """A row that cannot be read costs that row: the last epoch is shown. A full disk may cost rows, damage all."""
    full = [(f.at, f.at + f.lasts_s) for f in e.faults if f.kind == "disk full"]
    for promise in e.promises:
        away = promise.damaged or promise.gone or promise.deleted
        if e.history is None or promise.ended is not JobState.SUCCEEDED or away:
            continue
        times = [line.at for line in e.lines if line.job == promise.job_id]
        if any(start < max(times) and min(times) < end for start, end in full):
            continue
        shown = [point["step"] for point in e.history(promise.job_id)["epochs"]]
        if shown[-1:] != [steps_of(promise.spec)]:
            yield f"the curves of job {promise.job_id} end at step {shown[-1:]}, not at {steps_of(promise.spec)}"


def attempts_only_grow(e: Evidence) -> Iterator[str]:
    """Each attempt that begins has a higher number than all before, and a directory of its own."""
    highest: dict[str, int] = defaultdict(int)
    gone = {p.job_id for p in e.promises if p.gone or p.deleted}
    for line in e.lines:
        if line.event != "begin":
            continue
        if line.attempt <= highest[line.job]:
            yield f"attempt {line.attempt} of job {line.job} began after attempt {highest[line.job]}"
        highest[line.job] = max(highest[line.job], line.attempt)
        if line.job not in gone and not (e.jobs_dir / line.job / "attempts" / f"{line.attempt:06d}").is_dir():
            yield f"attempt {line.attempt} of job {line.job} has no directory"


def ends_are_final(e: Evidence) -> Iterator[str]:
    """After an end nothing begins and nothing ends, unless a person had the job go on, or its end was damaged."""
    resumes = {p.job_id: [*p.resumes, *p.damaged] for p in e.promises}
    for job, lines in _by_job(e.lines).items():
        ended: Line | None = None
        for line in lines:
            since = ended.at - NOTED_LATE_S if ended else 0.0
            if ended and any(since <= at <= line.at for at in resumes.get(job, [])):
                ended = None
            if ended and (line.event == "begin" or line.final):
                yield f"job {job}: attempt {ended.attempt} had ended it, and attempt {line.attempt} says {line.event!r}"
            if line.final:
                ended = line


def one_attempt_at_a_time(e: Evidence) -> Iterator[str]:
    """An attempt has no effect any more once a later one has begun."""
    for job, lines in _by_job(e.lines).items():
        latest: Line | None = None
        for line in lines:
            if line.event == "begin":
                latest = line if latest is None or line.attempt > latest.attempt else latest
            elif line.end and latest is not None and line.attempt < latest.attempt and _counted(e, line, latest):
                yield f"job {job}: attempt {line.attempt} {line.event} while attempt {latest.attempt} was at work"


def _counted(e: Evidence, end: Line, later: Line) -> bool:
    """Whether ``end`` was accepted after the ``later`` attempt had begun, and not only noted after that.

    A final end leaves no room for a later attempt. Another one may be noted late, by a writer that stood still.
    """
    return end.final or end.at - later.at > NOTED_LATE_S + e.frozen_s(end.owner, later.at, end.at)


def leases_lapse_for_a_reason(e: Evidence) -> Iterator[str]:
    """Nobody is robbed of a job whose own processes, or their line to the server, were not disturbed."""
    deleted = {p.job_id for p in e.promises if p.deleting}
    for line in e.lines:
        robbed = (line.event == "lost" or line.event.startswith("lapsed")) and line.job not in deleted
        faults = [*e.faults_of(line.owner), *e.faults_at(line.job)] if robbed else []
        if robbed and not any(0 <= line.at - f.at <= PROVOKED_S + f.lasts_s for f in faults):
            yield f"job {line.job}: attempt {line.attempt} {line.event} although nothing had happened"


def nothing_is_left(e: Evidence) -> Iterator[str]:
    """No lease, no queue entry, no key of a job that is not; no temporary file."""
    counts = e.store.link.ask(lambda r: {key: r.zcard(key) for key in (keys.LEASES, keys.READY, keys.DELAYED)})
    yield from (f"{key} has {count} members although every job is over" for key, count in counts.items() if count)
    known = {name for record in e.store.jobs.list(100_000) for name in (keys.job(record.id), keys.events(record.id))}
    kept = known | {keys.JOBS, keys.CHANGES, keys.WORKERS, keys.BOOT, keys.COUNTERS, *map(keys.state, JobState)}
    for key in e.store.link.ask(lambda r: list(r.scan_iter(count=1000))):
        passing = e.store.link.ask(lambda r, key=key: r.ttl(key)) != -1  # type: ignore[misc]
        if key not in kept and not passing and not key.startswith("_kombu.binding"):
            yield f"a key is left: {key}"
    yield from (f"temporary files are left: {path}" for path in leftovers(e.jobs_dir.parent))


def leftovers(data_dir: Path) -> list[Path]:
    """Everything that is only meant to exist while somebody writes: hidden files, directories of one process."""
    return [  # what is swept while we look is no leftover: os.walk passes over a folder that has gone
        Path(folder, name)
        for folder, folders, files in os.walk(data_dir)
        for name in (*folders, *files)
        if name.startswith((".", "process-"))
    ]


def _by_job(lines: Sequence[Line]) -> dict[str, list[Line]]:
    found: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        found[line.job].append(line)
    return found


def _iterations(jobdir: JobDir) -> Iterator[tuple[int, int]]:
    """Of each checkpoint its step, and the optimizer's own count of its steps."""
    for checkpoint in checkpoints_of(jobdir):
        tensors: dict[str, Any] = parse((checkpoint.path / STATE).read_bytes())
        counts = [int(value) for name, value in tensors.items() if name.endswith("/iteration")]
        yield checkpoint.step, counts[0] if len(counts) == 1 else -1
