"""What is looked at in data before the first step, in every part that a job will use. Knows no files.

    check_parts({"training": train, "test": test})          # kinds and lengths, the fault by part
    check_numbers(parts)                                    # NaN and infinity, by part, place and value
    check_labels_for(model, parts)                          # the classes that the model's loss can take
    classes_of(labels, 10, "in y_train")                    # class numbers: whole floats and one-hot rows are taken

Each fault is a DataUnavailable that says where it is and what to do. Samples are counted from 0.
"""

import mmap
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from keepfit.shared.errors import DataUnavailable

Array = NDArray[Any]

_PIECE_BYTES = 16 << 20
_MOST_NAMED = 12
_NUMBERS = "biufcV"
"""Kinds of types that hold numbers; V: those that NumPy does not know, such as bfloat16."""
_ROLES = ("inputs", "targets", "sample weights")


def check_parts(parts: Mapping[str, Any]) -> None:
    """Refuse parts (``Arrays`` by name) that are empty, of unequal lengths, no numbers, or not finite."""
    for part, arrays in parts.items():
        named = list(_named(arrays))
        for role, array in named:
            refuse_other_kinds(array, f"The {role} of the {part} part")
            if not array.ndim:
                raise DataUnavailable(f"The {role} of the {part} part is a single value, not an array of samples.")
        lengths = {role: len(array) for role, array in named}
        if len(set(lengths.values())) != 1:
            said = ", ".join(f"{count:,} {role}" for role, count in lengths.items())
            raise DataUnavailable(f"The {part} part must have as many of each as there are samples; it has {said}.")
        if not all(lengths.values()):
            raise DataUnavailable(f"The {part} part is empty: it holds no sample.")


def check_numbers(parts: Mapping[str, Any]) -> None:
    """Refuse parts that hold NaN or infinity. Reads every float of them."""
    for part, arrays in parts.items():
        for role, array in _named(arrays):
            refuse_what_is_not_finite(array, f"The {role} of the {part} part")


def refuse_other_kinds(array: Array, what: str) -> None:
    """Refuse text and Python objects."""
    if array.dtype.kind in "OV" and array.dtype.hasobject:
        raise DataUnavailable(f"{what} are Python objects. They must be numbers in one array of one type.")
    if array.dtype.kind not in _NUMBERS:
        first = str(array.flat[0])[:40] if array.size else ""
        raise DataUnavailable(
            f"{what} are {array.dtype.name} (the first is {first!r}), not numbers. "
            "numpy.unique(names, return_inverse=True)[1] numbers the classes of a list of names."
        )


def refuse_what_is_not_finite(array: Array, what: str) -> None:
    """Refuse NaN and infinity, also what becomes infinite in the type that Keras computes with."""
    for first, piece in _pieces(array):
        if not _finite(piece):
            at = np.argwhere(~_good(piece))[0]
            value = piece[tuple(at)]
            place = f", position ({', '.join(str(i) for i in at[1:])})" if len(at) > 1 else ""
            raise DataUnavailable(
                f"{what} hold {value} at sample {first + int(at[0]):,} (counted from 0){place}. Each value must be a "
                f"finite number{'' if not np.isfinite(value) else ' of ' + keras.config.floatx()}: leave that sample "
                "out, or fill the value in."
            )


def check_labels_for(model: Any, parts: Mapping[str, Any]) -> None:
    """Refuse labels that the model's sparse losses cannot take: they would be NaN on some devices, errors on others."""
    for part, arrays in parts.items():
        for role, labels, loss, output in _targets(model, arrays.y):
            if not _is_sparse(loss) or getattr(loss, "ignore_class", None) is not None:
                continue
            classes, shape = output.shape[-1], (len(labels), *output.shape[1:])
            if labels.shape == shape and classes and classes > 1:
                raise DataUnavailable(
                    f"The {role} of the {part} part are rows of {classes} values, but a sparse loss takes one class "
                    "number for each sample: labels.argmax(-1) gives them."
                )
            if classes:
                check_labels(labels, classes, f"of the {part} part")


def classes_of(labels: Array, classes: int, where: str) -> Array:
    """``labels`` as one class number a sample. A column, whole floats and one-hot rows are taken, else refused."""
    refuse_other_kinds(labels, f"The labels {where}")
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2:
        one = np.count_nonzero(labels == 1, axis=1) == 1
        good = one & (np.count_nonzero(labels, axis=1) == 1)
        if labels.shape[1] != classes or not good.all():
            row = int(np.argmin(good))
            raise DataUnavailable(
                f"The labels {where} have the shape {labels.shape}; right is ({len(labels)},), a class from 0 to "
                f"{classes - 1} for each sample, or ({len(labels)}, {classes}), one-hot: 0 but for one 1 in each row"
                + ("." if good.all() else f"; sample {row:,} (counted from 0) is not so.")
            )
        labels = labels.argmax(axis=1)
    if labels.ndim == 1:
        check_labels(labels, classes, where)
    return labels


def check_labels(labels: Array, classes: int, where: str) -> None:
    """Refuse labels that are no classes 0 to ``classes - 1``: by value and place, with what would make them right."""
    refuse_other_kinds(labels, f"The labels {where}")
    refuse_what_is_not_finite(labels, f"The labels {where}")
    if not labels.size:
        return
    if labels.dtype.kind == "f" and (broken := labels != np.floor(labels)).any():
        at = np.argwhere(broken)[0]
        raise DataUnavailable(
            f"The labels {where} are no classes: sample {int(at[0]):,} (counted from 0) has {labels[tuple(at)]}. "
            f"Classes are whole numbers, here 0 to {classes - 1}."
        )
    outside = (labels < 0) | (labels >= classes)
    if outside.any():
        at = np.argwhere(outside)[0]
        found = np.unique(labels)
        raise DataUnavailable(
            f"The labels {where} are {_in_words(found)}, but there are {classes} classes, numbered 0 to {classes - 1}: "
            f"sample {int(at[0]):,} (counted from 0) has {labels[tuple(at)]:g}. {_advice(found, classes)}"
        )


def _advice(found: Array, classes: int) -> str:
    if found[0] == 1 and found[-1] == classes:
        return "They start at 1: subtract 1 from each."
    if len(found) > classes:
        return f"That is {len(found)} different labels, more than the {classes} classes that the model tells apart."
    return "Number the classes from 0 without gaps: numpy.unique(labels, return_inverse=True)[1] does it."


def _in_words(found: Array) -> str:
    """``1 to 10``, or ``1, 3, 7``."""
    if len(found) > 2 and found[-1] - found[0] == len(found) - 1:
        return f"{found[0]:g} to {found[-1]:g}"
    if len(found) > _MOST_NAMED:
        return f"{len(found):,} different ones from {found[0]:g} to {found[-1]:g}"
    return ", ".join(f"{value:g}" for value in found)


def _named(arrays: Any) -> Iterator[tuple[str, Array]]:
    for role, nest in zip(_ROLES, (arrays.x, arrays.y, arrays.sample_weight), strict=True):
        for path, leaf in keras.tree.flatten_with_path(nest):
            if leaf is not None:
                yield " ".join([role, *(repr(key) for key in path)]), np.asanyarray(leaf)


def _targets(model: Any, y: Any) -> Iterator[tuple[str, Array, Any, Any]]:
    """Labels, loss and output that belong together; nothing where that cannot be told."""
    outputs, losses = getattr(model, "outputs", None), getattr(model, "loss", None)
    if not outputs or losses is None or y is None:
        return
    if isinstance(y, dict):
        names = list(model.output_names)
        for key, labels in y.items():
            loss = losses.get(key) if isinstance(losses, dict) else losses
            if key in names:
                yield f"targets {key!r}", np.asanyarray(labels), loss, outputs[names.index(key)]
        return
    labels, each = tf.nest.flatten(y), tf.nest.flatten(losses)
    each = each * len(outputs) if len(each) == 1 else each
    if len(labels) == len(each) == len(outputs) and not isinstance(losses, dict):
        for array, loss, output in zip(labels, each, outputs, strict=True):
            yield "targets", np.asanyarray(array), loss, output


def _is_sparse(loss: Any) -> bool:
    sparse = keras.losses.SparseCategoricalCrossentropy, keras.losses.sparse_categorical_crossentropy
    return loss == "sparse_categorical_crossentropy" or isinstance(loss, sparse[0]) or loss is sparse[1]


def _pieces(array: Array) -> Iterator[tuple[int, Array]]:
    """The floats of ``array`` a few megabytes at a time; a mapped file's pages are given back."""
    if array.dtype.kind not in "fcV" or not array.size:
        return
    rows = max(1, _PIECE_BYTES // max(1, array.nbytes // len(array)))
    for first in range(0, len(array), rows):
        yield first, array[first : first + rows]
        mapping = getattr(array, "_mmap", None)
        if mapping is not None and hasattr(mmap, "MADV_DONTNEED"):
            mapping.madvise(mmap.MADV_DONTNEED)


def _finite(piece: Array) -> bool:
    """Whether all of ``piece`` is finite. Its sum tells that faster, unless it overflows."""
    if piece.dtype == np.float32:
        with np.errstate(over="ignore", invalid="ignore"):
            if np.isfinite(piece.sum()):
                return True
    return bool(_good(piece).all())


def _good(piece: Array) -> Any:
    if piece.dtype == np.float64 and keras.config.floatx() != "float64":
        with np.errstate(invalid="ignore"):
            return np.abs(piece) <= np.finfo(np.float32).max
    return np.isfinite(piece)
