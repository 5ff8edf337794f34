"""The data sets that a job can name. Knows their names and sizes, not how they are read."""

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

DatasetName = Literal["mnist-5k", "mnist", "fashion-mnist"]


@dataclass(frozen=True)
class DatasetInfo:
    """What people read about a data set before they choose it."""

    title: str
    description: str
    train_samples: int
    test_samples: int
    builtin: bool


DATASETS: dict[str, DatasetInfo] = {
    "mnist-5k": DatasetInfo("MNIST 5k", "5,000 handwritten digits, built in, no network needed", 4000, 1000, True),
    "mnist": DatasetInfo("MNIST", "70,000 handwritten digits, fetched on first use", 60000, 10000, False),
    "fashion-mnist": DatasetInfo(
        "Fashion-MNIST", "70,000 pictures of clothes, fetched on first use", 60000, 10000, False
    ),
}


class DataSpec(BaseModel):
    """Which data a job works on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: DatasetName = Field("mnist-5k", title="Data set")
