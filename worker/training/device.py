"""Compiled XLA programs kept between processes, so that a resumed job trains at once instead of compiling first.

    use_cache(data_dir / "cache")        # in a fresh process, before TensorFlow's first op
    publish()                            # after the first compilation

TensorFlow's own persistent cache trusts its files blindly: a torn one fails the job, a flipped byte
could compute something else. So each process gets a private directory with copies of those entries
whose sha256 is right, and what it compiles is published from there under its sha256. Programs
are machine code: they are kept apart by CPU and versions, and only in a directory that nobody but the
workers' user can write to; a digest finds damage, not malice. Loaded or compiled anew, they give the
same bits; a test holds that.
"""

import contextlib
import errno
import hashlib
import json
import logging
import os
import shutil
import stat
from pathlib import Path

from keepfit.shared import host
from keepfit.worker.training import bits

_log = logging.getLogger(__name__)
_FLAG = "--tf_xla_persistent_cache_directory="
_MOST_ENTRIES = 64
_FREE_BYTES = 256 << 20
"""With less than this left on the disk the cache is not used: TensorFlow fails a job whose entry it cannot write."""


def use_cache(folder: Path) -> None:
    """Have this process's XLA programs looked for, and kept, in ``folder``. Without one it just compiles."""
    with contextlib.suppress(OSError):  # a cache is a convenience: without one, training starts a second later
        shared = folder / f"xla-{_key()}"
        for place in (folder, shared):
            _make_ours(place)
        if shutil.disk_usage(shared).free < _FREE_BYTES:
            return
        _sweep(shared)
        own = host.make_private(shared)
        for entry in _entries(shared):
            _adopt(entry, own)
        flags = [*bits.xla_flags(), f"{_FLAG}{own}", "--tf_xla_persistent_cache_device_types=CPU"]
        os.environ["TF_XLA_FLAGS"] = " ".join(flags)


def _make_ours(place: Path) -> None:
    """Make a directory into which nobody else can write. Raises OSError if it is there and another user's, or open."""
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = place.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        _log.warning("compiled programs are not kept: others may write to %s, or it is a link", place)
        raise PermissionError(errno.EPERM, "others may write there", str(place))


def publish() -> None:
    """Let later processes have what this one has compiled."""
    own = _own_dir()
    if own is None:
        return
    with contextlib.suppress(OSError):  # see use_cache
        known = {entry.name for entry in _entries(own.parent)}
        for path in list(own.iterdir()):
            content = path.read_bytes()
            name = f"{hashlib.sha256(content).hexdigest()}--{path.name}"
            if name not in known:
                temp = own / ".publishing"  # here, so that it goes with the directory if we are killed
                temp.write_bytes(content)
                temp.replace(own.parent / name)


def discard() -> None:
    """Remove this process's private directory; nothing is compiled any more."""
    own = _own_dir()
    if own is not None:
        shutil.rmtree(own, ignore_errors=True)


def _own_dir() -> Path | None:
    for flag in bits.xla_flags():
        path = Path(flag.removeprefix(_FLAG))
        if flag.startswith(_FLAG) and path.name.startswith(host.PRIVATE_PREFIX) and path.is_dir():
            return path
    return None


def _key() -> str:
    return hashlib.sha256(json.dumps(bits.machine(), sort_keys=True).encode()).hexdigest()[:16]


def _entries(shared: Path) -> list[Path]:
    found = [path for path in shared.iterdir() if path.is_file() and "--" in path.name]
    return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)


def _adopt(entry: Path, own: Path) -> None:
    digest, _, name = entry.name.partition("--")
    content = entry.read_bytes()
    if hashlib.sha256(content).hexdigest() == digest:
        (own / name).write_bytes(content)
    else:
        entry.unlink(missing_ok=True)


def _sweep(shared: Path) -> None:
    """Remove the oldest entries beyond the limit, and what killed processes have left."""
    for entry in _entries(shared)[_MOST_ENTRIES:]:
        entry.unlink(missing_ok=True)
    host.sweep_private(shared)
