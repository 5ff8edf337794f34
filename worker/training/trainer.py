"""``trainer.json`` of a checkpoint: where training is, what it was made with, its callbacks' counters.

    raw = encode({"cursor": ..., "callbacks": [...], ...})
    trainer = decode(raw, format=2)         # raises CorruptCheckpoint whatever else the bytes may be

What is decoded has every field, each of its type. Format 1 is version 0.1's, which kept the history
in here; format 2 is, byte for byte, what this module would write for the values that it holds.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from keepfit.shared.durable import from_json, to_json
from keepfit.shared.errors import CorruptCheckpoint

FORMAT = 2
_MOST_BYTES = {1: 32 << 20, FORMAT: 1 << 20}
_NOT_FINITE = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}

Count = Annotated[int, Field(ge=0, lt=10**15)]


class _Cursor(BaseModel):
    model_config = ConfigDict(strict=True)

    epoch: Count
    batch: Count
    phase: Literal["train", "validate", "finalise"]


class _Trainer(BaseModel):
    model_config = ConfigDict(strict=True)

    format: Literal[1, 2]
    step: Count
    seed: int
    plan: Literal["graph", "xla"]
    program_sha256: str
    data_sha256: str | dict[str, str]
    """Of each part of the data; of version 0.1, those of training and validation joined."""
    order_sha256: str | None
    environment: dict[str, Any]
    exact: bool
    differs: list[str]
    cursor: _Cursor
    callbacks: list[dict[str, bool | int | float | str | None]]


def encode(trainer: Mapping[str, Any]) -> bytes:
    """The one form that it has on disk."""
    callbacks = [{name: _plain(value) for name, value in entry.items()} for entry in trainer["callbacks"]]
    return _canonical({**trainer, "format": FORMAT, "callbacks": callbacks})


def decode(raw: bytes, format: int) -> dict[str, Any]:
    """The trainer state in ``raw``. Raises CorruptCheckpoint unless it is one of this format."""
    if len(raw) > _MOST_BYTES[format]:
        raise CorruptCheckpoint(f"its trainer state has {len(raw):,} bytes, more than any real one")
    try:
        value = from_json(raw)
        _Trainer.model_validate(value)
        intact = value["format"] == format and (format == 1 or _canonical(value) == raw)
    except (ValueError, RecursionError) as exc:
        raise CorruptCheckpoint("its trainer state cannot be read") from exc
    if not intact:
        raise CorruptCheckpoint("its trainer state was changed after it was written")
    value["callbacks"] = [{name: _exact(v) for name, v in entry.items()} for entry in value["callbacks"]]
    return dict(value)


def _canonical(value: Mapping[str, Any]) -> bytes:
    return to_json(value, indent=1, sort_keys=True).encode()


def _plain(value: Any) -> Any:
    """JSON has no infinity, and a callback's best value so far may be one."""
    return value if not isinstance(value, float) or math.isfinite(value) else str(value)


def _exact(value: Any) -> Any:
    return _NOT_FINITE.get(value, value) if isinstance(value, str) else value
