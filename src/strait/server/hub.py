"""Live publication: what was committed goes to whoever listens, and a slow listener is dropped."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")

# A listener that is this far behind, in items or in bytes, is cut off; what it has not read is
# dropped at once, and read from the ledger when it comes back.
BACKLOG = 1_024
BACKLOG_BYTES = 4 * 1024 * 1024


class Subscription(Generic[T]):
    """What one listener has not read yet.

    Attributes:
        lagging: the listener was too slow, and was given up.
        closed: the server stops, and nothing more comes.
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[T, int]] = deque()
        self._bytes = 0
        self._news = asyncio.Event()
        self.lagging = False
        self.closed = False

    def offer(self, item: T, size: int = 0) -> None:
        """Hand over an item, or give the listener up when it does not keep up."""
        if self.lagging:
            return
        self._waiting.append((item, size))
        self._bytes += size
        if len(self._waiting) > BACKLOG or self._bytes > BACKLOG_BYTES:
            self._waiting.clear()
            self.lagging = True
        self._news.set()

    def skip(self) -> None:
        """Forget what waits: the listener has read it elsewhere."""
        self._waiting.clear()
        self._bytes = 0

    def end(self) -> None:
        """Tell the listener that nothing comes after what it has."""
        self.closed = True
        self._news.set()

    async def get(self, timeout_secs: float) -> T | None:
        """Return the next item, or None at the end.

        Raises:
            TimeoutError: nothing came in time.
        """
        if not self._waiting and not self.lagging and not self.closed:
            self._news.clear()
            async with asyncio.timeout(timeout_secs):
                await self._news.wait()
        if not self._waiting:
            return None
        item, size = self._waiting.popleft()
        self._bytes -= size
        return item


class Hub(Generic[T]):
    """Topics and their listeners.

    Args:
        size_of: how many bytes an item holds, more or less; by default none.
    """

    def __init__(self, size_of: Callable[[T], int] = lambda item: 0) -> None:
        self._size_of = size_of
        self._topics: dict[str, set[Subscription[T]]] = defaultdict(set)
        self._closed = False

    @property
    def topics(self) -> frozenset[str]:
        """The topics that somebody listens to."""
        return frozenset(self._topics)

    def __contains__(self, topic: object) -> bool:
        """Whether somebody listens to a topic."""
        return topic in self._topics

    def subscribe(self, topic: str) -> Subscription[T]:
        """Begin to listen to a topic."""
        subscription: Subscription[T] = Subscription()
        if self._closed:
            subscription.end()
        self._topics[topic].add(subscription)
        return subscription

    def unsubscribe(self, topic: str, subscription: Subscription[T]) -> None:
        """Stop listening."""
        listeners = self._topics.get(topic)
        if listeners is not None:
            listeners.discard(subscription)
            if not listeners:
                del self._topics[topic]

    def publish(self, topic: str, item: T) -> None:
        """Hand an item to all who listen to a topic now."""
        listeners = self._topics.get(topic)
        if listeners:
            size = self._size_of(item)
            for subscription in listeners:
                subscription.offer(item, size)

    def publish_all(self, topic: str, items: Sequence[T]) -> None:
        """Hand items, in their order, to all who listen to a topic now."""
        if topic in self._topics:
            for item in items:
                self.publish(topic, item)

    def close(self) -> None:
        """End all subscriptions, also those that are still to come."""
        self._closed = True
        for listeners in self._topics.values():
            for subscription in listeners:
                subscription.end()
