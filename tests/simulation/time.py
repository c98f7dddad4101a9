"""Simulated time: a clock that can be set, and an event loop that jumps to what is due next.

Nothing here waits. When the loop has nothing to run, time moves to the next sleeper; when nobody
sleeps either, the simulation is stuck, which is a fault of what it runs.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import selectors
from typing import Any

from strait.clock import SECOND

START = 1_767_225_600 * SECOND


# Stories move it some hundred times. A platform that looks again and again would do so for days.
_MOST_MOVES = 60_000


class StuckError(Exception):
    """Nothing is ready, nobody sleeps, and the simulation is not over."""


class SimulatedClock:
    """A wall clock over a steady one; setting it moves only the wall."""

    def __init__(self) -> None:
        self.elapsed = 0
        self.times_set_back = 0
        self._skew = START
        self._order = itertools.count()
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []

    def now(self) -> int:
        """Return what the wall clock shows."""
        return self.elapsed + self._skew

    async def sleep_until(self, instant: int) -> None:
        """Return once the wall clock shows `instant` or later, also after it was set."""
        if instant <= self.now():
            await asyncio.sleep(0)
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (instant, next(self._order), waiter))
        await waiter

    async def sleep(self, seconds: float) -> None:
        """Return after some seconds of the steady clock."""
        await asyncio.sleep(seconds)

    def set(self, seconds: float) -> None:
        """Set the wall clock forward, or back when negative."""
        self.times_set_back += seconds < 0
        self._skew += round(seconds * SECOND)
        self._wake()

    def go_on_unseen(self, seconds: float) -> None:
        """Set the wall clock forward as when the machine was suspended: sleepers look late."""
        self._skew += round(seconds * SECOND)

    def until_next(self) -> int | None:
        """Return how long it is until the next sleeper is due, in microseconds."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return max(0, self._sleepers[0][0] - self.now()) if self._sleepers else None

    def pass_(self, microseconds: int) -> None:
        """Let time go by."""
        self.elapsed += microseconds
        self._wake()

    def _wake(self) -> None:
        while (left := self.until_next()) is not None and left == 0:
            heapq.heappop(self._sleepers)[2].set_result(None)


class _Selector(selectors.SelectSelector):
    """Where a loop would wait for the world, time goes by instead."""

    def __init__(self, clock: SimulatedClock) -> None:
        super().__init__()
        self._clock = clock
        self._moves = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
            # Nothing comes from the world, and asking it would take a tenth of a story.
            return []
        ready = super().select(0)
        if ready:
            return ready
        waits = [] if timeout is None else [round(timeout * SECOND) + 1]
        if (due := self._clock.until_next()) is not None:
            waits.append(due)
        if not waits:
            raise StuckError("nobody sleeps, and nothing is ready")
        self._moves += 1
        if self._moves > _MOST_MOVES:
            raise StuckError(f"time was moved {_MOST_MOVES} times: somebody asks for ever")
        self._clock.pass_(min(waits))
        return ready


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop in simulated time."""

    def __init__(self, clock: SimulatedClock) -> None:
        super().__init__(_Selector(clock))
        self._clock = clock

    def time(self) -> float:
        """Return the steady time in seconds."""
        return self._clock.elapsed / SECOND


def run(main: Any, clock: SimulatedClock) -> Any:
    """Run a coroutine to its end in simulated time."""
    with asyncio.Runner(loop_factory=lambda: SimulatedLoop(clock)) as runner:
        return runner.run(main)
