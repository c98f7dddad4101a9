"""Long reads beside the loop: each on a connection and in a thread of its own."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import TypeVar

from strait.server.platform import Platform
from strait.store.connection import open_reader

T = TypeVar("T")


async def read_aside(platform: Platform, work: Callable[[sqlite3.Connection], T]) -> T:
    """Return what `work` reads, in one snapshot of the database, while the loop goes on."""

    def in_thread() -> T:
        with closing(open_reader(platform.database)) as connection:
            connection.execute("BEGIN")
            return work(connection)

    return await asyncio.to_thread(in_thread)
