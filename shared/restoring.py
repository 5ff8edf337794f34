"""Puts a job back into the queue server as its directory says it is; does nothing where the server knows it."""

import json

from shared.diskstate import state_on_disk
from shared.jobdir import JobDir
from shared.store import Store


def restore_from_disk(jobdir: JobDir, store: Store) -> bool:
    """Whether the job was put back. Raises StoreUnavailable, or KeepfitError where the directory cannot be read."""
    found = state_on_disk(jobdir)
    result = json.dumps(dict(found.result)) if found.result else ""
    return store.upkeep.restore(jobdir, found.state, found.reason, result)
