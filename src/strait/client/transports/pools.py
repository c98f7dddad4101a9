"""Pools of connections: one for each process, and with `asyncio` for each event loop.

A connection that a fork has inherited belongs to the parent: both would read from one socket. It
is neither used nor closed, but left alone. A connection of one event loop cannot be used in
another, nor after its own has ended.
"""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from typing import Any, Generic, Protocol, TypeVar


class Closable(Protocol):
    """What can be closed."""

    def close(self) -> None:
        """Give the connections back."""
        ...


C = TypeVar("C", bound=Closable)
T = TypeVar("T")
# Pools of a parent process, which must not be collected either: that would close them.
_inherited: list[object] = []


class ProcessPools(Generic[C]):
    """The pools of this process, one for each proxy (None is the straight way).

    There is no lock that a fork could inherit while another thread holds it: two threads that
    make the same pool at once agree on one before either has connected.
    """

    def __init__(self, make: Callable[[str | None], C]) -> None:
        self._make = make
        self._pools: dict[tuple[int, str | None], C] = {}
        weakref.finalize(self, _close_own, self._pools)

    def get(self, proxy: str | None) -> C:
        """Return the pool for a proxy; it is made when it is asked for first."""
        key = (os.getpid(), proxy)
        return self._pools.get(key) or self._pools.setdefault(key, self._make(proxy))

    def close(self) -> None:
        """Close the pools of this process."""
        _close_own(self._pools)


def _close_own(pools: dict[tuple[int, str | None], C]) -> None:
    while pools:
        (pid, _), pool = pools.popitem()
        if pid == os.getpid():
            pool.close()
        else:
            _inherited.append(pool)


class LoopPools(Generic[T]):
    """The pools of the running event loop, one for each proxy (None is the straight way)."""

    def __init__(
        self, make: Callable[[str | None], T], close: Callable[[T], Awaitable[None]]
    ) -> None:
        self._make = make
        self._close = close
        self._kept: dict[tuple[asyncio.AbstractEventLoop, int, str | None], _Kept[T]] = {}
        weakref.finalize(self, _let_go, self._kept).atexit = False

    async def get(self, proxy: str | None) -> T:
        """Return the pool for a proxy; it is made when it is asked for first."""
        key = (asyncio.get_running_loop(), os.getpid(), proxy)
        kept = self._kept.get(key)
        if kept is None:
            for other in [other for other in self._kept if other[0].is_closed()]:
                del self._kept[other]
            kept = self._kept[key] = _Kept(self._make(proxy), self._close)
            await kept.until_loop_ends()
        return kept.pool

    async def close(self) -> None:
        """Close the pools of the running loop; those of others are closed by their loops."""
        loop, pid = asyncio.get_running_loop(), os.getpid()
        own = [key for key in self._kept if key[:2] == (loop, pid)]
        for key in own:
            await self._kept.pop(key).close()
        _let_go(self._kept)


class _Kept(Generic[T]):
    """A pool that is closed with its client, or when that is dropped, or with the event loop."""

    def __init__(self, pool: T, close: Callable[[T], Awaitable[None]]) -> None:
        self.pool = pool
        self.loop = asyncio.get_running_loop()
        self._close = close
        self._pid = os.getpid()
        self._closing: asyncio.Task[None] | None = None
        self._end = self._ends()

    async def until_loop_ends(self) -> None:
        """Have the loop close the pool as it ends: it does so for generators that are not over."""
        _kept.add(self)
        await anext(self._end)

    async def _ends(self) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            if self._pid == os.getpid():
                await self.close()

    async def close(self) -> None:
        """Close the pool; whoever asks second waits for the first."""
        self._start_closing()
        if self._closing is not None:
            await self._closing

    def let_go(self) -> None:
        """Close the pool soon: its client is gone. This may be called in any thread."""
        if self._pid != os.getpid():
            return
        if self.loop.is_closed():
            _kept.discard(self)
            return
        with suppress(RuntimeError):  # the loop was closed at this very moment
            self.loop.call_soon_threadsafe(self._start_closing)

    def _start_closing(self) -> None:
        if self._closing is None:
            self._closing = self.loop.create_task(self._closed())

    async def _closed(self) -> None:
        try:
            await self._close(self.pool)
        finally:
            _kept.discard(self)


# A loop knows its generators weakly. This keeps those of dropped clients until they are closed.
_kept: set[_Kept[Any]] = set()


def _let_go(kept: dict[tuple[asyncio.AbstractEventLoop, int, str | None], _Kept[T]]) -> None:
    while kept:
        kept.popitem()[1].let_go()
