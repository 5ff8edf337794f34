"""Fixtures for training: TensorFlow set up once, as a worker's child does it."""

import pytest

from keepfit.worker.training import bits


@pytest.fixture(scope="session", autouse=True)
def two_threads() -> None:
    """Bits depend on the number of threads, so every test and every process they start computes with two."""
    bits.configure(2)
