"""What a job can be searched, sorted and compared by: every setting of its spec, every metric of its epochs and end.

    settings_of(spec)              # {"training.learning_rate": 0.01, "data.name": "mnist-5k", ...}
    metrics_of(result, epochs)     # {"val_loss": Metric(last=0.3, least=0.2, most=0.9), "test_loss": ...}

Knows no setting and no metric by name, and no task: whether the least or the most is the best of a metric is for those
to know who ask. Pure but for ``read_details``.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from keepfit.shared.errors import DamagedFile
from keepfit.shared.jobs.directory import JobDir
from keepfit.web.jobs.curves import read_epochs

MOST = 200
"""Settings of one job, and metrics: a spec is a few kilobytes, but anybody may write one."""
LONGEST = 200
"""Characters of a setting's text."""
NOT_SEARCHED = frozenset({"version", "name", "kind"})
"""Fields of a spec that the record has too, or that say nothing about the job."""

Value = float | str


@dataclass(frozen=True)
class Metric:
    """One metric over the epochs of a job that count."""

    last: float
    least: float
    most: float


@dataclass(frozen=True)
class Details:
    """The settings and metrics of one job."""

    settings: Mapping[str, Value] = field(default_factory=dict)
    metrics: Mapping[str, Metric] = field(default_factory=dict)


def read_details(jobdir: JobDir, result: Mapping[str, Any], keep: bool) -> Details:
    """The details of a job; ``keep``: it will be read again soon, and then only what was added."""
    try:
        spec = jobdir.job.spec
    except DamagedFile:
        spec = {}
    return Details(settings_of(spec), metrics_of(result, (point.logs for point in read_epochs(jobdir, keep))))


def settings_of(spec: Mapping[str, Any]) -> dict[str, Value]:
    """The settings in a spec, each by its path; what is not set is left out, true and false are 1 and 0."""
    found: dict[str, Value] = {}
    for name, value in spec.items():
        if name not in NOT_SEARCHED:
            for path, leaf in _leaves(name, value):
                if len(found) < MOST:
                    found[path] = leaf
    return found


def metrics_of(result: Mapping[str, Any], epochs: Iterable[Mapping[str, float]]) -> dict[str, Metric]:
    """The metrics of a job: of its epochs as they are called there, of its end as ``test_...``."""
    found: dict[str, Metric] = {}
    for logs in epochs:
        for name, value in logs.items():
            if math.isfinite(value) and (name in found or len(found) < MOST):
                before = found.get(name, Metric(value, value, value))
                found[name] = Metric(value, min(before.least, value), max(before.most, value))
    metrics = result.get("metrics")
    for name, value in metrics.items() if isinstance(metrics, Mapping) else ():
        if (number := _number(value)) is not None:
            found[f"test_{name}"] = Metric(number, number, number)
    return found


def _leaves(path: str, value: object) -> Iterator[tuple[str, Value]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(f"{path}.{name}", inner)
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _leaves(f"{path}.{place}", inner)
    elif isinstance(value, str):
        yield path, value[:LONGEST]
    elif (number := _number(value)) is not None:
        yield path, number


def _number(value: object) -> float | None:
    if not isinstance(value, bool | int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
