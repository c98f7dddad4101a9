"""Fixtures that several rooms share: an embedded server, with real and with virtual time.

A `World` (`tests/support/world.py`) has the server, a client whose answers are checked against
the API description, and scripted handlers on loopback.
"""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from support.budgets import Budgets

# How long an example takes says nothing here: a busy machine is no failure.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

# A job in the background of a shell ignores it, and so would every process that a test interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

if TYPE_CHECKING:
    from support.handlers import Handlers
    from support.world import World


def pytest_configure(config: pytest.Config) -> None:
    """Have the process that tells the results add up what each suite takes."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Budgets())


@pytest.fixture
async def handlers() -> AsyncIterator[Handlers]:
    """A loopback server whose answers the test scripts."""
    from support.handlers import Handlers

    made = Handlers()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def world(handlers: Handlers) -> AsyncIterator[World]:
    """A server in the test's loop, on real time."""
    from support.world import world

    async with world(handlers) as made:
        yield made


@pytest.fixture
async def virtual(handlers: Handlers) -> AsyncIterator[World]:
    """A server in the test's loop whose time moves only by `pass_time`."""
    from strait.clock import VirtualClock
    from support.world import world

    async with world(handlers, clock=VirtualClock()) as made:
        yield made
