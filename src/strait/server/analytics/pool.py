"""Where slow reads run: a few threads, each with a connection of its own, under a deadline."""

from __future__ import annotations

import asyncio
import math
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from strait.server.errors import ApiError
from strait.store.connection import open_reader

T = TypeVar("T")

# More would only take the processor away from the runs.
_THREADS = 2

# How many instructions of SQLite's machine pass between two looks at the clock: well under a
# millisecond, and a look costs nothing beside them.
_LOOK_EVERY = 10_000


class Analyst:
    """Runs reads that may be slow.

    Args:
        database: the file to read.
        deadline_secs: how long one answer may take, waiting for a free thread included.
        threads: where they run; by default threads of its own.
    """

    def __init__(
        self, database: Path, *, deadline_secs: float, threads: Executor | None = None
    ) -> None:
        self._database = database
        self._deadline_secs = deadline_secs
        self._threads = threads or ThreadPoolExecutor(
            _THREADS, thread_name_prefix="strait-analytics"
        )
        self._free: asyncio.Queue[sqlite3.Connection] = asyncio.Queue()
        self._opened = 0
        self._closing = False

    async def ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """Run `question` with a connection that sees one state of what was committed.

        Raises:
            ApiError: 504, it took too long and was stopped; 503, it did not get its turn.
        """
        ends_at = time.monotonic() + self._deadline_secs
        connection = await self._connection()
        abandoned = threading.Event()
        pending = asyncio.get_running_loop().run_in_executor(
            self._threads, _in_snapshot, question, connection, ends_at, abandoned
        )
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
            abandoned.set()
            raise
        finally:
            pending.add_done_callback(lambda done: self._returned(done, connection))

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

    def _returned(self, done: asyncio.Future[T], connection: sqlite3.Connection) -> None:
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


def _in_snapshot(
    question: Callable[[sqlite3.Connection], T],
    connection: sqlite3.Connection,
    ends_at: float,
    abandoned: threading.Event,
) -> T:
    # SQLite asks while it works. `interrupt()` from outside would be lost if it came in the moment
    # before the statement starts, and the statement would then run for ever.
    connection.set_progress_handler(
        lambda: abandoned.is_set() or time.monotonic() >= ends_at, _LOOK_EVERY
    )
    connection.execute("BEGIN")
    try:
        return question(connection)
    finally:
        connection.set_progress_handler(None, 0)
        connection.rollback()
