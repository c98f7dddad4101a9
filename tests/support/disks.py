"""A disk that is full when a test says so, as SQLite tells of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

_WRITES = ("INSERT", "UPDATE", "DELETE", "REPLACE")


class Disk:
    """What connections to a database lie on.

    Args:
        refuses: asked before each statement that writes, and each `COMMIT`, whether it fails.
        undoes: asked when one fails whether SQLite undoes the whole transaction with it, as it
            does after some errors.
    """

    def __init__(
        self, refuses: Callable[[str], bool], undoes: Callable[[], bool] = lambda: False
    ) -> None:
        self._refuses = refuses
        self._undoes = undoes

    def connect(self, path: str, **options: Any) -> sqlite3.Connection:
        """Open a connection, in place of `sqlite3.connect`."""
        connection = sqlite3.connect(path, factory=_Connection, **options)
        connection.before = self._before
        return connection

    def _before(self, connection: _Connection, sql: str) -> None:
        is_commit = sql == "COMMIT"
        if not (is_commit or sql.startswith(_WRITES)) or not self._refuses(sql):
            return
        if connection.in_transaction and self._undoes():
            super(_Connection, connection).execute("ROLLBACK")
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error


class _Connection(sqlite3.Connection):
    before: Callable[[_Connection, str], None] = staticmethod(lambda connection, sql: None)

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        self.before(self, sql)
        return super().execute(sql, *parameters)

    def executemany(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        self.before(self, sql)
        return super().executemany(sql, *parameters)
