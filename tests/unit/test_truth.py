"""The one comparison of disk and server, as tables: every state of a directory beside all that a server can say."""

import dataclasses
from itertools import product

import pytest

from keepfit.shared.jobs.states import JobState, Wish, wish_allowed
from keepfit.shared.jobs.truth import Difference, Lack, OnDisk, compare
from keepfit.shared.store.records import JobRecord

S, D = JobState, Difference
SERVER: tuple[JobState | Lack, ...] = (*S, *Lack)
DISK = tuple(state for state in S if state is not S.RUNNING)
"""A directory does not know whether somebody runs it."""

SAME_WISH = {
    #                queued  running paused          succeeded failed          cancelled  missing    damaged
    None:           (D.GONE, D.GONE, D.GONE,         D.GONE,  D.GONE,         D.GONE,    D.NONE,    D.GONE),
    S.QUEUED:       (D.NONE, D.RUNS, D.STOP_UNNOTED, D.STATE, D.STOP_UNNOTED, D.STATE,   D.UNKNOWN, D.RECORD_DAMAGED),
    S.PAUSED:       (D.STATE, D.RUNS, D.NONE,        D.STATE, D.STATE,        D.STATE,   D.UNKNOWN, D.RECORD_DAMAGED),
    S.SUCCEEDED:    (D.STATE, D.RUNS, D.STATE,       D.NONE,  D.STATE,        D.STATE,   D.UNKNOWN, D.RECORD_DAMAGED),
    S.FAILED:       (D.STATE, D.RUNS, D.STATE,       D.STATE, D.NONE,         D.STATE,   D.UNKNOWN, D.RECORD_DAMAGED),
    S.CANCELLED:    (D.STATE, D.RUNS, D.STATE,       D.STATE, D.STATE,        D.NONE,    D.UNKNOWN, D.RECORD_DAMAGED),
}  # fmt: skip
"""Where both know of the same wish and the same attempts: by the directory's state (None: there is none)."""


def disk(state: JobState = S.QUEUED, **changes: object) -> OnDisk:
    """A directory in its second attempt, under its third wish."""
    usual = OnDisk(state=state, wish_number=3, attempt=2, name="first", created_ms=1_000)
    return dataclasses.replace(usual, **changes)  # type: ignore[arg-type]


def server(state: JobState | Lack, **changes: object) -> JobRecord | Lack:
    """The same job as the server has it."""
    if isinstance(state, Lack):
        return state
    usual = JobRecord(
        id="aaaaaaaaaaaa", name="first", kind="train", state=state, wish_number=3, attempt=2, created_ms=1_000
    )
    return dataclasses.replace(usual, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(("on_disk", "said"), [*product((None, *DISK), SERVER)])
def test_every_pair_has_its_difference(on_disk: JobState | None, said: JobState | Lack) -> None:
    """Nothing is left to chance: each cell of the table."""
    found = compare(None if on_disk is None else disk(on_disk), server(said))

    assert found is SAME_WISH[on_disk][SERVER.index(said)]


@pytest.mark.parametrize(("wish", "said"), [*product(Wish, S)])
def test_a_later_wish_on_disk_is_passed_on_wherever_it_may_be_made(wish: Wish, said: JobState) -> None:
    """Before all else; one that the state does not take has come too late, and is none."""
    ahead = disk(S.PAUSED, wish=wish, wish_number=4)

    found = compare(ahead, server(said))

    assert (found is D.WISH_UNHEARD) == wish_allowed(said, wish)


def test_a_wish_that_the_server_has_heard_later_is_no_difference() -> None:
    """It was refused, and rolled back on disk."""
    assert compare(disk(S.PAUSED), server(S.PAUSED, wish_number=9)) is D.NONE


@pytest.mark.parametrize("ahead", [disk(attempt=3), disk(wish_number=4, wish=Wish.PAUSE)])
def test_a_stop_does_not_outweigh_what_has_happened_on_disk_since(ahead: OnDisk) -> None:
    """A later attempt, or a wish that came too late: the server is behind."""
    assert compare(ahead, server(S.FAILED)) is D.STATE


def test_a_later_attempt_on_disk_is_a_difference_of_its_own() -> None:
    """The states are the same, and the server would give its number once more."""
    assert compare(disk(attempt=3), server(S.QUEUED)) is D.ATTEMPT
    assert compare(disk(attempt=1), server(S.QUEUED)) is D.NONE


@pytest.mark.parametrize(("on_disk", "said"), [*product(DISK, S)])
@pytest.mark.parametrize("other", [{"name": "another"}, {"created_ms": 2_000}])
def test_a_record_of_another_directory_is_seen_before_states_are_compared(
    on_disk: JobState, said: JobState, other: dict[str, object]
) -> None:
    """Nothing that it says is written onto this one; a running job is left to its lease."""
    found = compare(disk(on_disk), server(said, **other))

    assert found is (D.RUNS if said is S.RUNNING else D.ANOTHER)


@pytest.mark.parametrize(("on_disk", "said"), [*product(DISK, SERVER)])
def test_a_damaged_document_is_left_to_people(on_disk: JobState, said: JobState | Lack) -> None:
    """Where the server knows the job; where it does not, the job is put back, with the damage for its reason."""
    found = compare(disk(on_disk, damage="it is not JSON"), server(said))

    known = {Lack.MISSING: D.UNKNOWN, Lack.DAMAGED: D.RECORD_DAMAGED}
    assert found is (known[said] if isinstance(said, Lack) else D.DISK_DAMAGED)


@pytest.mark.parametrize(("on_disk", "attempt"), [*product(DISK, (0, 1))])
def test_who_may_be_at_work_is_given_the_time_to_adopt_the_job(on_disk: JobState, attempt: int) -> None:
    """Only where the server has lost the record just now, and only a job that may be running."""
    may_run = attempt > 0 and on_disk not in (S.SUCCEEDED, S.FAILED)

    found = compare(disk(on_disk, attempt=attempt), Lack.MISSING, owner_may_adopt=True)

    assert found is (D.AWAITS_OWNER if may_run else D.UNKNOWN)
    assert compare(disk(on_disk, attempt=attempt), Lack.MISSING) is D.UNKNOWN


@pytest.mark.parametrize("said", S)
def test_nobody_adopts_what_the_server_has(said: JobState) -> None:
    """The question is asked of lost records only."""
    assert compare(disk(), server(said), owner_may_adopt=True) is compare(disk(), server(said))


def test_every_difference_is_found_by_some_pair() -> None:
    """None of them is only a word."""
    found = {difference for row in SAME_WISH.values() for difference in row}
    found |= {compare(disk(), Lack.MISSING, owner_may_adopt=True), compare(disk(damage="x"), server(S.QUEUED))}
    found |= {compare(disk(name="x"), server(S.QUEUED)), compare(disk(attempt=3), server(S.QUEUED))}
    found |= {compare(disk(S.PAUSED, wish=Wish.PAUSE, wish_number=4), server(S.QUEUED))}

    assert found == set(Difference)
