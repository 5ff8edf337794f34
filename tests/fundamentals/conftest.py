"""One running Keepfit for all fundamentals, spoken to as a person's program would."""

from collections.abc import Iterator

import pytest

from keepfit.web.client import Client
from tests.harness.processes import Household
from tests.harness.services import Service


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A whole Keepfit, started by `keepfit up`."""
    directory = tmp_path_factory.mktemp("fundamentals")
    with Household(directory / "household") as household:
        yield Service(household, directory / "data", "--drills")


@pytest.fixture
def keepfit(service: Service) -> Iterator[Client]:
    """A client of it."""
    with Client(service.url) as client:
        yield client
