"""The errors that Keepfit raises on purpose. Each message tells a person what to do.

Library errors are translated into one of these once, at the border, with ``raise ... from exc``.
"""

from keepfit.shared.reasons import Reason, said


class KeepfitError(Exception):
    """Something went wrong that a person can act on; the message says how.

    Where the message has places for values, ``{like_this}``, they are given by name: the web side says it in other
    languages too. A reason has its message and its values.
    """

    def __init__(self, message: str | Reason = "", /, **values: object) -> None:
        if isinstance(message, Reason):
            self.reason, self.message, self.values = message, message.wording, dict(message.args)
            super().__init__(str(message))
        else:
            super().__init__(message.format(**values) if values else message)
            self.reason, self.message, self.values = said(str(self)), message, values


class InvalidSpec(KeepfitError):
    """The job asks for something that cannot be done as it stands. Never retried."""


class NotInLibrary(InvalidSpec):
    """The job names a data set or a model of which there is no card (any more)."""


class DataUnavailable(KeepfitError):
    """The data set cannot be read or fetched. Never retried by itself."""


class JobNotFound(KeepfitError):
    """No job has this id."""


class JobDeleted(JobNotFound):
    """The job was deleted for good."""


class BadTransition(KeepfitError):
    """The job is in a state from which the wished change does not exist."""


class NotAllowed(KeepfitError):
    """The actor's role does not include what was asked."""


class JobConflict(KeepfitError):
    """An idempotency key was used again for a different job."""


class StoreUnavailable(KeepfitError):
    """The Redis server does not answer, or cannot serve just now. What is on disk is safe; trying again helps."""


class StoreRefused(KeepfitError):
    """The Redis server answered that the request itself is wrong: a fault of ours or of a key. No outage."""


class NewerVersion(KeepfitError):
    """Something was written by a newer version of Keepfit; this one leaves it alone. Never a failure of the job."""


class DamagedFile(KeepfitError):
    """A document of a job's directory cannot be read. It costs that job, in words, and nothing else."""


class StorageFull(KeepfitError):
    """The data directory takes no more writes: no space left, read-only, or no permission."""


class NoCheckpoint(KeepfitError):
    """The job has no valid checkpoint yet."""


class CorruptCheckpoint(KeepfitError):
    """A checkpoint does not match its manifest; it must not be loaded."""
