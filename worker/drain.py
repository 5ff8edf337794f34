"""The drain flag: one byte shared with the pool's children, since Celery tells them nothing of a warm shutdown.

The map is made before the pool forks; the main process sets the byte when it begins to shut down,
the attempts look at it several times a second.
"""

import mmap

_FLAG = mmap.mmap(-1, 1)


def start_draining() -> None:
    """Ask every attempt of this worker to write a checkpoint and give its job back."""
    _FLAG[0] = 1


def draining() -> bool:
    """Whether this worker shuts down."""
    return _FLAG[0] == 1
