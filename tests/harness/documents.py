"""The documents of an attempt that a test knows to be there, and those that a test writes in somebody's place."""

from keepfit.shared.actors import Actor
from keepfit.shared.jobs.directory import AttemptDir, JobDir
from keepfit.shared.jobs.documents import AttemptFile, ClaimFile, ResultFile, VerdictFile, WishFile
from keepfit.shared.jobs.states import JobState, Wish
from keepfit.shared.reasons import NONE, Reason


def record_of(attempt: AttemptDir) -> AttemptFile:
    """Where and with what the attempt runs."""
    record = AttemptFile.read(attempt.record)
    assert record is not None, f"attempt {attempt.number} has not begun"
    return record


def result_of(attempt: AttemptDir) -> ResultFile:
    """How the attempt ended."""
    result = ResultFile.read(attempt.result)
    assert result is not None, f"attempt {attempt.number} has not ended by itself"
    return result


def claim_of(attempt: AttemptDir) -> ClaimFile:
    """Whose the attempt is."""
    claim = ClaimFile.read(attempt.claim)
    assert claim is not None, f"attempt {attempt.number} has no claim"
    return claim


def write_claim(attempt: AttemptDir, owner: str, wish_number: int, previous_end: Reason = NONE) -> None:
    """Claim the attempt, as its worker does."""
    ClaimFile(owner=owner, wish_number=wish_number, previous_end=previous_end).write(attempt.claim)


def write_wish(jobdir: JobDir, wish: Wish, number: int, priority: int | None = None, by: Actor | None = None) -> None:
    """Wish something of the job, as the web side does."""
    WishFile(wish=wish, number=number, priority=priority, by=by).write(jobdir.wish_file)


def write_verdict(jobdir: JobDir, state: JobState, reason: Reason, attempt: int, wish_number: int) -> None:
    """Settle the job, as a keeper does."""
    VerdictFile(state=state, reason=reason, attempt=attempt, wish_number=wish_number).write(jobdir.verdict)
