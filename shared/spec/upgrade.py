"""Specs of older versions in today's form: one numbered function for each step between versions, only ever added to.

    raw = upgraded(raw)                     # decoded JSON; what is no spec stays what it is

A kept spec is never rewritten: it is read so, and the digest of a job stays the one that was stored with it.
"""

from collections.abc import Callable, Mapping
from typing import Any

Raw = Mapping[str, Any]


def from_1(spec: Raw) -> Raw:
    """Version 2 names data and model by id as well. Version 1 had names only, and these where none was said."""
    spec = {**spec, "version": 2}
    filled = {"data": "mnist-5k"} | ({"model": "mlp"} if spec.get("kind", "train") == "train" else {})
    for field, name in filled.items():
        value = spec.get(field, {})
        spec[field] = {"name": name, **value} if isinstance(value, Mapping) else value
    return spec


STEPS: Mapping[int, Callable[[Raw], Raw]] = {1: from_1}
"""What makes a spec of each version one of the next."""


def upgraded(spec: Raw) -> Raw:
    """``spec`` in the newest form that can be made of it."""
    while (step := STEPS.get(_version(spec))) is not None:
        spec = step(spec)
    return spec


def _version(spec: Raw) -> int:
    version = spec.get("version")
    return version if type(version) is int else 0  # JSON's true is not 1
