"""The one form of JSON, and what is read tolerantly."""

import json
import math

import pytest

from keepfit.shared.durable import from_json, to_json
from keepfit.shared.jobs.events import EpochEnded, encode, to_row


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_finite_number_leaves_as_null(value: float) -> None:
    """NaN and infinities are null, at any depth; everything else is as it was."""
    written = to_json({"a": [1.5, value, {"b": (value, "NaN")}], "n": value})

    def refuse(word: str) -> None:
        raise AssertionError(f"bare {word}")

    assert json.loads(written, parse_constant=refuse) == {"a": [1.5, None, {"b": [None, "NaN"]}], "n": None}


def test_floats_keep_every_digit() -> None:
    """A finite float reads back as the same bits."""
    values = [0.1, 1e-308, 5e-324, 1.7976931348623157e308, -0.0]

    assert [value.hex() for value in from_json(to_json(values))] == [value.hex() for value in values]


@pytest.mark.parametrize("raw", ["[" * 100_000, "{", "1" * 5_000, b"\xff", "", "nul"])
def test_what_is_no_json_is_a_value_error(raw: str | bytes) -> None:
    """However a text is broken, the reader meets one kind of error."""
    with pytest.raises(ValueError, match=r"."):
        from_json(raw)


def test_an_event_carries_no_bare_nan() -> None:
    """Streams and rows go through the same form."""
    event = EpochEnded(0, 113, {"loss": math.nan, "accuracy": 0.5}, 0.4)
    fields = encode(event)

    assert json.loads(fields["data"])["logs"] == {"loss": None, "accuracy": 0.5}
    assert "NaN" not in to_row(event, 1)
