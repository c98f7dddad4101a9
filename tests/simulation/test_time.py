"""Simulated time moves to what is due, and not for ever."""

from __future__ import annotations

import asyncio

import pytest

from simulation.time import SimulatedClock, StuckError, run


async def asks_for_ever() -> None:
    while True:  # noqa: ASYNC110 - the fault that it stands for
        await asyncio.sleep(5)


async def waits_for_nobody() -> None:
    await asyncio.get_running_loop().create_future()


def test_who_asks_again_and_again_is_stopped() -> None:
    clock = SimulatedClock()
    with pytest.raises(StuckError, match="asks for ever"):
        run(asks_for_ever(), clock)
    assert clock.elapsed > 24 * 3600 * 1_000_000


def test_where_nobody_sleeps_it_is_stuck() -> None:
    with pytest.raises(StuckError, match="nobody sleeps"):
        run(waits_for_nobody(), SimulatedClock())
