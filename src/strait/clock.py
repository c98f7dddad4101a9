"""Time as a dependency: instants, and the clocks that give them.

An instant is an `int` of microseconds since the Unix epoch. On the wire and on disk it is a
`Timestamp`, an RFC 3339 string of fixed width in UTC (`2026-01-02T03:04:05.000006Z`), so that
the order of the strings is the order of the instants.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Protocol, TypeAlias

Timestamp: TypeAlias = str

SECOND = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# A sleeper looks at the wall clock at least this often, so that a suspended laptop or a clock
# that was set forward is noticed without polling.
_LONGEST_NAP_SECS = 60.0


# All that one operation writes has the same few instants.
@lru_cache(maxsize=64)
def to_timestamp(unix_us: int) -> Timestamp:
    """Write an instant as RFC 3339 in UTC with exactly six digits of fraction.

    What lies beyond the years that four digits can write is written as the last second of them.
    """
    seconds, micros = divmod(unix_us, SECOND)
    return f"{_whole_second(seconds)}.{micros:06d}Z"


_LAST_SECOND = 253_402_300_799


# A server writes many instants of the same few seconds.
@lru_cache(maxsize=64)
def _whole_second(unix_secs: int) -> str:
    t = time.gmtime(min(unix_secs, _LAST_SECOND))
    return (
        f"{t.tm_year:04d}-{t.tm_mon:02d}-{t.tm_mday:02d}"
        f"T{t.tm_hour:02d}:{t.tm_min:02d}:{t.tm_sec:02d}"
    )


def from_timestamp(text: str) -> int:
    """Read an RFC 3339 timestamp; more digits than microseconds are cut.

    Raises:
        ValueError: the text is no timestamp, or it has no offset.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"timestamp {text!r} has no UTC offset")
    return (moment - _EPOCH) // _MICROSECOND


class Clock(Protocol):
    """What the server knows of time."""

    def now(self) -> int:
        """Return the present instant in microseconds since the epoch."""
        ...

    async def sleep_until(self, instant: int) -> None:
        """Return once `now()` is at or after `instant`."""
        ...


class SystemClock:
    """The wall clock of this machine."""

    def now(self) -> int:
        """Return the present instant in microseconds since the epoch."""
        return time.time_ns() // 1000

    async def sleep_until(self, instant: int) -> None:
        """Return once the wall clock is at or after `instant`, also after it was set."""
        while (left := instant - self.now()) > 0:  # noqa: ASYNC110 - no event tells of a clock
            await asyncio.sleep(min(left / SECOND, _LONGEST_NAP_SECS))


class VirtualClock:
    """A clock that stands still until it is told to move; for tests and simulations."""

    def __init__(self, start: int = 1_767_225_600 * SECOND) -> None:
        self._now = start
        self._order = itertools.count()
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []

    def now(self) -> int:
        """Return the instant that the clock shows."""
        return self._now

    async def sleep_until(self, instant: int) -> None:
        """Return once the clock was moved to or past `instant`."""
        if instant <= self._now:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (instant, next(self._order), waiter))
        await waiter

    def next_due(self) -> int | None:
        """Return the earliest instant that anybody sleeps until."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None

    def advance(self, seconds: float) -> None:
        """Move the clock on and wake, in the order of their instants, all who are due."""
        self._now += round(seconds * SECOND)
        while (due := self.next_due()) is not None and due <= self._now:
            heapq.heappop(self._sleepers)[2].set_result(None)
