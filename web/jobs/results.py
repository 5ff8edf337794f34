"""What there is to say about the end of a job, beside its numbers: each a sentence for people. Pure.

    remarks(record.result, planned=40)
    # ("Stopped early, after epoch 6 of 40.", "Its weights are those of epoch 4, the best.")

Reads the ``extra`` of a ``result.json`` tolerantly: one of an older version has less in it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from keepfit.web.words.wording import sentence

NO_BETTER = "It is no better than guessing"


def remarks(result: Mapping[str, Any], planned: int | None = None) -> tuple[str, ...]:
    """What a person should know about the end that ``result`` tells of; ``planned``: epochs, where it does not say."""
    return tuple(_remarks(_extra(result), stopped_early(result, planned)))


def stopped_early(result: Mapping[str, Any], planned: int | None = None) -> tuple[int, int] | None:
    """The epoch after which early stopping ended a training, and how many were planned; None if it did not."""
    extra = _extra(result)
    stopped = _epoch(extra, "stopped_epoch") or _epoch(extra, "epochs")
    planned = _epoch(extra, "epochs_planned") or planned or 0
    return (stopped, planned) if 0 < stopped < planned else None


def _remarks(extra: Mapping[str, Any], early: tuple[int, int] | None) -> Iterator[str]:
    best = _epoch(extra, "best_epoch")
    if early:
        yield f"Stopped early, after epoch {early[0]:,} of {early[1]:,}."
    if best:
        yield f"Its weights are those of epoch {best:,}, the best."
    if extra.get("no_better_than_guessing"):
        share = extra.get("commonest_class_share")
        known = (
            f"is right for {share:.1%} of the samples, and it is hardly for more" if isinstance(share, float) else ""
        )
        yield f"{NO_BETTER}: always naming the commonest class {known or 'would do about as well'}."
    if why := _text(extra.get("test")):
        yield f"The test could not be done: {why}."
    yield from _missing(extra.get("exports"))
    notes = extra.get("notes")
    yield from (sentence(note) for note in (notes if isinstance(notes, list) else ()) if _text(note))


def _missing(exports: Any) -> Iterator[str]:
    """One sentence for each form in which the model could not be exported, with the reason."""
    for name, why in exports.items() if isinstance(exports, Mapping) else ():
        if said := _text(why):
            yield f"There is no {name}: {said}."


def _extra(result: Mapping[str, Any]) -> Mapping[str, Any]:
    extra = result.get("extra")
    return extra if isinstance(extra, Mapping) else {}


def _text(value: Any) -> str:
    return value.strip().rstrip(".") if isinstance(value, str) else ""


def _epoch(extra: Mapping[str, Any], name: str) -> int:
    value = extra.get(name)
    return value if type(value) is int and value > 0 else 0
