"""Whether the files that a server has open are still those that stand under their names.

A file that was removed or replaced can still be written by whoever has it open, and what is written
is gone with the process. SQLite looks for that only where it has no write-ahead log.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path


class Presence:
    """Remembers which files a database has; those that are not there yet are left out."""

    def __init__(self, files: Sequence[Path]) -> None:
        found = ((file, _identity(file)) for file in files)
        self._files = [(file, identity) for file, identity in found if identity is not None]

    def lost(self) -> sqlite3.Error | None:
        """Return the error of a database whose file is not the one that was opened, or None."""
        for file, identity in self._files:
            if _identity(file) != identity:
                error = sqlite3.OperationalError(
                    f"`{file}` was removed, moved or replaced while the server had it open; "
                    "put it back, or stop the server and restore a backup"
                )
                error.sqlite_errorcode = sqlite3.SQLITE_READONLY_DBMOVED
                return error
        return None


def files_of(database: Path) -> tuple[Path, ...]:
    """Return the files without which a write to a database is not kept, or not by one owner."""
    return tuple(database.with_name(database.name + end) for end in ("", "-wal", ".lock"))


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_dev, status.st_ino
