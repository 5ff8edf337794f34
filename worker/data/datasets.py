"""The data of a card: where its files are looked for, and what is taken from them.

    data = load(card, datasets_dir)         # Dataset(train=Arrays, test=Arrays, notes=())

What needs no network lies beside this file. The rest is looked for in the data directory first (gzipped IDX files in
a folder of the data set's name, or one ``.npz``), then fetched from where the card says, each file checked. The models
take bytes, 0 to 255, and class numbers; what means the same is taken as that, and said.
"""

import fcntl
import hashlib
import math
import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.shared.catalog.cards import DatasetCard
from keepfit.shared.errors import DataUnavailable, StorageFull
from keepfit.shared.reasons import Code, Reason
from keepfit.worker.data.arrayfiles import read_idx, read_npz
from keepfit.worker.data.intake import classes_of, refuse_other_kinds, refuse_what_is_not_finite
from keepfit.worker.training.program import Arrays

_BUILTIN = Path(__file__).parent / "builtin"
_NAMES = ("x_train", "y_train", "x_test", "y_test")
_IDX = {
    "x_train": "train-images-idx3-ubyte.gz",
    "y_train": "train-labels-idx1-ubyte.gz",
    "x_test": "t10k-images-idx3-ubyte.gz",
    "y_test": "t10k-labels-idx1-ubyte.gz",
}
_BYTES = (0.0, 255.0)
_DIVIDED = 0.1
"""How far from a whole number a byte may be after it was divided by 255, kept in 16 bits, and multiplied again."""


@dataclass(frozen=True)
class Dataset:
    """Images and their labels, apart for training and for the final test."""

    train: Arrays
    test: Arrays
    notes: tuple[str, ...] = ()
    """What people should know of how the files were taken."""


def load(card: DatasetCard, datasets: Path, as_found: bool = False) -> Dataset:
    """Read the data set of ``card``, fetching it first if need be.

    Args:
        card: What it is, and what its files must be.
        datasets: The folder of the data sets.
        as_found: Take pictures of 0 to 1 as they are, as version 0.1 did: for jobs that it began.

    Raises:
        DataUnavailable: it is not there and cannot be fetched, or is damaged, or holds what cannot be trained on;
            the message says where and what to do.
        StorageFull: it was fetched, but the data directory takes no writes.
    """
    if not card.needs_network:
        x_train, y_train, x_test, y_test = _builtin(card)
        return Dataset(Arrays(x_train, y_train), Arrays(x_test, y_test))  # its sha256 says all about it
    parts, origin = _local(card.name, datasets) or _fetched_once(card, datasets)
    return _taken(card, dict(zip(_NAMES, parts, strict=True)), origin, as_found)


def _taken(card: DatasetCard, parts: dict[str, NDArray[Any]], origin: str, as_found: bool) -> Dataset:
    for side, count in (("train", card.train.samples), ("test", card.test.samples)):
        x, y = f"x_{side}", f"y_{side}"
        parts[x] = _pictures(parts[x], (count, *card.inputs.shape), f"{x} of {origin}")
        labels = classes_of(parts[y], len(card.classes), f"in {y} of {origin}")
        if labels.shape != (count,):
            raise DataUnavailable(f"{y} of {origin} has the shape {parts[y].shape}; right is ({count},).")
        parts[y] = labels
    notes = () if as_found or card.value_range != _BYTES else _scaled(parts, origin)
    return Dataset(Arrays(parts["x_train"], parts["y_train"]), Arrays(parts["x_test"], parts["y_test"]), notes)


def _pictures(x: NDArray[Any], wanted: tuple[int, ...], what: str) -> NDArray[Any]:
    refuse_other_kinds(x, f"The pictures in {what}")
    count, *shape = wanted
    alike = [wanted, (*wanted, 1), (count, 1, *shape), (count, math.prod(shape))]
    if x.dtype.kind == "c" or x.shape not in alike:
        raise DataUnavailable(
            f"{what} has the shape {x.shape} ({x.dtype.name}); right is {wanted}: {count:,} pictures of "
            f"{' x '.join(map(str, shape))} bytes. {alike[1]} and {alike[3]} are taken too."
        )
    refuse_what_is_not_finite(x, f"The pictures in {what}")
    return x.reshape(wanted)


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


def _builtin(card: DatasetCard) -> list[NDArray[Any]]:
    path = _BUILTIN / f"{card.name}.npz"
    try:
        content = path.read_bytes()
    except OSError as exc:
        raise DataUnavailable(f"{path} is missing; install Keepfit again.") from exc
    if hashlib.sha256(content).hexdigest() != card.content.get(path.name):
        raise DataUnavailable(f"{path} is damaged (its sha256 differs); install Keepfit again.")
    return read_npz(path, _NAMES)


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


def _fetched_once(card: DatasetCard, datasets: Path) -> tuple[list[NDArray[Any]], str]:
    """Fetch; of several jobs that want to at the same time, one does, and the others take what it has kept."""
    try:
        datasets.mkdir(parents=True, exist_ok=True)
        lock = (datasets / f".{card.name}.lock").open("w")
    except OSError as exc:
        raise StorageFull(f"{datasets} takes no writes ({exc.strerror}), so no data set can be fetched.") from exc
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _local(card.name, datasets) or (_fetched(card, datasets), f"the fetched {card.name}")


def _fetched(card: DatasetCard, datasets: Path) -> list[NDArray[Any]]:
    try:
        parts = _read(_files_of(card))
    except Exception as exc:  # the downloader raises whatever its transport does
        files = ", ".join(_IDX.values())
        why = Reason.of(Code.NOT_FETCHED, title=card.title, files=files, folder=str(datasets / card.name))
        raise DataUnavailable(why) from exc
    _keep(dict(zip(_NAMES, parts, strict=True)), datasets / f"{card.name}.npz")
    return parts


def _files_of(card: DatasetCard) -> dict[str, Path]:
    """The files of the card where Keras keeps what it fetches, each with the sha256 of the card: damaged ones anew."""
    import keras

    single = len(card.content) == 1
    folder = "datasets" if single else os.path.join("datasets", card.name)  # noqa: PTH118 - relative to Keras' own
    return {
        name: Path(keras.utils.get_file(name, card.fetched_from + name, file_hash=sha256, cache_subdir=folder))
        for name, sha256 in card.content.items()
    }


def _read(files: dict[str, Path]) -> list[NDArray[Any]]:
    if set(files) == set(_IDX.values()):
        return [read_idx(files[_IDX[part]]) for part in _NAMES]
    (archive,) = files.values()
    return read_npz(archive, _NAMES)


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
