"""Connections that are kept for the next request: as many as were in use lately, not for ever."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Hashable
from typing import Generic, Protocol, TypeVar


class Connection(Protocol):
    """What can be kept."""

    usable: bool

    def close(self) -> None:
        """Close it now."""
        ...


C = TypeVar("C", bound=Connection)


class _Line(Generic[C]):
    """The unused connections of one origin; `spare` of them were not needed since the last look."""

    __slots__ = ("connections", "spare")

    def __init__(self) -> None:
        self.connections: deque[C] = deque()
        self.spare = 0


class Kept(Generic[C]):
    """Unused connections by origin.

    A burst brings hundreds of calls at once, and each connection that is opened anew costs both
    sides more than the call. So all are kept, and those that no call has needed for a while are
    closed, but for a few.

    Args:
        few: how many of each origin are kept however long nobody needs them.
        look_secs: a connection that is spare is closed after this time, or twice as long.
    """

    def __init__(self, *, few: int = 64, look_secs: float = 10.0) -> None:
        self._few = few
        self._look_secs = look_secs
        self._lines: dict[Hashable, _Line[C]] = {}
        self._next_look: asyncio.TimerHandle | None = None

    def take(self, origin: Hashable) -> C | None:
        """Return the connection that was used last, or None; it is no longer kept."""
        line = self._lines.get(origin)
        if line is None:
            return None
        found = None
        while line.connections and found is None:
            connection = line.connections.pop()
            found = connection if connection.usable else None
        line.spare = min(line.spare, len(line.connections))
        return found

    def put(self, origin: Hashable, connection: C) -> None:
        """Keep a connection that is usable."""
        line = self._lines.get(origin)
        if line is None:
            line = self._lines[origin] = _Line()
        line.connections.append(connection)
        if len(line.connections) > self._few and self._next_look is None:
            self._look_later()

    def count(self, origin: Hashable) -> int:
        """Return how many connections of an origin are kept."""
        line = self._lines.get(origin)
        return 0 if line is None else len(line.connections)

    def clear(self) -> None:
        """Keep none any more; whoever opened them closes them."""
        self._lines.clear()
        if self._next_look is not None:
            self._next_look.cancel()

    def _look_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._next_look = loop.call_later(self._look_secs, self._look)

    def _look(self) -> None:
        self._next_look = None
        for line in self._lines.values():
            for _ in range(min(line.spare, len(line.connections) - self._few)):
                line.connections.popleft().close()
            line.spare = len(line.connections)
        if any(len(line.connections) > self._few for line in self._lines.values()):
            self._look_later()
