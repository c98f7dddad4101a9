"""One platform for the tests that do not kill it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from strait import Client
from tests.e2e.platform import running

TARGET = "tests/e2e/target.py"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a platform that hosts the handlers of `target.py`."""
    database: Path = tmp_path_factory.mktemp("e2e") / "dev.db"
    with running(database, TARGET) as platform, platform.client() as client:
        yield client


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A file in which handlers write what they did, whoever is alive to see it."""
    path = tmp_path / "journal"
    path.touch()
    return path
