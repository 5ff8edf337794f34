"""What a job is asked to do, as versioned pydantic models. Every field is checked here and only here.

spec = parse_spec({"kind": "train", "name": "first", "data": {"name": "mnist-5k"}, ...})
spec.model_dump(mode="json")
"""

from keepfit.shared.spec.data import DATASETS, DatasetInfo, DataSpec
from keepfit.shared.spec.job import (
    KINDS,
    NEWER,
    READS,
    EvaluateSpec,
    JobSpec,
    Needs,
    TrainSpec,
    needs_of,
    parse_spec,
    spec_digest,
)
from keepfit.shared.spec.model import MODELS, ModelInfo, ModelSpec
from keepfit.shared.spec.training import EarlyStoppingSpec, ReduceLRSpec, TrainingSpec
from keepfit.shared.spec.values import printable

__all__ = [
    "DATASETS",
    "KINDS",
    "MODELS",
    "NEWER",
    "READS",
    "DataSpec",
    "DatasetInfo",
    "EarlyStoppingSpec",
    "EvaluateSpec",
    "JobSpec",
    "ModelInfo",
    "ModelSpec",
    "Needs",
    "ReduceLRSpec",
    "TrainSpec",
    "TrainingSpec",
    "needs_of",
    "parse_spec",
    "printable",
    "spec_digest",
]
