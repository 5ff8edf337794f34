"""Rows of other versions, and damaged ones: each costs itself at most, never the stream that it lies in."""

import json
import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from keepfit.shared.jobs.events import (
    AttemptStarted,
    EpochEnded,
    Event,
    LogLine,
    Progress,
    StateChanged,
    decode,
    encode,
    event_of,
)

EPOCH: dict[str, Any] = {"epoch": 1, "step": 226, "logs": {"loss": 0.5}, "seconds": 0.4}
TYPES = (
    "state",
    "wish",
    "attempt",
    "progress",
    "epoch",
    "checkpoint",
    "checkpoint-failed",
    "checkpoint-rejected",
    "log",
)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("step", "epoch", "logs", "seconds", "state", "attempt", "text", "level", "differs", "exact", "eta_s", "name")


def test_a_field_that_a_row_does_not_have_has_a_default() -> None:
    """The reader of a newer version may know more fields than the writer."""
    assert decode({"type": "epoch", "data": json.dumps(EPOCH | {"seconds": None})}) == EpochEnded(
        1, 226, {"loss": 0.5}, 0
    )
    del (row := dict(EPOCH))["seconds"]
    assert event_of("epoch", row) == EpochEnded(1, 226, {"loss": 0.5}, 0.0)
    assert event_of("attempt", {"step": 3}) == AttemptStarted(0, "", 0, 3)
    assert event_of("state", {"state": "queued"}) == StateChanged("queued", 0)


def test_what_a_newer_version_has_added_is_passed_over() -> None:
    """A field, and a whole type."""
    assert event_of("epoch", EPOCH | {"colour": "red"}) == EpochEnded(**EPOCH)
    assert event_of("dream", EPOCH) is None


def test_a_row_that_says_nothing_without_its_step_is_none() -> None:
    """At step 0 it would void the whole curve."""
    assert event_of("attempt", {"attempt": 2}) is None
    assert event_of("progress", {}) is None


def test_null_in_the_logs_was_no_finite_number() -> None:
    """It stays in its place, as what it was."""
    event = event_of("epoch", EPOCH | {"logs": {"loss": None, "accuracy": 0.1, "note": "text"}})

    assert isinstance(event, EpochEnded)
    assert set(event.logs) == {"loss", "accuracy"}
    assert math.isnan(event.logs["loss"])
    assert '"loss":null' in encode(event)["data"]


def test_values_of_another_type_make_no_event() -> None:
    """Neither a text where a number belongs, nor what is no object."""
    wrong: list[Any] = ["text", 1, None, [], {"step": "1"}, {"step": True}, EPOCH | {"logs": 1}, EPOCH | {"step": 1.5}]

    assert [event_of("epoch", values) for values in wrong] == [None] * len(wrong)
    assert event_of(["epoch"], EPOCH) is None
    assert decode({"type": "epoch", "data": "[" * 100_000}) is None
    assert decode({"type": "epoch"}) is None


@given(st.sampled_from(TYPES), st.dictionaries(st.sampled_from(FIELDS), ANY_JSON) | ANY_JSON)
def test_no_row_raises(kind: str, values: Any) -> None:
    """Whatever JSON holds: an event that can be written again, or none."""
    event = event_of(kind, values)

    assert event is None or decode(encode(event)) is not None


def test_an_event_comes_back_as_it_was() -> None:
    """Every type of field."""
    written: list[Event] = [
        AttemptStarted(2, "host", 7, 226, 1, 113, 1, False, ("threads: 2, was 1",), "xla"),
        Progress(5, 10, 0, 2, 5, 5, {"loss": 0.25}, 3.5, None, "validate"),
        LogLine("hello", "warning"),
    ]

    assert [decode(encode(event)) for event in written] == written
