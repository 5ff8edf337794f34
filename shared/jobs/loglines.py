"""What happens to a job as lines of its log: the same words in the file and on an open page. Pure.

describe(EpochEnded(epoch=0, step=113, logs={"loss": 0.5}, seconds=0.4))   # "epoch 1: loss 0.5000 (0.40 s)"
"""

import math
from collections.abc import Mapping
from typing import Any

from keepfit.shared.jobs.events import (
    AttemptStarted,
    CheckpointFailed,
    CheckpointRejected,
    CheckpointSaved,
    EpochEnded,
    Event,
    LogLine,
)


def describe(event: Event) -> str:
    """``event`` as a line for people; empty if it is not worth one."""
    match event:
        case LogLine():
            return event.text
        case AttemptStarted() if event.resumed_attempt:
            kept = "exact" if event.exact else f"not exact ({'; '.join(event.differs)})"
            return f"attempt {event.attempt} resumes at step {event.step:,} of attempt {event.resumed_attempt}, {kept}"
        case AttemptStarted():
            return f"attempt {event.attempt} starts from the beginning"
        case EpochEnded():
            return f"epoch {event.epoch + 1}: {figures(event.logs)} ({event.seconds or 0.0:.2f} s)"
        case CheckpointFailed():
            return f"the checkpoint at step {event.step:,} could not be written: {event.reason}; training goes on"
        case CheckpointRejected():
            return f"set aside a damaged checkpoint ({event.name}): {event.reason}"
        case CheckpointSaved():
            return f"checkpoint at step {event.step:,} ({event.bytes / 1e6:.1f} MB in {event.seconds:.2f} s)"
    return ""


def figures(logs: Mapping[str, Any]) -> str:
    """Metrics for people: loss 0.1234, accuracy 0.9040."""
    return ", ".join(f"{name} {_number(value)}" for name, value in logs.items())


def _number(value: float | None) -> str:
    return f"{value:.4f}" if value is not None and math.isfinite(value) else "not a number"
