"""Each document that 0.1 has left is read by today's reader: nothing in it is lost, and the file stays as it is."""

import json
from pathlib import Path
from typing import Any

import pytest

from keepfit.shared import reasons
from keepfit.shared.jobs.documents import (
    AttemptFile,
    ClaimFile,
    Document,
    JobFile,
    ResultFile,
    VerdictFile,
    WishFile,
)
from keepfit.shared.jobs.documents.upgrade import latest

PAST = Path(__file__).resolve().parent / "0.1" / "jobs"
READERS: dict[str, type[Document]] = {
    "job": JobFile, "wish": WishFile, "verdict": VerdictFile, "claim": ClaimFile, "attempt": AttemptFile,
    "result": ResultFile,
}  # fmt: skip
RENAMED = {"claim": {"after": "previous_end"}}
REASONS = {"claim": "previous_end", "result": "reason", "verdict": "reason"}
"""Fields that were sentences."""


@pytest.mark.parametrize("name", READERS)
def test_nothing_that_0_1_wrote_is_lost(name: str) -> None:
    """Every file of this name, field by field."""
    reader, paths = READERS[name], [*PAST.glob(f"*/{name}.json"), *PAST.glob(f"*/attempts/*/{name}.json")]
    assert paths

    for path in paths:
        content = path.read_bytes()
        raw: dict[str, Any] = json.loads(content)
        found = reader.read(path)

        assert found is not None
        now = json.loads(found.model_dump_json())
        renamed = {RENAMED.get(name, {}).get(field, field): value for field, value in raw.items()}
        if (field := REASONS.get(name)) and field in renamed:
            renamed[field] = reasons.read_sentence(renamed[field]).to_json()
            assert renamed[field].get("code") != reasons.Code.SAID
        assert now == now | renamed | {"version": latest(name)}
        assert path.read_bytes() == content


def test_0_1_looked_at_no_data() -> None:
    """Its training attempts say so to those that come after them; its evaluations took none."""
    for path in PAST.glob("*/attempts/*/attempt.json"):
        spec = json.loads((path.parents[2] / "job.json").read_text())["spec"]
        record = AttemptFile.read(path)
        assert record is not None
        assert record.data_as_found or spec["kind"] == "evaluate"
