"""From any older version of a document to today's: a numbered function for each step, only ever added to.

    upgraded("claim", {"owner": "...", "after": "..."})     # {"owner": "...", "previous_end": "...", "version": 2}

A document says its version; one that says none is of version 1. It is upgraded in memory when it is read, and never
rewritten. A step is added where an older document would be understood wrongly without it; a field that is merely new
needs none, it has a default. A later version than this code's is read as far as it is understood.
"""

from collections.abc import Callable, Mapping
from typing import Any

from keepfit.shared.jobs.documents.reading import text, whole
from keepfit.shared.reasons import read_sentence

Raw = Mapping[str, Any]


def attempt_1_to_2(document: Raw) -> Raw:
    """Version 0.1 took data as it found them, and made no notes of what it saw in them; so do its jobs go on."""
    return {**document, "data_as_found": "plan" in document and "notes" not in document}


def claim_1_to_2(document: Raw) -> Raw:
    """``after`` became ``previous_end``. A resume overwrote it in version 0.1: how that attempt ended is unknown."""
    after = text(document, "after")
    return {**document, "previous_end": "" if after.startswith("resumed") else after}


def claim_2_to_3(document: Raw) -> Raw:
    """Why the attempt before it ended was a sentence, and is a code."""
    return _reason_of_sentence(document, "previous_end")


def result_1_to_2(document: Raw) -> Raw:
    """The reason was a sentence, and is a code."""
    return _reason_of_sentence(document, "reason")


def verdict_1_to_2(document: Raw) -> Raw:
    """The reason was a sentence, and is a code."""
    return _reason_of_sentence(document, "reason")


def _reason_of_sentence(document: Raw, name: str) -> Raw:
    return {**document, name: read_sentence(text(document, name)).to_json()}


STEPS: dict[str, tuple[Callable[[Raw], Raw], ...]] = {
    "attempt": (attempt_1_to_2,),
    "claim": (claim_1_to_2, claim_2_to_3),
    "job": (),
    "result": (result_1_to_2,),
    "tombstone": (),
    "verdict": (verdict_1_to_2,),
    "wish": (),
}
"""By the document's kind; the first leads from version 1 to version 2."""


def latest(kind: str) -> int:
    """The version of a document that this code writes."""
    return len(STEPS[kind]) + 1


def upgraded(kind: str, document: Raw) -> Raw:
    """``document`` in the form of the latest version; one of a later version as it is."""
    version = max(1, whole(document, "version", 1))
    for step in STEPS[kind][version - 1 :]:
        document = step(document)
    return {**document, "version": max(version, latest(kind))}
