"""`apsw` in the clothes of `sqlite3`, as far as the store wears them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

import apsw


class _Rows:
    """What an `execute` returns."""

    def __init__(self, cursor: apsw.Cursor, rowcount: int) -> None:
        self._cursor = cursor
        self.rowcount = rowcount

    def fetchone(self) -> Any:
        return self._cursor.fetchone()

    def fetchall(self) -> list[Any]:
        return list(self._cursor.fetchall())

    def __iter__(self) -> Iterator[Any]:
        return iter(self._cursor)


class Connection:
    """A connection."""

    def __init__(self, path: str, vfs: str) -> None:
        self._db = apsw.Connection(path, vfs=vfs)

    def execute(self, sql: str, parameters: Any = ()) -> _Rows:
        before = self._db.total_changes()
        try:
            cursor = self._db.execute(sql, parameters)
        except apsw.ConstraintError as error:
            raise sqlite3.IntegrityError(str(error)) from error
        except apsw.Error as error:
            mapped = sqlite3.OperationalError(str(error))
            mapped.sqlite_errorcode = error.extendedresult
            raise mapped from error
        return _Rows(cursor, self._db.total_changes() - before)

    def executescript(self, script: str) -> _Rows:
        return self.execute(script)

    def executemany(self, sql: str, rows: Any) -> None:
        for row in rows:
            self.execute(sql, row)

    @property
    def in_transaction(self) -> bool:
        return self._db.in_transaction

    @property
    def total_changes(self) -> int:
        return self._db.total_changes()

    def close(self) -> None:
        self._db.close()


def connect_on(vfs: str) -> Callable[..., Any]:
    """Return what opens connections on a disk of ours."""

    def connect(path: str, **options: Any) -> Connection:
        return Connection(path, vfs)

    return connect
