"""Ties a process to its parent, so that none is left when the parent is killed outright.

    die_with_parent()        # in the child, right after the fork; the tie survives exec

Linux does it in the kernel. macOS has nothing like it: there the launcher, when it starts the next
time, ends what an earlier one has left behind (see ``leftovers.py``).
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
"""From <linux/prctl.h>."""

# Loaded here, in the parent: a freshly forked child should do as little as possible.
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(parent: int, number: int = signal.SIGTERM) -> None:
    """Have the kernel send ``number`` to this process when its parent, whose id is ``parent``, ends.

    The signal is sent when the *thread* that forked ends: fork from the main thread.
    """
    if _LIBC is None:
        return
    if _LIBC.prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:  # the parent has ended between the fork and the line above
        os.kill(os.getpid(), number)
