"""Puts a job back into the queue server as its directory says it is; does nothing where the server knows it."""

import json

from shared.diskstate import state_on_disk
from shared.jobdir import JobDir
from shared.states import JobState
from shared.store import Store


def restore_from_disk(jobdir: JobDir, store: Store) -> bool:
    """Whether the job was put back. Raises StoreUnavailable, or KeepfitError where the directory cannot be read."""
    found = state_on_disk(jobdir)
    result = json.dumps(dict(found.result)) if found.result else ""
    return store.upkeep.restore(jobdir, found.state, found.reason, result)


def may_be_running(jobdir: JobDir, store: Store) -> bool:
    """Whether an attempt may be at work on a job that the server has just lost, and is to adopt it first.

    Restoring the job now would cut that attempt off. Raises StoreUnavailable.
    """
    over = state_on_disk(jobdir).state in (JobState.SUCCEEDED, JobState.FAILED)
    return not over and bool(jobdir.attempt_dirs()) and not store.upkeep.booted()
