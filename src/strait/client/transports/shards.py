"""Shards: several small pools of connections in place of one large pool."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class Shard:
    """One of the pools.

    Attributes:
        transport: a transport of the library.
        busy: how many requests and streams are under way in it.
    """

    __slots__ = ("busy", "transport")

    def __init__(self, transport: Any) -> None:
        self.transport = transport
        self.busy = 0


class Shards:
    """The pools among which the requests of an event loop are shared out."""

    def __init__(self, transports: Sequence[Any]) -> None:
        self._shards = [Shard(transport) for transport in transports]

    def idlest(self) -> Shard:
        """Return the pool with the least to do.

        Of equals it is the first, so that one call after the other uses one connection.
        """
        found = self._shards[0]
        for shard in self._shards:
            if shard.busy < found.busy:
                found = shard
        return found

    async def close(self) -> None:
        """Close all pools."""
        for shard in self._shards:
            await shard.transport.aclose()
