"""What the tests of pages share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from strait import Client


@pytest.fixture
def names() -> Iterator[dict[str, Any]]:
    """The names of a page's program; clients among them are closed in the end."""
    made: dict[str, Any] = {}
    yield made
    for value in made.values():
        if isinstance(value, Client):
            value.close()
