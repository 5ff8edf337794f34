"""What a model takes and gives is kept so that it is built the same without its data."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from keepfit.shared.jobs.documents import SignatureFile
from keepfit.worker.training import model_state
from keepfit.worker.training.engine import build, first_batch
from keepfit.worker.training.signature import example_of, signature_of
from tests.training import programs


def variables(model: Any) -> list[tuple[str, tuple[int, ...], str]]:
    """Role, shape and type of all state."""
    return [(slot.role, tuple(slot.variable.shape), str(slot.variable.dtype)) for slot in model_state.slots(model)]


@pytest.mark.parametrize("name", [f"{model}+adam+constant" for model in programs.MODELS])
def test_a_model_built_from_its_signature_has_the_same_state(name: str) -> None:
    """Written as JSON and read again; every kind of model, with one input and with two."""
    program = programs.build(name)
    by_data, by_signature = program.build_model(), program.build_model()
    build(by_data, first_batch(program.train, program.batch_size))
    signature = signature_of(by_data, program.train, {"classes": 4})

    build(by_signature, example_of(SignatureFile.model_validate_json(signature.model_dump_json())))

    assert variables(by_signature) == variables(by_data)
    assert [one.shape for one in signature.outputs] == [(programs.CLASSES,)]
    shapes = [tuple(a.shape[1:]) for a in tf.nest.flatten(program.train.x)]
    assert sorted(one.shape for one in signature.inputs) == sorted(shapes)


def test_nests_come_back_as_they_were() -> None:
    """Names and places of several inputs and targets."""
    zeros = {"a": np.zeros((5, 2), np.float64), "b": [np.zeros(5, np.int32), np.zeros((5, 3), np.uint8)]}
    from keepfit.worker.training.program import Arrays

    x, y = example_of(signature_of(object(), Arrays(zeros), {}))

    assert y is None
    assert [x["a"].shape, x["b"][0].shape, x["b"][1].shape] == [(1, 2), (1,), (1, 3)]
    assert [x["a"].dtype, x["b"][0].dtype, x["b"][1].dtype] == [np.float32, np.int32, np.uint8]
