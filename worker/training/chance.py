"""Whether a classifier does better than one that always says the commonest class. Pure.

share = no_better_than_guessing(accuracy=0.098, labels=test.y)      # 0.113: no better; None: better, or no classes
"""

import math
from typing import Any

import numpy as np

_DEVIATIONS = 3
"""How far above the commonest class's share an accuracy must be to count: chance gets there once in 700 times."""
_HARDLY = 0.1
"""The part of what there is to gain over the commonest class's share that still counts as nothing."""
_NAMES = ("accuracy", "sparse_categorical_accuracy", "categorical_accuracy")


def accuracy_in(metrics: dict[str, float], prefix: str = "") -> float | None:
    """The accuracy among ``metrics``, if there is one."""
    return next((metrics[prefix + name] for name in _NAMES if prefix + name in metrics), None)


def no_better_than_guessing(accuracy: float | None, labels: Any, loss: float | None = None) -> float | None:
    """The share of the commonest class if the model is no better than always saying that one; else None.

    That is: its accuracy is within noise of the share, or below it; or it is hardly above it, while its
    cross-entropy is worse than that of one who says each class as often as it occurs.
    """
    classes = _classes(labels)
    if accuracy is None or classes is None:
        return None
    counts = np.unique(classes, return_counts=True)[1]
    if len(counts) < 2:
        return None
    shares = counts / counts.sum()
    share = float(shares.max())
    noise = math.sqrt(share * (1 - share) / len(classes))
    hardly = accuracy <= share + _HARDLY * (1 - share)
    worse = loss is not None and loss > -float((shares * np.log(shares)).sum())
    return share if accuracy <= share + _DEVIATIONS * noise or (hardly and worse) else None


def _classes(labels: Any) -> Any:
    """One class a sample, or None where the labels are something else."""
    if not isinstance(labels, np.ndarray) or labels.dtype.kind not in "biuf" or not labels.size:
        return None
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2 and ((labels == 0) | (labels == 1)).all() and (labels.sum(axis=1) == 1).all():
        labels = labels.argmax(axis=1)
    return labels if labels.ndim == 1 and (labels.dtype.kind != "f" or (labels == np.floor(labels)).all()) else None


def in_words(share: float, samples: int) -> str:
    """What to say then."""
    return (
        f"the model is no better than guessing: always saying the commonest class is right for {share:.1%} of "
        f"{samples:,} samples, and it is hardly for more"
    )
