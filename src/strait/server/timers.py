"""Due instants in a heap: one per subject, woken by the clock, never by polling."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable, Hashable

from strait.clock import Clock


class Timers:
    """Calls `on_due(key)` once the instant that was set for a key has come.

    A key has one instant at a time; setting another replaces it. Timers are memory only: they are
    made again from what is stored when the server starts, so nothing is lost with them.
    """

    def __init__(self, clock: Clock, on_due: Callable[[Hashable], None]) -> None:
        self._clock = clock
        self._on_due = on_due
        self._heap: list[tuple[int, int, Hashable]] = []
        self._set: dict[Hashable, tuple[int, int]] = {}
        self._order = itertools.count()
        self._sooner = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch the clock."""
        self._task = asyncio.get_running_loop().create_task(self._watch(), name="strait-timers")

    async def stop(self) -> None:
        """Stop watching; what was set is dropped."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def set(self, key: Hashable, instant: int) -> None:
        """Have `key` called at `instant`, in place of an instant that was set before."""
        entry = (instant, next(self._order))
        if self._set.get(key, (None,))[0] == instant:
            return
        self._set[key] = entry
        heapq.heappush(self._heap, (*entry, key))
        if self._heap[0][1] == entry[1]:
            self._sooner.set()
        # Replaced entries stay in the heap until they surface; keep them from piling up.
        if len(self._heap) > 64 and len(self._heap) > 2 * len(self._set):
            self._compact()

    def cancel(self, key: Hashable) -> None:
        """Forget the instant of `key`, if it has one."""
        self._set.pop(key, None)

    def __len__(self) -> int:
        """How many keys have an instant."""
        return len(self._set)

    def _compact(self) -> None:
        self._heap = [(*entry, key) for key, entry in self._set.items()]
        heapq.heapify(self._heap)

    async def _watch(self) -> None:
        while True:
            self._sooner.clear()
            self._fire()
            if not self._heap:
                await self._sooner.wait()
                continue
            sleep = asyncio.ensure_future(self._clock.sleep_until(self._heap[0][0]))
            sooner = asyncio.ensure_future(self._sooner.wait())
            try:
                await asyncio.wait({sleep, sooner}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                sleep.cancel()
                sooner.cancel()

    def _fire(self) -> None:
        now = self._clock.now()
        while self._heap and self._heap[0][0] <= now:
            instant, order, key = heapq.heappop(self._heap)
            if self._set.get(key) == (instant, order):
                del self._set[key]
                self._on_due(key)
        # Cancelled entries at the top would wake the clock for nothing.
        while self._heap and self._set.get(self._heap[0][2]) != self._heap[0][:2]:
            heapq.heappop(self._heap)
