"""A running service for the tests of the launcher, the command and the client."""

from collections.abc import Iterator

import pytest

from tests.harness.processes import Household
from tests.harness.services import Service


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that is ready; shared by the tests that leave it as it was, or that it must survive."""
    directory = tmp_path_factory.mktemp("service")
    with Household(directory / "household") as household:
        yield Service(household, directory / "data", "--drills")
