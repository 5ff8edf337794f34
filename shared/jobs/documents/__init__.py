"""The documents of a job's directory: each one typed, versioned model, with its one writer and its one reader.

    wish = WishFile.read(jobdir.wish)                   # None where there is none; DamagedFile with the reason
    claim = ClaimFile.read_or_none(attempt.claim)       # a damaged one is as if absent
    ClaimFile(owner=owner, wish_number=3).write(attempt.claim)

Where the files lie says ``directory``; what they mean together, ``truth``. The rows of ``metrics.jsonl`` and of
the streams are ``events``; ``trainer.json`` is a part of a checkpoint and belongs to what trains.
"""

from keepfit.shared.jobs.documents.attempt import (
    AttemptFile,
    ClaimFile,
    ResultFile,
    ResumedFrom,
    SignatureFile,
    TensorSignature,
)
from keepfit.shared.jobs.documents.document import Document
from keepfit.shared.jobs.documents.job import JobFile, TombstoneFile, VerdictFile, WishFile
from keepfit.shared.jobs.documents.reading import (
    hidden,
    numbers,
    open_regular,
    part,
    read_object,
    read_or_nothing,
    read_regular,
    text,
    whole,
)

__all__ = [
    "AttemptFile",
    "ClaimFile",
    "Document",
    "JobFile",
    "ResultFile",
    "ResumedFrom",
    "SignatureFile",
    "TensorSignature",
    "TombstoneFile",
    "VerdictFile",
    "WishFile",
    "hidden",
    "numbers",
    "open_regular",
    "part",
    "read_object",
    "read_or_nothing",
    "read_regular",
    "text",
    "whole",
]
