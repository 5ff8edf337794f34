"""Fixtures for all tests: one real Valkey server, clean for each test, and real processes on top of it."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from keepfit.shared.settings import Settings
from keepfit.shared.store import Store, keys, open_store
from tests.harness.processes import Household, Valkey
from tests.harness.tiers import (  # noqa: F401  hooks and a fixture for all tests
    nothing_heavy_is_loaded,
    pytest_addoption,
    pytest_collection_modifyitems,
    pytest_ignore_collect,
)

os.environ["LC_ALL"] = "C.UTF-8"  # tests read English, whatever the terminal speaks in which they run


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """The Valkey server that all tests of this run share."""
    with Valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
def valkey_url(valkey: Valkey) -> Iterator[str]:
    """The URL of an empty server; afterwards every key on it must be one that keys.py documents."""
    client = redis.Redis.from_url(valkey.url, decode_responses=True)
    client.flushall()
    yield valkey.url
    undocumented = [key for key in client.scan_iter() if not _documented(key)]
    client.close()
    assert not undocumented, f"keys that shared/store/keys.py does not document: {undocumented}"


def _documented(key: str) -> bool:
    """Whether the table in keys.py has a row for ``key``; the broker's own keys are kombu's affair."""
    names = re.findall(r"^\| (\S+)", keys.__doc__ or "", re.MULTILINE)
    patterns = [re.sub(r"<\w+>", ".+", name) for name in names]
    return any(re.fullmatch(p, key) for p in [*patterns, r"_kombu\..*", r"unacked.*"])


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """An empty data directory."""
    path = tmp_path / "data"
    path.mkdir()
    return path


@pytest.fixture
def settings(data_dir: Path, valkey_url: str) -> Settings:
    """Settings for this test's data directory and server."""
    return Settings(data_dir=data_dir, redis_url=valkey_url)


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    """The store on this test's server."""
    store = open_store(settings.broker_url)
    yield store
    store.close()


@pytest.fixture
def household(tmp_path: Path) -> Iterator[Household]:
    """Starts real processes, and makes sure that none of them outlives the test."""
    with Household(tmp_path / "household") as household:
        yield household
