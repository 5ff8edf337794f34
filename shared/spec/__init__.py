"""What a job is asked to do, as versioned pydantic models. The shape of every field is checked here and only here.

spec = parse_spec({"kind": "train", "name": "first", "data": {"name": "mnist-5k"}, ...})
spec.model_dump(mode="json")
"""

from keepfit.shared.spec.data import DataSpec
from keepfit.shared.spec.job import (
    DEFAULT_KIND,
    KINDS,
    READS,
    EvaluateSpec,
    JobSpec,
    Kind,
    Needs,
    Parent,
    TrainSpec,
    kind_named,
    needs_of,
    parents_of,
    parse_spec,
    refused,
    spec_digest,
)
from keepfit.shared.spec.model import ModelSpec
from keepfit.shared.spec.reference import Reference
from keepfit.shared.spec.training import EarlyStoppingSpec, ReduceLRSpec, TrainingSpec
from keepfit.shared.spec.values import printable

__all__ = [
    "DEFAULT_KIND",
    "KINDS",
    "READS",
    "DataSpec",
    "EarlyStoppingSpec",
    "EvaluateSpec",
    "JobSpec",
    "Kind",
    "ModelSpec",
    "Needs",
    "Parent",
    "ReduceLRSpec",
    "Reference",
    "TrainSpec",
    "TrainingSpec",
    "kind_named",
    "needs_of",
    "parents_of",
    "parse_spec",
    "printable",
    "refused",
    "spec_digest",
]
