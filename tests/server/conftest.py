"""Fixtures of the server's tests, beside those that all rooms share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from strait.clock import VirtualClock
from strait.server.outside import Outside
from support.handlers import Handlers
from support.workflows import Flows
from support.world import World
from support.world import world as a_world

# Half of the spread of a pause is the pause itself.
STEADY = Outside(chance=lambda: 0.5)


@pytest.fixture
def flows(world: World) -> Flows:
    """Workflows on real time."""
    return Flows(world)


@pytest.fixture
async def steady(handlers: Handlers) -> AsyncIterator[World]:
    """A world whose time moves only by `pass_time`, and whose pauses are not spread."""
    async with a_world(handlers, clock=VirtualClock(), outside=STEADY) as made:
        yield made


@pytest.fixture
def still(virtual: World) -> Flows:
    """Workflows in a world whose time moves only by `still.world.pass_time`."""
    return Flows(virtual)
