"""The data sets that a job can name: where their files are looked for, and what is taken from them.

    data = load("mnist-5k", datasets_dir)         # Dataset(train=Arrays, test=Arrays, notes=())

``mnist-5k`` belongs to the project. The others are looked for in the data directory first (gzipped
IDX files in a folder of the data set's name, or one ``.npz``), then fetched by ``keras.datasets``.
The models take bytes, 0 to 255, and class numbers; what means the same is taken as that, and said.
"""

import fcntl
import hashlib
import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.shared.errors import DataUnavailable, StorageFull
from keepfit.shared.spec import DATASETS
from keepfit.worker.data.arrayfiles import read_idx, read_npz
from keepfit.worker.data.intake import classes_of, refuse_other_kinds, refuse_what_is_not_finite
from keepfit.worker.training.program import Arrays

CLASSES = 10
_DIGITS = tuple(str(digit) for digit in range(CLASSES))
_CLOTHES = ("T-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
CLASS_NAMES = {"mnist-5k": _DIGITS, "mnist": _DIGITS, "fashion-mnist": _CLOTHES}
_BUILTIN = Path(__file__).parents[1] / "data" / "builtin" / "mnist-5k.npz"
_BUILTIN_SHA256 = "cbc52140e194235067ae45d40f25d28b9b44f4b77adac9fc26743fdea791c9ff"
_NAMES = ("x_train", "y_train", "x_test", "y_test")
_IDX = {
    "x_train": "train-images-idx3-ubyte.gz",
    "y_train": "train-labels-idx1-ubyte.gz",
    "x_test": "t10k-images-idx3-ubyte.gz",
    "y_test": "t10k-labels-idx1-ubyte.gz",
}
_FASHION_SHA256 = {
    "x_train": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "y_train": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    "x_test": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "y_test": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
}
"""Of the files that its authors publish (their MD5 stands in their README); Keras fetches them without any."""
_STORAGE = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
_DIVIDED = 0.1
"""How far from a whole number a byte may be after it was divided by 255, kept in 16 bits, and multiplied again."""


@dataclass(frozen=True)
class Dataset:
    """Images and their labels, apart for training and for the final test."""

    train: Arrays
    test: Arrays
    notes: tuple[str, ...] = ()
    """What people should know of how the files were taken."""


def load(name: str, datasets: Path, as_found: bool = False) -> Dataset:
    """Read the data set ``name``, fetching it first if need be.

    Args:
        name: One of ``DATASETS``.
        datasets: The folder of the data sets.
        as_found: Take pictures of 0 to 1 as they are, as version 0.1 did: for jobs that it began.

    Raises:
        DataUnavailable: it is not there and cannot be fetched, or is damaged, or holds what cannot be trained on;
            the message says where and what to do.
        StorageFull: it was fetched, but the data directory takes no writes.
    """
    if name not in DATASETS:
        raise DataUnavailable(f"There is no data set {name!r}; there are {', '.join(DATASETS)}.")
    if name == "mnist-5k":
        x_train, y_train, x_test, y_test = _builtin()
        return Dataset(Arrays(x_train, y_train), Arrays(x_test, y_test))  # its sha256 says all about it
    parts, origin = _local(name, datasets) or _fetched_once(name, datasets)
    return _taken(name, dict(zip(_NAMES, parts, strict=True)), origin, as_found)


def _taken(name: str, parts: dict[str, NDArray[Any]], origin: str, as_found: bool) -> Dataset:
    info = DATASETS[name]
    for side, count in (("train", info.train_samples), ("test", info.test_samples)):
        x, y = f"x_{side}", f"y_{side}"
        parts[x] = _pictures(parts[x], count, f"{x} of {origin}")
        labels = classes_of(parts[y], CLASSES, f"in {y} of {origin}")
        if labels.shape != (count,):
            raise DataUnavailable(f"{y} of {origin} has the shape {parts[y].shape}; right is ({count},).")
        parts[y] = labels
    notes = () if as_found else _scaled(parts, origin)
    return Dataset(Arrays(parts["x_train"], parts["y_train"]), Arrays(parts["x_test"], parts["y_test"]), notes)


def _pictures(x: NDArray[Any], count: int, what: str) -> NDArray[Any]:
    refuse_other_kinds(x, f"The pictures in {what}")
    alike = [(count, 28, 28), (count, 28, 28, 1), (count, 1, 28, 28), (count, 784)]
    if x.dtype.kind == "c" or x.shape not in alike:
        raise DataUnavailable(
            f"{what} has the shape {x.shape} ({x.dtype.name}); right is ({count}, 28, 28): {count:,} pictures of "
            f"28 x 28 bytes. ({count}, 28, 28, 1) and ({count}, 784) are taken too."
        )
    refuse_what_is_not_finite(x, f"The pictures in {what}")
    return x.reshape(count, 28, 28)


def _scaled(parts: dict[str, NDArray[Any]], origin: str) -> tuple[str, ...]:
    """Make pictures of 0 to 1 the bytes that they were, in place; what is said about their range."""
    (low, high), (test_low, test_high) = (_range(parts[name]) for name in ("x_train", "x_test"))
    small, test_small = low >= 0 and high <= 1, test_low >= 0 and test_high <= 1
    if small != test_small:
        raise DataUnavailable(
            f"x_train of {origin} holds values from {low:g} to {high:g}, x_test from {test_low:g} to {test_high:g}. "
            "Both must be made in the same way: bytes, 0 to 255."
        )
    if small and high > 0:
        for name in ("x_train", "x_test"):
            parts[name] = _times_255(parts[name])
        why = "since the models (exported ones too) expect 0 to 255"
        return (f"the pictures of {origin} hold values from 0 to 1: they are taken times 255, {why}",)
    if low < 0 or high > 255:
        held = f"the pictures of {origin} hold values from {low:g} to {high:g}"
        return (f"{held}, but the models expect 0 to 255; they are taken as they are",)
    return ()


def _range(x: NDArray[Any]) -> tuple[float, float]:
    return (0.0 if x.dtype.kind in "ub" else float(x.min())), float(x.max())


def _times_255(x: NDArray[Any]) -> NDArray[Any]:
    """Bytes where bytes were divided by 255: the same bits are trained on then as if they had never been."""
    whole = np.empty(x.shape, np.uint8)
    for piece, out in zip(np.array_split(x, 100), np.array_split(whole, 100), strict=True):  # stays in the CPU's cache
        scaled = piece.astype(np.float32) * np.float32(255)
        rounded = np.rint(scaled)
        if np.abs(scaled - rounded).max(initial=0) > _DIVIDED:
            return x.astype(np.float32) * np.float32(255)
        out[...] = rounded
    return whole


def _builtin() -> list[NDArray[Any]]:
    try:
        content = _BUILTIN.read_bytes()
    except OSError as exc:
        raise DataUnavailable(f"{_BUILTIN} is missing; install Keepfit again.") from exc
    if hashlib.sha256(content).hexdigest() != _BUILTIN_SHA256:
        raise DataUnavailable(f"{_BUILTIN} is damaged (its sha256 differs); install Keepfit again.")
    return read_npz(_BUILTIN, _NAMES)


def _local(name: str, datasets: Path) -> tuple[list[NDArray[Any]], str] | None:
    """What lies in the data directory, and the words for it; None if nothing does, or it was fetched and is damaged."""
    folder, single = datasets / name, datasets / f"{name}.npz"
    missing = [file for file in _IDX.values() if not (folder / file).is_file()]
    try:
        if not missing:
            return [read_idx(folder / _IDX[part]) for part in _NAMES], f"{folder.name}/"
        if single.is_file():
            return read_npz(single, _NAMES), single.name
        if len(missing) < len(_IDX):
            raise DataUnavailable(f"{folder.name}/ lacks {', '.join(missing)}. Put all four files there, or none.")
    except DataUnavailable as exc:
        if missing and _mark(single).exists():
            single.replace(single.with_name(f"{single.name}.damaged"))  # not removed: a person may have put it there
            _mark(single).unlink()
            return None
        raise DataUnavailable(f"The files of {name} under {datasets} cannot be read: {exc}") from exc
    return None


def _mark(path: Path) -> Path:
    """A file beside a data set that was fetched: damaged, it is fetched again. What people put there never is."""
    return path.with_name(f"{path.name}.fetched")


def _fetched_once(name: str, datasets: Path) -> tuple[list[NDArray[Any]], str]:
    """Fetch; of several jobs that want to at the same time, one does, and the others take what it has kept."""
    try:
        datasets.mkdir(parents=True, exist_ok=True)
        lock = (datasets / f".{name}.lock").open("w")
    except OSError as exc:
        raise StorageFull(f"{datasets} takes no writes ({exc.strerror}), so no data set can be fetched.") from exc
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _local(name, datasets) or (_fetched(name, datasets), f"the fetched {name}")


def _fetched(name: str, datasets: Path) -> list[NDArray[Any]]:
    import keras

    source = {"mnist": keras.datasets.mnist, "fashion-mnist": keras.datasets.fashion_mnist}[name]
    try:
        if name == "fashion-mnist":
            _fetch_checked()
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


def _fetch_checked() -> None:
    """Have the files of Fashion-MNIST where Keras looks for them, each with its sha256: damaged ones anew."""
    import keras

    for part, sha256 in _FASHION_SHA256.items():
        folder = os.path.join("datasets", "fashion-mnist")  # noqa: PTH118 - as Keras has it, relative to its own
        keras.utils.get_file(_IDX[part], _STORAGE + _IDX[part], file_hash=sha256, cache_subdir=folder)


def _keep(arrays: dict[str, NDArray[Any]], path: Path) -> None:
    temp = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temp.open("xb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type] # its other keyword is allow_pickle
            file.flush()
            os.fsync(file.fileno())
        _mark(path).touch()
        temp.replace(path)
    except OSError as exc:
        temp.unlink(missing_ok=True)
        raise StorageFull(f"{path.parent} takes no writes ({exc.strerror}), so the data set cannot be kept.") from exc
