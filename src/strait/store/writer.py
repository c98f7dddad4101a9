"""The one writer: operations run on the event loop, commits are shared and synced in a thread.

An operation is a plain function that reads and writes through the connection. It runs at once: in
the transaction that is open, inside a savepoint of its own, or in one that it opens. When the loop
has nothing more to run, the transaction is committed in a helper thread; what arrives meanwhile
waits and forms the next batch. So operations never interleave, a slow disk is shared by all who
wait for it, and nobody is answered before the disk has it. Where the disk is faster than waking a
thread and being woken by it, a small batch is committed on the loop.

The write-ahead log goes into the database while nobody waits, as long as that happens often enough.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Generic, TypeVar

from strait.store.pace import Never, Pace, Usual

T = TypeVar("T")

logger = logging.getLogger("strait.store")

# What a batch goes through: its work is done and not on disk; it is on disk and nobody knows; who
# waits for it was told; what follows outside of the database was begun.
COMMIT_POINTS = ("worked", "committed", "answered", "acted")
# One batch takes at most this many operations, so that the first of them is not kept waiting.
_BATCH_LIMIT = 1_000
# How many changed rows are left in the write-ahead log while nobody writes, and at most.
_CHANGES_AT_REST = 1_500
_CHANGES_AT_MOST = 6_000


class StoreUnavailable(Exception):  # noqa: N818 - the name is the state that callers see
    """The write was not made durable and was undone; it may be tried again."""


class _Operation(Generic[T]):
    __slots__ = ("after", "error", "future", "undone", "value", "work")

    def __init__(self, work: Callable[[], T], future: asyncio.Future[T]) -> None:
        self.work = work
        self.future = future
        self.after: list[Callable[[], None]] = []
        self.undone: list[Callable[[], None]] = []
        self.value: T | None = None
        self.error: BaseException | None = None

    def settle(self) -> None:
        if self.future.done():  # the caller went away
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.value)  # type: ignore[arg-type]  # set where it ran

    def fail(self, error: BaseException) -> None:
        self.error = error
        self.settle()


class Writer:
    """Runs operations one after another and commits them in groups.

    Args:
        connection: the database's only writing connection, in autocommit mode.
        on_rollback: called when a batch, or an operation that had written, was undone, to drop what
            memory holds of it.
        executor: where commits wait for the disk; by default a thread of the writer's own.
        pace: says which commits the loop waits for itself. By default those that hardly wait, and
            none where there is an executor.
        on_commit: told how long the disk took for each commit, in seconds, and how many operations
            shared it.
        probe: told each commit point that a batch passes, see `COMMIT_POINTS`.
        lost: asked before each commit; returns why nothing that is written now would be kept.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        *,
        on_rollback: Callable[[], None] = lambda: None,
        executor: Executor | None = None,
        pace: Pace | None = None,
        on_commit: Callable[[float, int], None] = lambda seconds, operations: None,
        probe: Callable[[str], None] = lambda point: None,
        lost: Callable[[], sqlite3.Error | None] = lambda: None,
    ) -> None:
        self.connection = connection
        self._on_rollback = on_rollback
        self._thread = executor or ThreadPoolExecutor(1, thread_name_prefix="strait-commit")
        self._pace = pace or (Usual() if executor is None else Never())
        self._probe = probe
        self._lost = lost
        self._on_commit = on_commit
        self._changes_logged = connection.total_changes
        self._batch: list[_Operation[object]] = []
        self._waiting: deque[_Operation[object]] = deque()
        self._current: _Operation[object] | None = None
        self._committing = False
        self._scheduled = False
        self._changes_before = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.commits = 0
        # Why the last write failed; None once one succeeds.
        self.failing: Exception | None = None

    def submit(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Run `work` in a transaction; the future is done once its commit is on disk.

        An exception of `work` undoes what it wrote, nothing else, and is the future's exception.
        """
        operation = _Operation(work, asyncio.get_running_loop().create_future())
        self._idle.clear()
        if self._committing or self._current is not None or self._waiting:
            self._waiting.append(operation)
        else:
            self._run(operation)
            self._schedule()
        return operation.future

    def after_commit(self, action: Callable[[], None]) -> None:
        """Have `action` called once the operation that is running now is on disk."""
        if self._current is None:
            raise RuntimeError("`after_commit` is for operations of the writer")
        self._current.after.append(action)

    def if_undone(self, action: Callable[[], None]) -> None:
        """Have `action` called if the operation that is running now does not reach the disk."""
        if self._current is None:
            raise RuntimeError("`if_undone` is for operations of the writer")
        self._current.undone.append(action)

    async def drain(self) -> None:
        """Return when everything that was submitted is on disk."""
        await self._idle.wait()

    async def close(self) -> None:
        """Finish what was submitted and close the connection."""
        await self.drain()
        self._thread.shutdown(wait=True)
        self.connection.close()

    def _run(self, operation: _Operation[object]) -> None:
        connection = self.connection
        changes = connection.total_changes
        if not self._batch:
            self._changes_before = changes
        self._batch.append(operation)
        self._current = operation
        # The first one is undone with its transaction. A savepoint costs a copy of each page.
        shares = connection.in_transaction
        try:
            connection.execute("SAVEPOINT operation" if shares else "BEGIN IMMEDIATE")
            operation.value = operation.work()
            if shares:
                connection.execute("RELEASE operation")
        except StopIteration as error:
            # A future refuses to carry it, and its caller would wait for ever.
            stopped = RuntimeError("an operation of the writer raised StopIteration")
            stopped.__cause__ = error
            self._undo(operation, stopped, changes, shares=shares)
        except Exception as error:  # noqa: BLE001 - it is handed to whoever submitted the work
            self._undo(operation, error, changes, shares=shares)
        finally:
            self._current = None

    def _undo(
        self, operation: _Operation[object], error: Exception, changes_before: int, *, shares: bool
    ) -> None:
        operation.after.clear()
        operation.error = error
        if is_about_the_disk(error):
            operation.error = _unavailable(error)
            self.failing = error
        if shares and not self.connection.in_transaction:
            # After an I/O error SQLite may have undone the whole transaction.
            self._abandon(error)
            return
        if shares:
            self.connection.execute("ROLLBACK TO operation")
            self.connection.execute("RELEASE operation")
        elif self.connection.in_transaction:
            self.connection.execute("ROLLBACK")
        if self.connection.total_changes != changes_before or is_about_the_disk(error):
            self._on_rollback()
        _act_once(operation.undone)

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._commit)

    def _commit(self) -> None:
        self._scheduled = False
        if not self._batch:
            self._next_batch()
            return
        # What follows the batch may submit more, which must not begin before all of that is done.
        self._committing = True
        if not self._has_changes():
            # Nothing was written, so there is nothing to sync.
            self._finish(self._try_commit(), synced=False)
        elif self._pace.is_quick(len(self._batch)):
            self._finish(self._try_commit())
        else:
            self._in_thread(self._try_commit, self._finish)

    def _has_changes(self) -> bool:
        """Return whether the batch has written anything."""
        return self.connection.total_changes != self._changes_before

    def _in_thread(self, work: Callable[[], T], then: Callable[[T], None]) -> None:
        done = asyncio.get_running_loop().run_in_executor(self._thread, work)
        done.add_done_callback(lambda done: then(done.result()))

    def _try_commit(self) -> sqlite3.Error | float:
        """Commit, and return how long the disk took in seconds, or why it failed."""
        began = time.perf_counter()
        try:
            if self.connection.in_transaction:
                self._probe("worked")
                if self._has_changes() and (lost := self._lost()) is not None:
                    return lost
                self.connection.execute("COMMIT")
                self._probe("committed")
        except sqlite3.Error as error:
            return error
        return time.perf_counter() - began

    def _finish(self, outcome: sqlite3.Error | float, *, synced: bool = True) -> None:
        if isinstance(outcome, sqlite3.Error):
            self.failing = outcome
            self._abandon(outcome)
        else:
            self.commits += 1
            if synced and not any(isinstance(op.error, StoreUnavailable) for op in self._batch):
                self.failing = None
            if synced:
                self._pace.took(outcome, len(self._batch))
                self._on_commit(outcome, len(self._batch))
            batch, self._batch = self._batch, []
            for operation in batch:
                operation.settle()
            self._probe("answered")
            for operation in batch:
                _act(operation.after)
            self._probe("acted")
        if self._log_is_long():
            self._committing = True
            self._in_thread(self._empty_log, self._log_emptied)
        else:
            self._committing = False
            self._next_batch()

    def _log_is_long(self) -> bool:
        """Return whether the write-ahead log should go into the database now."""
        logged = self.connection.total_changes - self._changes_logged
        return logged >= (_CHANGES_AT_MOST if self._waiting else _CHANGES_AT_REST)

    def _empty_log(self) -> None:
        try:
            self.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error as error:
            # What is in the log is safe there; SQLite tries again once it is much longer.
            logger.warning("the write-ahead log could not be emptied: %s", error)

    def _log_emptied(self, _: None) -> None:
        self._committing = False
        self._changes_logged = self.connection.total_changes
        self._next_batch()

    def _next_batch(self) -> None:
        for _ in range(min(len(self._waiting), _BATCH_LIMIT)):
            self._run(self._waiting.popleft())
        if self._batch or self._waiting:
            self._schedule()
        else:
            self._idle.set()

    def _abandon(self, error: Exception) -> None:
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")
        batch, self._batch = self._batch, []
        for operation in batch:
            operation.after.clear()
            operation.fail(_unavailable(error))
        self._on_rollback()
        for operation in batch:
            _act_once(operation.undone)


def _act_once(actions: list[Callable[[], None]]) -> None:
    done = actions.copy()
    actions.clear()  # the operation's batch may be undone after it
    _act(done)


def _act(actions: list[Callable[[], None]]) -> None:
    for action in actions:
        try:
            action()
        except Exception:
            # What is on disk stands; one action that fails must not stop the writer.
            logger.exception("what follows a transaction failed")


def is_about_the_disk(error: BaseException) -> bool:
    """Tell whether the database could not do its work, which says nothing of the operation."""
    return isinstance(error, sqlite3.DatabaseError) and _code(error) in _REASONS


def reason(error: BaseException) -> str:
    """Return in words for a user why the database could not do its work."""
    if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_READONLY_DBMOVED:
        return "a file of the database was removed, moved or replaced"
    return _REASONS.get(_code(error), "the disk may be full")


def _code(error: BaseException) -> int:
    # The low byte of an extended code is its primary one. Errors of Python's own have none.
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


_BROKEN = "the database is broken, see `strait db check`"
_LOCKED = "another process has locked the database"
_REASONS = {
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "the disk reports an error; it is full, read-only, or a file too large",
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_READONLY: "the database is read-only",
    sqlite3.SQLITE_CANTOPEN: "a file of the database cannot be opened",
    sqlite3.SQLITE_NOMEM: "there is no memory left",
    sqlite3.SQLITE_CORRUPT: _BROKEN,
    sqlite3.SQLITE_NOTADB: _BROKEN,
}


def _unavailable(error: Exception) -> StoreUnavailable:
    unavailable = StoreUnavailable(f"the database could not be written: {error}")
    unavailable.__cause__ = error
    return unavailable
