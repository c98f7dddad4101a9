"""Server-sent events on the wire: frames, places to resume from, and how many streams are open."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING, TypeVar

from strait.server.errors import ApiError
from strait.server.http import encode
from strait.server.hub import Subscription

if TYPE_CHECKING:
    from strait.server.settings import Settings

Item = TypeVar("Item")

KEEPALIVE = b": keepalive\n\n"
# So many rows are read for one turn of the loop; what is behind them waits for the next one.
PAGE = 200
RETRY_AFTER_SECS = 5
# What clients of ours look for in `code`: the stream is not over, and goes on behind the id.
RESUME = "resume"


def frame(data: bytes, *, place: str = "", event: str = "") -> bytes:
    """Return one event; `place` is what a client sends as `Last-Event-ID` to go on behind it."""
    head = f"id: {place}\n" if place else ""
    head += f"event: {event}\n" if event else ""
    return head.encode() + b"data: " + data + b"\n\n"


def begin(place: str) -> bytes:
    """Tell where a stream begins, so that who loses it before its first event misses none."""
    return f"id: {place}\n\n".encode()


def cut_off(place: str, why: str) -> bytes:
    """Return the last event of a stream that is not over: why, and where to go on."""
    text = f"{why}; connect again with `Last-Event-ID: {place}` to go on behind it"
    return frame(encode({"error": text, "code": RESUME}), place=place, event="error")


async def while_allowed(
    frames: AsyncGenerator[bytes, None], problem: Callable[[], str]
) -> AsyncGenerator[bytes, None]:
    """Yield the frames of a stream until there is a reason why its reader may hear no more.

    Each frame asks, and a stream that is silent asks with each of its keep-alives.
    """
    async with aclosing(frames):
        async for each in frames:
            if why := problem():
                yield frame(
                    encode({"error": why, "code": "authentication_required"}), event="error"
                )
                return
            yield each


def slow(place: str) -> bytes:
    """Return the last event for a reader that was too slow."""
    return cut_off(place, "this reader was too slow and was dropped")


async def live(
    settings: Settings, subscription: Subscription[Item]
) -> AsyncGenerator[Item | None, None]:
    """Yield what comes, None after a silence, and end when the stream is old or the hub closes."""
    loop = asyncio.get_running_loop()
    end = loop.time() + settings.stream_max_secs
    while loop.time() < end:
        try:
            item = await subscription.get(settings.keepalive_secs)
        except TimeoutError:
            yield None
            continue
        if item is None:
            return
        yield item


class Connections:
    """The event streams that are open, in all and by project."""

    def __init__(self, settings: Settings) -> None:
        self._most = settings.max_streams
        self._most_of_project = settings.max_project_streams
        self._open: Counter[str] = Counter()

    @property
    def total(self) -> int:
        """How many are open."""
        return self._open.total()

    def check(self, project_id: str) -> None:
        """Check that one more may be opened.

        Raises:
            ApiError: 503 with `Retry-After`.
        """
        if self.total >= self._most or self._open[project_id] >= self._most_of_project:
            headers = {"Retry-After": str(RETRY_AFTER_SECS)}
            raise ApiError(503, "too many SSE connections", headers=headers)

    @contextmanager
    def one_more(self, project_id: str) -> Iterator[None]:
        """Count a stream while it is open; one of no project is not counted."""
        if not project_id:
            yield
            return
        self._open[project_id] += 1
        try:
            yield
        finally:
            self._open[project_id] -= 1
            if not self._open[project_id]:
                del self._open[project_id]
