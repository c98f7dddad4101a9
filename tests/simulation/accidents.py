"""What happens to the machine: cuts of the power, stops, clocks that are set, a full disk."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from simulation import setting
from simulation.machine import LostError
from simulation.setting import KINDS
from simulation.world import FullError, World


class Accidents(World):
    """What nobody has asked for, or somebody who did not think of the others."""

    async def _accident(self) -> None:
        """Cut the power, now or in the middle of what comes next; it comes back after a while."""
        chance, machine = self.machine.chance, self.machine
        await machine.clock.sleep(chance.choice((0.0, 0.0001, 0.0015, 0.3)))
        await machine.cut_power()
        await machine.clock.sleep(chance.choice((0.0, 1.0, 3600.0)))
        await machine.boot()

    async def _overwork(self) -> None:
        """Give workers something to do, and have something happen to them in the midst of it."""
        chance = self.machine.chance
        for _ in range(chance.randint(1, 5)):
            await self._trigger_once("worked", {"n": -3, "who": "a"})
        await self.machine.clock.sleep(chance.choice((0.0, 0.001, 0.3, 1.5)))
        mishap = self.crew.have_an_accident
        await chance.choice((mishap, mishap, mishap, self._accident, self._restart))()

    async def _restart(self) -> None:
        """Stop the platform in order, while some go on to ask, and start it again."""
        chance, machine = self.machine.chance, self.machine
        asking = [asyncio.ensure_future(self._somebody_asks()) for _ in range(2)]
        await machine.clock.sleep(chance.choice((0.0, 0.0001, 0.0015, 0.3)))
        stops = asyncio.ensure_future(machine.shut_down())
        await asyncio.gather(*asking, stops)
        await machine.clock.sleep(chance.choice((0.0, 1.0, 3600.0)))
        await machine.boot()

    async def _somebody_asks(self) -> None:
        """Trigger a few runs, whether or not anybody is there to answer."""
        chance = self.machine.chance
        for _ in range(chance.randint(0, 3)):
            with suppress(LostError, FullError):
                await self._trigger_once(chance.choice(KINDS), {"n": -2, "who": "b"})
            await self.machine.clock.sleep(chance.choice((0.0, 0.001, 0.5)))

    async def _set_clock(self) -> None:
        seconds = self.machine.chance.choice((-setting.SET_BACK_SECS, -5.0, 5.0, 7200.0))
        self.was_set_back |= seconds < 0
        self.machine.note("the clock is set by", seconds)
        self.machine.upset()
        self.machine.clock.set(seconds)
        self.machine.calm_down()

    async def _fill_disk(self) -> None:
        """Let the disk be full for a while: for commits, or in the midst of an operation."""
        chance = self.machine.chance
        if chance.random() < 0.5:
            # Some of these will wait for a slot of their job, and start while it is full.
            for _ in range(4):
                await self._trigger_once("plain", {"n": -1, "who": "a"})
        commits, statements = chance.choice(
            ((1.0, 0.0), (0.5, 0.0), (0.5, 0.0), (0.0, 0.02), (0.3, 0.1))
        )
        self.machine.fill_disk(chance.choice((0.01, 1.0, 20.0)), commits, statements)
