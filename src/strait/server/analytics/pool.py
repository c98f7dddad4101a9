"""Where slow reads run: a few threads, each with a connection of its own, under a deadline."""

from __future__ import annotations

import asyncio
import math
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from strait.server.errors import ApiError
from strait.store.connection import open_reader

T = TypeVar("T")

# More would only take the processor away from the runs.
_THREADS = 2


class Analyst:
    """Runs reads that may be slow.

    Args:
        database: the file to read.
        deadline_secs: how long one answer may take, waiting for a free thread included.
    """

    def __init__(self, database: Path, *, deadline_secs: float) -> None:
        self._database = database
        self._deadline_secs = deadline_secs
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="strait-analytics")
        self._free: asyncio.Queue[sqlite3.Connection] = asyncio.Queue()
        self._opened = 0
        self._closing = False

    async def ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """Run `question` with a connection that sees one state of what was committed.

        Raises:
            ApiError: 504, it took too long and was stopped; 503, it did not get its turn.
        """
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + self._deadline_secs
        connection = await self._connection()
        # The query is stopped inside SQLite, so its thread is free for the next one at once.
        alarm = loop.call_at(ends_at, connection.interrupt)
        pending = loop.run_in_executor(self._threads, _in_snapshot, question, connection)
        try:
            return await asyncio.shield(pending)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
                raise
            raise ApiError(
                504,
                f"the query took more than {self._deadline_secs:g} s and was stopped; "
                "ask for a shorter period",
            ) from None
        except asyncio.CancelledError:
            # Nobody waits for the answer any more; the thread must still let go of the connection.
            connection.interrupt()
            raise
        finally:
            pending.add_done_callback(lambda done: self._returned(done, connection, alarm))

    async def _connection(self) -> sqlite3.Connection:
        if self._free.empty() and self._opened < _THREADS:
            self._opened += 1
            connection = open_reader(self._database)
            connection.create_function("sqrt", 1, math.sqrt, deterministic=True)
            return connection
        try:
            async with asyncio.timeout(self._deadline_secs):
                return await self._free.get()
        except TimeoutError:
            raise ApiError(503, "other queries are running; try again later") from None

    def _returned(
        self,
        done: asyncio.Future[T],
        connection: sqlite3.Connection,
        alarm: asyncio.TimerHandle,
    ) -> None:
        alarm.cancel()
        if not done.cancelled():
            done.exception()
        if self._closing:
            connection.close()
        else:
            self._free.put_nowait(connection)

    async def close(self) -> None:
        """Stop; after the last request was answered."""
        self._closing = True
        while not self._free.empty():
            self._free.get_nowait().close()
        self._threads.shutdown(wait=True)


def _in_snapshot(question: Callable[[sqlite3.Connection], T], connection: sqlite3.Connection) -> T:
    connection.execute("BEGIN")
    try:
        return question(connection)
    finally:
        connection.rollback()
