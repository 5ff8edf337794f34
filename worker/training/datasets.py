"""The data sets that a job can name: where their files are looked for, and how they are read and checked.

    arrays = load("mnist-5k", datasets_dir)       # Dataset(train=Arrays, test=Arrays), bytes as they are

``mnist-5k`` belongs to the project. The others are looked for in the data directory first (gzipped
IDX files in a folder of the data set's name, or one ``.npz``), then fetched by ``keras.datasets``.
"""

import gzip
import hashlib
import os
import struct
import uuid
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import DataUnavailable, StorageFull
from shared.spec import DATASETS
from worker.training.program import Arrays

_BUILTIN = Path(__file__).resolve().parents[2] / "data" / "mnist-5k.npz"
_BUILTIN_SHA256 = "cbc52140e194235067ae45d40f25d28b9b44f4b77adac9fc26743fdea791c9ff"
_NAMES = ("x_train", "y_train", "x_test", "y_test")
_IDX = {
    "x_train": "train-images-idx3-ubyte.gz",
    "y_train": "train-labels-idx1-ubyte.gz",
    "x_test": "t10k-images-idx3-ubyte.gz",
    "y_test": "t10k-labels-idx1-ubyte.gz",
}


@dataclass(frozen=True)
class Dataset:
    """Images and their labels, apart for training and for the final test."""

    train: Arrays
    test: Arrays


def load(name: str, datasets: Path) -> Dataset:
    """Read the data set ``name``, fetching it first if need be.

    Raises:
        DataUnavailable: it is not there and cannot be fetched, or is damaged; the message says what to do.
        StorageFull: it was fetched, but the data directory takes no writes.
    """
    if name not in DATASETS:
        raise DataUnavailable(f"There is no data set {name!r}; there are {', '.join(DATASETS)}.")
    parts = _builtin() if name == "mnist-5k" else _local(name, datasets) or _fetched(name, datasets)
    info = DATASETS[name]
    shapes = [part.shape for part in parts]
    train, test = info.train_samples, info.test_samples
    if shapes != [(train, 28, 28), (train,), (test, 28, 28), (test,)]:
        raise DataUnavailable(f"The files of {name} under {datasets} hold arrays of the wrong shape: {shapes}.")
    x_train, y_train, x_test, y_test = parts
    return Dataset(Arrays(x_train, y_train), Arrays(x_test, y_test))


def _builtin() -> list[NDArray[Any]]:
    try:
        content = _BUILTIN.read_bytes()
    except OSError as exc:
        raise DataUnavailable(f"{_BUILTIN} is missing; install Keepfit again.") from exc
    if hashlib.sha256(content).hexdigest() != _BUILTIN_SHA256:
        raise DataUnavailable(f"{_BUILTIN} is damaged (its sha256 differs); install Keepfit again.")
    return _read_npz(_BUILTIN)


def _local(name: str, datasets: Path) -> list[NDArray[Any]] | None:
    folder, single = datasets / name, datasets / f"{name}.npz"
    try:
        if all((folder / file).is_file() for file in _IDX.values()):
            return [_read_idx(folder / _IDX[part]) for part in _NAMES]
        return _read_npz(single) if single.is_file() else None
    except (OSError, ValueError, KeyError, EOFError, zlib.error, struct.error) as exc:
        raise DataUnavailable(f"The files of {name} under {datasets} cannot be read ({exc}). Replace them.") from exc


def _fetched(name: str, datasets: Path) -> list[NDArray[Any]]:
    import keras

    source = {"mnist": keras.datasets.mnist, "fashion-mnist": keras.datasets.fashion_mnist}[name]
    try:
        (x_train, y_train), (x_test, y_test) = source.load_data()
    except Exception as exc:  # the downloader raises whatever its transport does
        files = ", ".join(_IDX.values())
        raise DataUnavailable(
            f"{DATASETS[name].title} could not be fetched: is there a network? Without one, put {files} into "
            f"{datasets / name}, or choose the built-in mnist-5k."
        ) from exc
    parts = [x_train, y_train, x_test, y_test]
    _keep(dict(zip(_NAMES, parts, strict=True)), datasets / f"{name}.npz")
    return parts


def _keep(arrays: dict[str, NDArray[Any]], path: Path) -> None:
    temp = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temp.open("xb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type] # its other keyword is allow_pickle
            file.flush()
            os.fsync(file.fileno())
        temp.replace(path)
    except OSError as exc:
        temp.unlink(missing_ok=True)
        raise StorageFull(f"{path.parent} takes no writes ({exc.strerror}), so the data set cannot be kept.") from exc


def _read_npz(path: Path) -> list[NDArray[Any]]:
    with np.load(path, allow_pickle=False) as file:
        return [file[part] for part in _NAMES]


def _read_idx(path: Path) -> NDArray[Any]:
    """One gzipped IDX file: two zero bytes, type (8: bytes), rank, sizes (big-endian), data."""
    content = gzip.decompress(path.read_bytes())
    zeros, kind, rank = struct.unpack_from(">HBB", content)
    if zeros != 0 or kind != 8:
        raise ValueError(f"{path.name} is not an IDX file of bytes")
    shape = struct.unpack_from(f">{rank}I", content, 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(shape)
