"""The courier: takes what is due out of the outbox and brings it to its receivers.

Each address (scheme, host, port) has a lane. A lane sends a few messages at the same time, so that
an address that is slow holds up nobody else; one that fails again and again is left alone for a
while. All that matters is in the database: lanes are made again by whoever starts next.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from strait.clock import SECOND, from_timestamp, to_timestamp
from strait.engine.deliveries import Attempt, Delivery
from strait.server import envelopes
from strait.server.outbound import CallError
from strait.server.work import deliveries as work
from strait.store import deliveries
from strait.store.connection import StoreError

if TYPE_CHECKING:
    from strait.server.platform import Platform

AT_ONCE = 128
AT_ONCE_PER_ADDRESS = 4
# So many failures in a row, and an address is left alone (`contract/runs.md` §9.3).
FAILURES_TO_OPEN = 5
OPEN_SECS = 60
ANSWER_SECS = 10
_MAX_ANSWER_BYTES = 65_536
_TIMER = "deliveries"


@dataclass(slots=True)
class _Lane:
    """What memory knows of an address."""

    under_way: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    failures: int = 0
    open_until: int = 0

    @property
    def room(self) -> int:
        """How many more messages may be sent now; an address that failed gets one to try it."""
        at_once = 1 if self.failures >= FAILURES_TO_OPEN else AT_ONCE_PER_ADDRESS
        return at_once - len(self.under_way)


class Courier:
    """Sends the deliveries of the outbox, each until it has arrived or is given up."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._outbound = platform.outside.outbound(
            max_body_bytes=_MAX_ANSWER_BYTES, reach=platform.reach
        )
        self._lanes: dict[str, _Lane] = {}
        self._under_way = 0
        self._held_up: dict[str, None] = {}
        self._stopping = False

    def look(self, address: str) -> None:
        """Send what is due at an address, and have the clock call again when more is."""
        if self._stopping:
            return
        lane = self._lanes.setdefault(address, _Lane())
        now = self._platform.clock.now()
        if lane.open_until > now:
            self._platform.timers.set((_TIMER, address), lane.open_until)
            return
        if lane.room > 0:
            self._fill(address, lane, now)
        if not lane.under_way and not lane.failures:
            del self._lanes[address]

    async def stop(self) -> None:
        """Send no more; what was not answered yet is sent again by the next server."""
        self._stopping = True
        tasks = [task for lane in self._lanes.values() for task in lane.under_way.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._outbound.close()

    def _fill(self, address: str, lane: _Lane, now: int) -> None:
        stamp, reader = to_timestamp(now), self._platform.reader
        # Those under way are still due in the database, so as many more are asked for.
        due = deliveries.due(reader, address, stamp, lane.room + len(lane.under_way))
        for delivery in due:
            if delivery.id in lane.under_way or lane.room <= 0:
                continue
            if self._under_way >= AT_ONCE:
                self._held_up[address] = None
                return
            self._begin(lane, delivery)
        later = deliveries.next_due(reader, address, stamp)
        if later:
            self._platform.timers.set((_TIMER, address), from_timestamp(later))

    def _begin(self, lane: _Lane, delivery: Delivery) -> None:
        self._under_way += 1
        task = asyncio.get_running_loop().create_task(self._send(lane, delivery))
        lane.under_way[delivery.id] = task
        task.add_done_callback(lambda done: self._sent(lane, delivery, done))

    def _sent(self, lane: _Lane, delivery: Delivery, task: asyncio.Task[None]) -> None:
        self._under_way -= 1
        del lane.under_way[delivery.id]
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._platform.report("a delivery could not be sent, or kept", error)
            again = self._platform.clock.now() + SECOND
            self._platform.timers.set((_TIMER, delivery.address), again)
        elif not task.cancelled():
            self.look(delivery.address)
        self._let_others_in()

    def _let_others_in(self) -> None:
        while self._held_up and self._under_way < AT_ONCE:
            address = next(iter(self._held_up))
            del self._held_up[address]
            self.look(address)

    async def _send(self, lane: _Lane, delivery: Delivery) -> None:
        platform = self._platform
        try:
            envelope = envelopes.envelope(platform, delivery, platform.clock.now())
        except envelopes.Undeliverable as reason:
            text = str(reason)
            await platform.write(lambda unit: work.give_up(unit, delivery.id, text))
            return
        except StoreError as error:
            text = f"a secret cannot be opened: {error}"
            await platform.write(lambda unit: work.give_up(unit, delivery.id, text))
            return
        attempt = await self._attempt(envelope)
        self._judge(lane, attempt)
        await platform.write(lambda unit: work.tried(unit, delivery.id, attempt))

    async def _attempt(self, envelope: envelopes.Envelope) -> Attempt:
        begun = self._platform.clock.now()
        try:
            async with asyncio.timeout(ANSWER_SECS):
                status = await self._post(envelope)
        except TimeoutError:
            return Attempt(0, f"no answer within {ANSWER_SECS} s", ANSWER_SECS * 1000)
        except CallError as error:
            return Attempt(0, str(error), hopeless=error.error_class == "client")
        return Attempt(status, latency_ms=(self._platform.clock.now() - begun) // 1_000)

    async def _post(self, envelope: envelopes.Envelope) -> int:
        try:
            return (await self._outbound.post(*envelope)).status
        except CallError as error:
            if not error.reusable_broke:
                raise
            # A kept connection that was closed meanwhile: the receiver has never seen it.
            return (await self._outbound.post(*envelope)).status

    def _judge(self, lane: _Lane, attempt: Attempt) -> None:
        if not attempt.is_down:
            lane.failures = 0
            return
        lane.failures += 1
        if lane.failures >= FAILURES_TO_OPEN:
            lane.open_until = self._platform.clock.now() + OPEN_SECS * SECOND
