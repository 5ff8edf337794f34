"""A plain Python model of the job store: what the Lua scripts should do, written down a second time.

Leases either lapse at once or never, and back-offs are zero, so that the model needs no clock.
"""

from dataclasses import dataclass, field

from shared.states import JobState, Outcome, Wish

S, W = JobState, Wish
BUDGET = 3

WISHES: dict[JobState, dict[Wish, JobState]] = {
    S.QUEUED: {W.RUN: S.QUEUED, W.PAUSE: S.PAUSED, W.CANCEL: S.CANCELLED},
    S.RUNNING: {W.RUN: S.RUNNING, W.PAUSE: S.RUNNING, W.CANCEL: S.RUNNING},
    S.PAUSED: {W.RUN: S.QUEUED, W.PAUSE: S.PAUSED, W.CANCEL: S.CANCELLED},
    S.FAILED: {W.RUN: S.QUEUED},
    S.CANCELLED: {W.RUN: S.QUEUED, W.CANCEL: S.CANCELLED},
    S.SUCCEEDED: {},
}


@dataclass
class ModelJob:
    """What the model knows of one job."""

    id: str
    created: int
    priority: int = 0
    state: JobState = S.QUEUED
    wish: Wish = W.RUN
    wish_number: int = 0
    attempt: int = 0
    barren: int = 0
    owner: str = ""
    lapsed: bool = False
    checkpoint_step: int = 0


@dataclass
class Model:
    """All jobs, and the rules."""

    jobs: dict[str, ModelJob] = field(default_factory=dict)

    def create(self, job_id: str, created: int) -> bool:
        """Queue a job; False if it is there."""
        if job_id in self.jobs:
            return False
        self.jobs[job_id] = ModelJob(job_id, created)
        return True

    def claim(self, owner: str, hint: str, lapsed: bool) -> ModelJob | None:
        """The hinted job if it is queued, else the best."""
        ready = sorted(
            (j for j in self.jobs.values() if j.state is S.QUEUED),
            key=lambda j: (j.created - j.priority * 10**14, j.id),
        )
        job = next((j for j in ready if j.id == hint), ready[0] if ready else None)
        if job is not None:
            job.state, job.owner, job.lapsed = S.RUNNING, owner, lapsed
            job.attempt += 1
            job.barren += 1
        return job

    def holds(self, job_id: str, owner: str, attempt: int) -> bool:
        """Whether this owner's attempt still counts."""
        job = self.jobs.get(job_id)
        return job is not None and (job.state, job.owner, job.attempt) == (S.RUNNING, owner, attempt)

    def checkpoint(self, job_id: str, owner: str, attempt: int, step: int) -> bool:
        """The owner reports a checkpoint."""
        if not self.holds(job_id, owner, attempt):
            return False
        job = self.jobs[job_id]
        if step > job.checkpoint_step:
            job.checkpoint_step, job.barren = step, 0
        return True

    def finish(self, job_id: str, owner: str, attempt: int, outcome: Outcome, hold: bool) -> JobState | None:
        """The attempt ends."""
        if not self.holds(job_id, owner, attempt):
            return None
        return self._settle(self.jobs[job_id], outcome, hold)

    def reap(self) -> dict[str, JobState]:
        """Lapsed leases are settled."""
        lapsed = [j for j in self.jobs.values() if j.state is S.RUNNING and j.lapsed]
        return {j.id: self._settle(j, Outcome.INTERRUPTED, False) for j in lapsed}

    def request(self, job_id: str, wish: Wish, number: int) -> JobState | str:
        """A person's wish."""
        job = self.jobs.get(job_id)
        if job is None:
            return "missing"
        if number < job.wish_number:
            return job.state
        if wish not in WISHES[job.state]:
            return "refused"
        target = WISHES[job.state][wish]
        job.wish, job.wish_number = wish, number
        if target is not job.state:
            job.barren = 0
        job.state = target
        return target

    def adopt(self, job_id: str, owner: str, attempt: int, lapsed: bool, created: int) -> bool:
        """A live owner takes its job back: its record is gone, or nobody has claimed it since."""
        job = self.jobs.get(job_id)
        if job is None:
            job = self.jobs[job_id] = ModelJob(job_id, created)
        elif job.state is not S.QUEUED or job.attempt > attempt:
            return False
        job.state, job.owner, job.attempt, job.lapsed = S.RUNNING, owner, attempt, lapsed
        return True

    def restore(self, job_id: str, created: int, state: JobState) -> bool:
        """A job comes back from its directory; False if it is there."""
        if job_id in self.jobs:
            return False
        self.jobs[job_id] = ModelJob(job_id, created, state=state)
        return True

    def _settle(self, job: ModelJob, outcome: Outcome, hold: bool) -> JobState:
        job.owner = ""
        if outcome is Outcome.FINISHED:
            job.state = S.SUCCEEDED
        elif outcome is Outcome.FAILED:
            job.state = S.FAILED
        elif job.wish is W.CANCEL:
            job.state = S.CANCELLED
        elif job.wish is W.PAUSE or hold:
            job.state = S.PAUSED
        elif outcome is Outcome.INTERRUPTED and job.barren >= BUDGET:
            job.state = S.FAILED
        else:
            job.state = S.QUEUED
            if outcome is Outcome.STOPPED:
                job.barren = max(0, job.barren - 1)
        return job.state
