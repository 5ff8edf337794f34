"""What there is to say about the end of a job, beside its numbers: each a sentence for people. Pure.

    remarks(record.result, planned=40)
    # ("Stopped early, after epoch 6 of 40.", "Its weights are those of epoch 4, the best.")

Reads the ``extra`` of a ``result.json`` tolerantly: one of an older version has less in it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from keepfit.web.words.catalogue import _, marked
from keepfit.web.words.wording import count, sentence

_KNOWN = marked(
    "It is no better than guessing: always naming the commonest class is right for {share} of the samples, and it is "
    "hardly for more."
)
_UNKNOWN = marked("It is no better than guessing: always naming the commonest class would do about as well.")


def remarks(result: Mapping[str, Any], planned: int | None = None) -> tuple[str, ...]:
    """What a person should know about the end that ``result`` tells of; ``planned``: epochs, where it does not say."""
    return tuple(_remarks(_extra(result), stopped_early(result, planned)))


def stopped_early(result: Mapping[str, Any], planned: int | None = None) -> tuple[int, int] | None:
    """The epoch after which early stopping ended a training, and how many were planned; None if it did not."""
    extra = _extra(result)
    stopped = _epoch(extra, "stopped_epoch") or _epoch(extra, "epochs")
    planned = _epoch(extra, "epochs_planned") or planned or 0
    return (stopped, planned) if 0 < stopped < planned else None


def stopped_after(stopped: int, planned: int) -> str:
    """What early stopping did, in a sentence."""
    return _("Stopped early, after epoch {stopped} of {planned}.", stopped=count(stopped), planned=count(planned))


def _remarks(extra: Mapping[str, Any], early: tuple[int, int] | None) -> Iterator[str]:
    best = _epoch(extra, "best_epoch")
    if early:
        yield stopped_after(*early)
    if best:
        yield _("Its weights are those of epoch {epoch}, the best.", epoch=count(best))
    if extra.get("no_better_than_guessing"):
        share = extra.get("commonest_class_share")
        yield _(_KNOWN, share=f"{share:.1%}") if isinstance(share, float) else _(_UNKNOWN)
    if why := _text(extra.get("test")):
        yield _("The test could not be done: {why}.", why=why)
    yield from _missing(extra.get("exports"))
    notes = extra.get("notes")
    yield from (sentence(note) for note in (notes if isinstance(notes, list) else ()) if _text(note))


def _missing(exports: object) -> Iterator[str]:
    """One sentence for each form in which the model could not be exported, with the reason."""
    for name, why in exports.items() if isinstance(exports, Mapping) else ():
        if said := _text(why):
            yield _("There is no {name}: {why}.", name=name, why=said)


def _extra(result: Mapping[str, Any]) -> Mapping[str, Any]:
    extra = result.get("extra")
    return extra if isinstance(extra, Mapping) else {}


def _text(value: object) -> str:
    return value.strip().rstrip(".") if isinstance(value, str) else ""


def _epoch(extra: Mapping[str, Any], name: str) -> int:
    value = extra.get(name)
    return value if type(value) is int and value > 0 else 0
