"""Fixtures of the server's tests, beside those that all rooms share."""

from __future__ import annotations

import pytest

from support.workflows import Flows
from support.world import World


@pytest.fixture
def flows(world: World) -> Flows:
    """Workflows on real time."""
    return Flows(world)


@pytest.fixture
def still(virtual: World) -> Flows:
    """Workflows in a world whose time moves only by `still.world.pass_time`."""
    return Flows(virtual)
