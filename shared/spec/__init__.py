"""What a job is asked to do, as versioned pydantic models. Every field is checked here and only here.

spec = parse_spec({"kind": "train", "name": "first", "data": {"name": "mnist-5k"}, ...})
spec.model_dump(mode="json")
"""

from keepfit.shared.spec.data import DATASETS, DatasetInfo, DataSpec
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
    spec_digest,
)
from keepfit.shared.spec.model import MODELS, ModelInfo, ModelSpec
from keepfit.shared.spec.training import EarlyStoppingSpec, ReduceLRSpec, TrainingSpec
from keepfit.shared.spec.values import printable

__all__ = [
    "DATASETS",
    "DEFAULT_KIND",
    "KINDS",
    "MODELS",
    "READS",
    "DataSpec",
    "DatasetInfo",
    "EarlyStoppingSpec",
    "EvaluateSpec",
    "JobSpec",
    "Kind",
    "ModelInfo",
    "ModelSpec",
    "Needs",
    "Parent",
    "ReduceLRSpec",
    "TrainSpec",
    "TrainingSpec",
    "kind_named",
    "needs_of",
    "parents_of",
    "parse_spec",
    "printable",
    "spec_digest",
]
