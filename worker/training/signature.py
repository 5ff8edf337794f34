"""What a model takes and gives, kept with each attempt: so that it can be built again without the data of its training.

    signature = signature_of(model, program.train, made_for=made_for)
    example_of(signature)               # one sample, with which a model is built

Shapes are those of one sample. A model that was written as a class does not say what it gives.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from keepfit.shared.jobs.documents import SignatureFile, TensorSignature
from keepfit.worker.training.program import Arrays
from keepfit.worker.training.source import as_keras_takes_it


def signature_of(model: Any, arrays: Arrays, made_for: Mapping[str, Any]) -> SignatureFile:
    """Of a model that was built for ``arrays``; ``made_for`` is what its builder was told of the data."""
    return SignatureFile(
        inputs=tuple(_tensors(arrays.x)),
        targets=tuple(_tensors(arrays.y)),
        outputs=tuple(
            TensorSignature(name=one.name, shape=tuple(one.shape[1:]), dtype=str(one.dtype))
            for one in getattr(model, "outputs", None) or ()
        ),
        made_for=dict(made_for),
    )


def example_of(signature: SignatureFile) -> tuple[Any, Any]:
    """A batch of one sample, all zeros, in the form of the data of the training."""
    return _nest(signature.inputs), _nest(signature.targets)


def _tensors(nest: Any, at: tuple[str | int, ...] = ()) -> Iterator[TensorSignature]:
    if nest is None:
        return
    if isinstance(nest, Mapping):
        for name, part in nest.items():
            yield from _tensors(part, (*at, name))
    elif isinstance(nest, list | tuple):
        for number, part in enumerate(nest):
            yield from _tensors(part, (*at, number))
    else:
        sample = as_keras_takes_it(np.asarray(nest[:1]))
        name = "/".join(map(str, at))
        yield TensorSignature(name=name, at=at, shape=sample.shape[1:], dtype=str(sample.dtype))


def _nest(tensors: tuple[TensorSignature, ...], depth: int = 0) -> Any:
    if not tensors:
        return None
    if len(tensors[0].at) == depth:
        return np.zeros((1, *(size or 1 for size in tensors[0].shape)), tensors[0].dtype)
    parts: dict[str | int, list[TensorSignature]] = {}
    for tensor in tensors:
        parts.setdefault(tensor.at[depth], []).append(tensor)
    found = {name: _nest(tuple(some), depth + 1) for name, some in parts.items()}
    return [*found.values()] if isinstance(tensors[0].at[depth], int) else found
