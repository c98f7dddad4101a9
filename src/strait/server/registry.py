"""Which function answers which operation of the API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from strait.server.http import Call, Reply, StreamReply

if TYPE_CHECKING:
    import sqlite3

    from strait.server.platform import Platform
    from strait.server.unit import Unit

Read: TypeAlias = "Callable[[Call, sqlite3.Connection], Reply]"
Write: TypeAlias = "Callable[[Call, Unit], Reply]"
Other: TypeAlias = "Callable[[Call, Platform], Awaitable[Reply | StreamReply]]"


@dataclass(slots=True)
class Registry:
    """Functions by operation id, and how each of them runs.

    A read gets a connection that sees what was committed. A write runs in a transaction and is
    answered once that is on disk; what it raises undoes it. An analysis is a read that may be slow:
    it runs in a thread, on a connection of its own, under a deadline. Anything else is a coroutine.
    """

    reads: dict[str, Read] = field(default_factory=dict)
    analyses: dict[str, Read] = field(default_factory=dict)
    writes: dict[str, Write] = field(default_factory=dict)
    others: dict[str, Other] = field(default_factory=dict)

    def read(self, operation: str) -> Callable[[Read], Read]:
        """Register a function that only reads."""

        def register(function: Read) -> Read:
            self.reads[operation] = function
            return function

        return register

    def analysis(self, operation: str) -> Callable[[Read], Read]:
        """Register a function that only reads, and may need a while for it."""

        def register(function: Read) -> Read:
            self.analyses[operation] = function
            return function

        return register

    def write(self, operation: str) -> Callable[[Write], Write]:
        """Register a function that changes something."""

        def register(function: Write) -> Write:
            self.writes[operation] = function
            return function

        return register

    def other(self, operation: str) -> Callable[[Other], Other]:
        """Register a coroutine: streams, and what waits for the outside."""

        def register(function: Other) -> Other:
            self.others[operation] = function
            return function

        return register

    def merge(self, more: Registry) -> None:
        """Take over all functions of another registry."""
        self.reads.update(more.reads)
        self.analyses.update(more.analyses)
        self.writes.update(more.writes)
        self.others.update(more.others)

    def operations(self) -> frozenset[str]:
        """The ids of all operations that are answered."""
        return frozenset().union(self.reads, self.analyses, self.writes, self.others)
