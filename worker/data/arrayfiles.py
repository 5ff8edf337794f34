"""Arrays in files that people have put there: what is wrong with one is said in words, and what to do about it.

    x, y = read_npz(path, ["x_train", "y_train"])
    x = read_idx(path)

Nothing is ever unpickled. A file that cannot be taken is a DataUnavailable; knows nothing of data sets.
"""

import gzip
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.shared.errors import DataUnavailable

Array = NDArray[Any]

_OTHER_KINDS = (
    (b"\x93NUMPY", "a single array (.npy) under another name"),
    (b"\x1f\x8b", "a gzip file"),
    (b"\x80", "a Python pickle, and those are never loaded: they can run programs"),
    (b"\x89HDF", "an HDF5 file"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file that it points to"),
    (b"<", "a web page, perhaps one to log in that was saved in place of the file"),
)


def read_npz(path: Path, names: Sequence[str]) -> list[Array]:
    """The arrays called ``names`` in the ``.npz`` archive ``path``. Raises DataUnavailable."""
    advice = f"Save it with numpy.savez, the arrays named {', '.join(names)}."
    try:
        with path.open("rb") as file:
            start = file.read(64)
            if not start.startswith(b"PK"):
                raise DataUnavailable(f"{path.name} is {_kind(start)}. {advice}")
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                if missing := [name for name in names if name not in archive.files]:
                    held = ", ".join(archive.files) or "nothing"
                    raise DataUnavailable(
                        f"{path.name} holds no array named {', '.join(missing)}, only {held}. {advice}"
                    )
                return [_member(archive, name, path) for name in names]
    except (DataUnavailable, MemoryError):
        raise
    except Exception as exc:  # zipfile, zlib and NumPy raise a dozen kinds of errors over damaged bytes
        raise _damaged(path, exc) from exc


def read_idx(path: Path) -> Array:
    """One gzipped IDX file: two zero bytes, type (8: bytes), rank, sizes (big-endian), data. Raises DataUnavailable."""
    try:
        content = gzip.decompress(path.read_bytes())
        zeros, kind, rank = struct.unpack_from(">HBB", content)
        if zeros != 0 or kind != 8:
            raise ValueError("it is no IDX file of bytes")
        shape = struct.unpack_from(f">{rank}I", content, 4)
        return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(shape)
    except MemoryError:
        raise
    except Exception as exc:  # as above
        raise _damaged(path, exc) from exc


def _member(archive: Any, name: str, path: Path) -> Array:
    try:
        array = archive[name]
    except ValueError as exc:
        if "pickle" in str(exc):
            raise DataUnavailable(
                f"{name} in {path.name} holds Python objects, and those are never loaded: they can run programs. "
                "Save it as an array of numbers, all rows of one length."
            ) from exc
        raise
    if not isinstance(array, np.ndarray):
        raise DataUnavailable(f"{name} in {path.name} is no array. Save it with numpy.savez.")
    return array


def _kind(start: bytes) -> str:
    if not start:
        return "empty"
    known = (words for prefix, words in _OTHER_KINDS if start.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(prefix))
    return next(known, "no .npz archive, or its beginning is damaged")


def _damaged(path: Path, exc: Exception) -> DataUnavailable:
    if isinstance(exc, OSError) and exc.errno is not None:
        return DataUnavailable(f"{path.name} cannot be read ({exc.strerror}).")
    return DataUnavailable(f"{path.name} is damaged: {_fault(exc)}. Replace it by a whole copy.")


def _fault(exc: Exception) -> str:
    text = str(exc)
    if "CRC" in text:
        return "its content is not what was written (a checksum differs)"
    if isinstance(exc, EOFError) or (isinstance(exc, zipfile.BadZipFile) and "not a zip" in text):
        return "it is cut off, its end is missing"
    if isinstance(exc, zlib.error | zipfile.BadZipFile | gzip.BadGzipFile):
        return "its compressed content cannot be unpacked"
    return text if "IDX" in text else "its content cannot be read as an array"
