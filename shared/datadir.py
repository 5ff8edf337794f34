"""Which form a data directory has, so that a version never works on one that it does not understand.

    check(data_dir)      # NewerVersion: what to do
    take(data_dir)       # the same, and from now on it says that it is of this form

``version.json`` holds the form and the version that first wrote it. A directory without one is of version
0.1 (form 0); this version reads it as it is. Several versions may work on one directory as long as its form
is the same: what only a newer one can read of a job, the job's own documents say.
"""

import contextlib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from keepfit.shared.durable import write_json
from keepfit.shared.errors import NewerVersion
from keepfit.shared.jobs.documents import read_or_nothing, text, whole
from keepfit.shared.spec import printable

FORMAT = 1
"""The form of a data directory that this version reads and writes."""
NAME = "version.json"


def check(data_dir: Path) -> int:
    """The form of ``data_dir``. Raises NewerVersion for a later one than this version knows."""
    document = read_or_nothing(data_dir / NAME)
    found = whole(document, "format")
    if found > FORMAT:
        made_by = printable(text(document, "made_by", "unknown"))[:40]
        raise NewerVersion(
            "The data directory {path} was made by a newer version of Keepfit ({newer}), "
            "and this one ({own}) could damage it. "
            "Install that version or a later one, or name another directory: --data-dir DIR (KEEPFIT_DATA_DIR).",
            path=data_dir,
            newer=made_by,
            own=_own_version(),
        )
    return found


def take(data_dir: Path) -> None:
    """See that this version may work on ``data_dir``, and bring it to this version's form. Raises NewerVersion.

    A directory that takes no writes stays as it is: whatever is started in it will say so.
    """
    if check(data_dir) < FORMAT:
        with contextlib.suppress(OSError):
            write_json(data_dir / NAME, {"format": FORMAT, "made_by": _own_version()})


def _own_version() -> str:
    try:
        return version("keepfit")
    except PackageNotFoundError:  # run from a copy of the code
        return "not installed"
