"""A platform that serves workers, and peers of it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from strait.clock import VirtualClock
from support.handlers import Handlers
from support.world import World
from support.world import world as a_world

from .peer import Peers, connecting

# Long enough that nobody's lease ends by itself within a test.
LEASE_SECS = 60.0


@pytest.fixture
async def served(handlers: Handlers) -> AsyncIterator[World]:
    """A platform on real time to which workers connect."""
    async with a_world(handlers, grpc_port=0, worker_lease_secs=LEASE_SECS) as made:
        yield made


@pytest.fixture
async def connect(served: World) -> AsyncIterator[Peers]:
    """Make a stream to the platform, with its key or with what is given."""
    async with connecting(served.server.grpc_addr, served.key) as peers:
        yield peers


@pytest.fixture
async def still(handlers: Handlers) -> AsyncIterator[World]:
    """A platform whose time moves only by `pass_time`."""
    async with a_world(handlers, clock=VirtualClock(), grpc_port=0) as made:
        yield made


@pytest.fixture
async def join(still: World) -> AsyncIterator[Peers]:
    """Make a stream to that platform."""
    async with connecting(still.server.grpc_addr, still.key) as peers:
        yield peers
