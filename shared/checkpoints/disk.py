"""The few operations by which a checkpoint reaches the disk, each by its name.

They are a class of their own so that a test can die after any one of them. A failed fsync is never
repeated: the kernel has then marked the pages clean, so the file is given up (see shared.durable).
"""

import hashlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from keepfit.shared.checkpoints.manifest import FileRecord
from keepfit.shared.durable import fsync_dir


class Disk:
    """Real operations on the real disk."""

    def make_dir(self, path: Path) -> None:
        """Make a new directory."""
        path.mkdir()

    def write(self, path: Path, blocks: Iterable[bytes | memoryview]) -> FileRecord:
        """Write a new file from ``blocks``, make it durable and say what was written."""
        sha, size = hashlib.sha256(), 0
        with path.open("xb", buffering=0) as file:
            for block in blocks:
                view = memoryview(block)
                sha.update(view)
                size += len(view)
                while view:
                    view = view[file.write(view) :]
            self.fsync(file.fileno())
        return FileRecord(size, sha.hexdigest())

    def append(self, path: Path, block: bytes) -> None:
        """Add ``block`` to the end of a file that is there, and make it durable."""
        with path.open("r+b", buffering=0) as file:
            file.seek(0, os.SEEK_END)
            view = memoryview(block)
            while view:
                view = view[file.write(view) :]
            self.fsync(file.fileno())

    def fsync(self, fd: int) -> None:
        """Make the content of an open file durable."""
        os.fsync(fd)

    def fsync_dir(self, path: Path) -> None:
        """Make the entries of a directory durable."""
        fsync_dir(path)

    def rename(self, source: Path, target: Path) -> None:
        """Rename a file or a directory; a directory's target does not exist."""
        source.rename(target)

    def remove(self, path: Path) -> None:
        """Remove a file, or a directory with all that it holds."""
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    def free_bytes(self, path: Path) -> int:
        """How much can still be written below ``path``."""
        return shutil.disk_usage(path).free
