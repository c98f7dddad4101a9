"""The pieces of output that runs stream: handed on as they come, the latest kept in memory.

They are not written to disk (`contract/runs.md` §6 says so of the platform), but a client that lost
its connection for a moment should miss none, so the latest are kept for a while.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import NamedTuple

from strait.server.hub import Hub

# Of one run, and of all runs together; the oldest go first.
_KEPT_BYTES = 1024 * 1024
_KEPT_BYTES_IN_ALL = 16 * 1024 * 1024
# What a chunk holds besides its text.
_OVERHEAD = 200


class Chunk(NamedTuple):
    """A piece of output as it goes over the wire; `number` counts those of one run."""

    number: int
    body: bytes


class _Recent:
    """The latest chunks of one run."""

    def __init__(self) -> None:
        self.chunks: deque[Chunk] = deque()
        self.number = 0
        self.size = 0

    def add(self, body: bytes) -> Chunk:
        self.number += 1
        chunk = Chunk(self.number, body)
        self.chunks.append(chunk)
        self.size += size_of(chunk)
        while self.size > _KEPT_BYTES:
            self.size -= size_of(self.chunks.popleft())
        return chunk


class Chunks:
    """What runs stream, and who listens."""

    def __init__(self) -> None:
        self.hub: Hub[Chunk] = Hub(size_of)
        self._recent: OrderedDict[str, _Recent] = OrderedDict()
        self._size = 0

    def publish(self, run_id: str, body: bytes) -> None:
        """Hand a chunk to all who listen to a run now, and keep it for who comes back."""
        recent = self._recent.pop(run_id, None) or _Recent()
        self._recent[run_id] = recent
        before = recent.size
        chunk = recent.add(body)
        self._size += recent.size - before
        while self._size > _KEPT_BYTES_IN_ALL:
            _, oldest = self._recent.popitem(last=False)
            self._size -= oldest.size
        self.hub.publish(run_id, chunk)

    def last(self, run_id: str) -> int:
        """Return the number of the newest chunk of a run."""
        recent = self._recent.get(run_id)
        return 0 if recent is None else recent.number

    def behind(self, run_id: str, number: int) -> list[Chunk]:
        """Return the chunks of a run behind a number that are still kept."""
        recent = self._recent.get(run_id)
        return [] if recent is None else [chunk for chunk in recent.chunks if chunk.number > number]


def size_of(chunk: Chunk) -> int:
    """Return how many bytes a chunk takes, more or less."""
    return len(chunk.body) + _OVERHEAD
