"""The errors that Keepfit raises on purpose. Each message tells a person what to do.

Library errors are translated into one of these once, at the border, with ``raise ... from exc``.
"""


class KeepfitError(Exception):
    """Something went wrong that a person can act on; the message says how."""


class InvalidSpec(KeepfitError):
    """The job asks for something that cannot be done as it stands. Never retried."""


class DataUnavailable(KeepfitError):
    """The data set cannot be read or fetched. Never retried by itself."""


class JobNotFound(KeepfitError):
    """No job has this id."""


class BadTransition(KeepfitError):
    """The job is in a state from which the wished change does not exist."""


class JobConflict(KeepfitError):
    """An idempotency key was used again for a different job."""


class StoreUnavailable(KeepfitError):
    """The Redis server does not answer. What is on disk is safe."""


class StorageFull(KeepfitError):
    """The data directory takes no more writes: no space left, read-only, or no permission."""


class NoCheckpoint(KeepfitError):
    """The job has no valid checkpoint yet."""


class CorruptCheckpoint(KeepfitError):
    """A checkpoint does not match its manifest; it must not be loaded."""
