"""What there is to say about the end of a job, beside its numbers: each a sentence for people. Pure.

    remarks(record.result)   # ("It stopped early, after epoch 6 of 40.", "Its weights are those of epoch 4, the best.")

Reads the ``extra`` of a ``result.json`` tolerantly: one of an older version has less in it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

NO_BETTER = "It is no better than guessing: its accuracy is that of always naming the most frequent class."


def remarks(result: Mapping[str, Any]) -> tuple[str, ...]:
    """What a person should know about the end that ``result`` tells of; empty if nothing is special."""
    extra = result.get("extra")
    return tuple(_remarks(extra)) if isinstance(extra, Mapping) else ()


def stopped_early(result: Mapping[str, Any]) -> tuple[int, int] | None:
    """The epoch after which early stopping ended the training, and how many were planned; None if it did not."""
    extra = result.get("extra")
    if not isinstance(extra, Mapping):
        return None
    stopped, planned = _epoch(extra, "stopped_epoch"), _epoch(extra, "epochs_planned")
    return (stopped, planned) if stopped and planned and stopped < planned else None


def _remarks(extra: Mapping[str, Any]) -> Iterator[str]:
    stopped, planned, best = (_epoch(extra, name) for name in ("stopped_epoch", "epochs_planned", "best_epoch"))
    if stopped and planned and stopped < planned:
        yield f"It stopped early, after epoch {stopped} of {planned}."
    if best:
        yield f"Its weights are those of epoch {best}, the best."
    elif stopped:
        yield f"Its weights are those of epoch {stopped}, the last."
    if extra.get("no_better_than_guessing"):
        yield NO_BETTER
    yield from _missing(extra.get("exports"))


def _missing(exports: Any) -> Iterator[str]:
    """One sentence for each form in which the model could not be exported, with the reason."""
    if not isinstance(exports, Mapping):
        return
    for name, why in exports.items():
        if isinstance(why, str) and why:
            yield f"There is no {name}: {why.rstrip('.')}."


def _epoch(extra: Mapping[str, Any], name: str) -> int:
    value = extra.get(name)
    return value if type(value) is int and value > 0 else 0
