"""Live publication: what was committed goes to whoever listens, and a slow listener is dropped."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Generic, TypeVar

T = TypeVar("T")

# A listener that is this far behind is cut off; it reads on from the ledger when it reconnects.
_BACKLOG = 1_024


class Subscription(Generic[T]):
    """What one listener has not read yet."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[T | None] = asyncio.Queue(_BACKLOG)
        self.lagging = False

    def offer(self, item: T) -> None:
        """Hand over an item, or give the listener up when it does not keep up."""
        if self.lagging:
            return
        try:
            self._queue.put_nowait(item)
        except asyncio.QueueFull:
            self.lagging = True

    def end(self) -> None:
        """Tell the listener that nothing more comes."""
        if not self._queue.full():
            self._queue.put_nowait(None)
        else:
            self.lagging = True

    async def get(self, timeout_secs: float) -> T | None:
        """Return the next item, or None at the end.

        Raises:
            TimeoutError: nothing came in time.
        """
        if self.lagging and self._queue.empty():
            return None
        async with asyncio.timeout(timeout_secs):
            return await self._queue.get()


class Hub(Generic[T]):
    """Topics and their listeners."""

    def __init__(self) -> None:
        self._topics: dict[str, set[Subscription[T]]] = defaultdict(set)
        self._closed = False

    @property
    def topics(self) -> frozenset[str]:
        """The topics that somebody listens to."""
        return frozenset(self._topics)

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
        for subscription in self._topics.get(topic, ()):
            subscription.offer(item)

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
