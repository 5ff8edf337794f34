"""The models that a job can name. Knows their names; ``worker.models.presets`` builds them."""

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

ModelName = Literal["mlp", "cnn"]


@dataclass(frozen=True)
class ModelInfo:
    """What people read about a model before they choose it."""

    title: str
    description: str


MODELS: dict[str, ModelInfo] = {
    "mlp": ModelInfo("MLP", "Flatten, Dense 128 relu, Dense 10 softmax"),
    "cnn": ModelInfo("Small CNN", "two convolutions with pooling, Dropout, Dense 10 softmax"),
}


class ModelSpec(BaseModel):
    """Which model a job trains."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ModelName = Field("mlp", title="Model")
