"""The trained model as files for people: ``model.keras`` and ``weights.h5``. Never resume state.

Keras reads a path that ends in ``.weights.h5`` in its new layout and any other ``.h5`` in the old
one, so the weights file holds both, of the same values, and loads whatever it is called after a download.
"""

import contextlib
import hashlib
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from keepfit.shared.checkpoints.disk import Disk
from keepfit.shared.durable import fsync_dir
from keepfit.shared.jobs.directory import AttemptDir
from keepfit.worker.training.failures import disk_refused, reason_of


def export(model: Any, attempt: AttemptDir, disk: Disk) -> dict[str, str]:
    """Write both files. Returns why each one is missing that Keras cannot make of this model.

    Raises:
        OSError: the disk refused; a file is then missing, never half written.
    """
    forms = ((attempt.model, ".keras", model.save), (attempt.weights, ".weights.h5", lambda p: save_weights(model, p)))
    missing = {}
    with _temporary_files_in(attempt.path):
        for target, suffix, save in forms:
            try:
                _write(target, suffix, save, disk)
            except Exception as exc:  # whatever a person's own layers raise; the trained model is in the checkpoint
                if disk_refused(exc):
                    raise
                missing[target.name] = str(reason_of(exc))
    fsync_dir(attempt.path)
    return missing


@contextlib.contextmanager
def _temporary_files_in(folder: Path) -> Iterator[None]:
    """Where Keras makes temporary directories: killed meanwhile, the next attempt finds and removes them."""
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory(prefix=".new-", dir=folder) as own:
        tempfile.tempdir = own
        try:
            yield
        finally:
            tempfile.tempdir = before


def save_weights(model: Any, path: Path) -> None:
    """Write the weights of ``model`` in both layouts of HDF5 that Keras reads.

    With them goes the state of an optimizer that has done nothing yet: Keras warns unless a freshly
    compiled model finds exactly that. Training goes on from checkpoints, not from this file.
    """
    bare = _bare(model)
    bare.save_weights(path)
    with h5py.File(path, "r+") as file:
        _add_old_layout(file, [layer for layer in bare.layers if layer.weights])


def _add_old_layout(file: Any, layers: list[Any]) -> None:
    """Name the values a second time. What is equal in every byte is one dataset under two names: it takes no room."""
    held: dict[tuple[Any, ...], Any] = {}

    def remember(_: str, found: Any) -> None:
        if isinstance(found, h5py.Dataset):
            held[_content(found[()])] = found

    file.visititems(remember)
    file.attrs["layer_names"] = [layer.name.encode() for layer in layers]
    file.attrs["keras_version"], file.attrs["backend"] = keras.version().encode(), b"tensorflow"
    for layer in layers:
        group = file.create_group(layer.name)
        group.attrs["weight_names"] = [weight.path.encode() for weight in layer.weights]
        for weight in layer.weights:
            value = weight.numpy()
            group[weight.path] = held.get(_content(value), value)


def _content(value: Any) -> tuple[Any, ...]:
    array = np.asarray(value)
    return array.dtype, array.shape, hashlib.sha256(array.tobytes()).digest()


def _bare(model: Any) -> Any:
    """A copy of ``model`` with a fresh optimizer; itself where Keras cannot make a copy, but can write its weights."""
    try:
        bare = type(model).from_config(model.get_config())
        bare.set_weights(model.get_weights())
        if model.optimizer is not None:
            bare.compile(type(model.optimizer).from_config(model.optimizer.get_config()))
    except Exception:  # noqa: BLE001 - a Lambda, an unregistered class, no get_config, an own compile: all raise their own
        return model
    return bare


def _write(target: Path, suffix: str, save: Callable[[Path], None], disk: Disk) -> None:
    temp = target.with_name(f".new-{uuid.uuid4().hex[:12]}{suffix}")
    try:
        save(temp)
        with temp.open("rb") as file:
            disk.fsync(file.fileno())
        temp.replace(target)
    finally:
        temp.unlink(missing_ok=True)
