"""What is done to a database from outside of a server: looking it over, vacuum, migration.

Nothing here decides anything about runs. Whatever writes takes the ownership of the database first,
so that no server is beside it; whatever only reads may run beside one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from strait.fsm import RunStatus, StepRunStatus, WorkflowRunStatus
from strait.store import migrations
from strait.store.connection import StoreError, open_writer, refuse_network_file_system
from strait.store.owner import Ownership

# What SQLite keeps beside a database in WAL mode.
SIDE_FILES = ("-wal", "-shm")
# A broken file can be broken in thousands of places; the first ones say enough.
_MOST_PROBLEMS = 20
_TEXT_BYTES = 32


class Table(NamedTuple):
    """A table: its name, its rows, and the bytes of its pages and those of its indexes.

    `size_bytes` is None where this SQLite was built without `dbstat`.
    """

    name: str
    rows: int
    size_bytes: int | None


class Report(NamedTuple):
    """What `check` found.

    Attributes:
        path: the database.
        version: the version of its schema.
        newest_version: the newest version that this release knows.
        size_bytes: the size of the file and of its write-ahead log.
        tables: its tables; none where they cannot be read.
        problems: what is wrong, in words; none where all is well.
    """

    path: Path
    version: int
    newest_version: int
    size_bytes: int
    tables: tuple[Table, ...]
    problems: tuple[str, ...]


class Migrated(NamedTuple):
    """The version of a schema before a migration and after it."""

    before: int
    after: int


class Vacuumed(NamedTuple):
    """The size of a database before it was rewritten and afterwards."""

    before_bytes: int
    after_bytes: int


def open_to_look(path: Path) -> sqlite3.Connection:
    """Open a connection that cannot write, not even a checkpoint of what it reads.

    Raises:
        StoreError: there is no such file, or SQLite cannot open it.
    """
    if not path.is_file():
        raise StoreError(f"there is no database `{path}`; name another one with `--db`")
    address = f"{path.resolve().as_uri()}?mode=ro"
    try:
        connection = sqlite3.connect(address, uri=True, isolation_level=None)
        connection.execute("PRAGMA busy_timeout=5000")
        connection.execute("PRAGMA schema_version").fetchone()
    except sqlite3.Error as error:
        raise StoreError(f"cannot open the database `{path}`: {error}") from error
    return connection


@contextmanager
def owned(path: Path, *, must_exist: bool = True) -> Iterator[None]:
    """Own a database for a while.

    Raises:
        OwnedError: a server, or another command, has it.
        StoreError: there is no such file.
    """
    refuse_network_file_system(path)
    if must_exist and not path.is_file():
        raise StoreError(f"there is no database `{path}`; name another one with `--db`")
    path.parent.mkdir(parents=True, exist_ok=True)
    owner = Ownership(path)
    try:
        yield
    finally:
        owner.release()


# ------------------------------------------------------------------------------------------ check


def check(path: Path) -> Report:
    """Look a database over, beside a server that uses it or without one.

    It reads every page: SQLite's own `integrity_check`, then that the history of every run has no
    gap, that every status is one of ours, and that a row says the same as its record.

    Raises:
        StoreError: there is no such file, or it is no database at all.
    """
    with closing(open_to_look(path)) as db:
        newest = migrations.newest()
        try:
            # One snapshot for all of it: a server may write meanwhile.
            db.execute("BEGIN")
            (version,) = db.execute("PRAGMA user_version").fetchone()
            tables = tuple(_tables(db))
            problems = list(_problems(db, version, newest))
        except sqlite3.DatabaseError as error:
            version, tables, problems = 0, (), [f"it cannot be read: {error}"]
        return Report(path, version, newest, size_of(path), tables, tuple(problems))


def size_of(path: Path) -> int:
    """Return the bytes of a database with what SQLite keeps beside it."""
    files = (path, path.with_name(path.name + "-wal"))
    return sum(file.stat().st_size for file in files if file.exists())


def _tables(db: sqlite3.Connection) -> Iterator[Table]:
    sizes = _sizes(db)
    names = db.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' "
        "ORDER BY name"
    ).fetchall()
    for (name,) in names:
        (rows,) = db.execute(f'SELECT count(*) FROM "{name}"').fetchone()
        yield Table(name, rows, sizes.get(name, 0) if sizes else None)


def _sizes(db: sqlite3.Connection) -> dict[str, int]:
    try:
        rows = db.execute(
            "SELECT tbl_name, sum(pgsize) FROM dbstat JOIN sqlite_schema USING (name) "
            "WHERE aggregate = 1 GROUP BY tbl_name"
        )
        return dict(rows.fetchall())
    except sqlite3.OperationalError:
        return {}


def _problems(db: sqlite3.Connection, version: int, newest: int) -> Iterator[str]:
    found = db.execute(f"PRAGMA integrity_check({_MOST_PROBLEMS})").fetchall()
    broken = [str(line) for (line,) in found if line != "ok"]
    yield from broken
    if version == 0:
        yield "it is no database of strait: it has no schema"
    elif version > newest:
        yield f"its schema has version {version}, not up to {newest}: upgrade strait-python"
    elif not broken:
        yield from _gaps(db)
        for table, column, lawful in _STATUSES:
            yield from _unlawful(db, table, column, lawful)


def _gaps(db: sqlite3.Connection) -> Iterator[str]:
    rows = db.execute(
        "SELECT subject, count(*), min(seq), max(seq) FROM ledger GROUP BY subject "
        "HAVING min(seq) <> 1 OR max(seq) <> count(*) LIMIT ?",
        (_MOST_PROBLEMS,),
    )
    for subject, count, first, last in rows:
        yield f"the history of `{subject}` has a gap: {count} lines, numbered {first} to {last}"


def _unlawful(
    db: sqlite3.Connection, table: str, column: str, lawful: frozenset[str]
) -> Iterator[str]:
    marks = ", ".join(f"'{status}'" for status in sorted(lawful))
    rows = db.execute(
        f"SELECT id, {column}, doc ->> 'status' FROM {table} "
        f"WHERE {column} NOT IN ({marks}) OR {column} IS NOT doc ->> 'status' LIMIT ?",
        (_MOST_PROBLEMS,),
    )
    for row_id, status, recorded in rows:
        text = str(status)[:_TEXT_BYTES]
        yield f"`{row_id}` of `{table}` has status {text!r}, and its record says {recorded!r}"


_STATUSES = (
    ("runs", "status", frozenset(RunStatus)),
    ("workflow_runs", "status", frozenset(WorkflowRunStatus)),
    ("step_runs", "doc ->> 'status'", frozenset(StepRunStatus)),
)


# ------------------------------------------------------------------------------ vacuum, migration


def vacuum(path: Path) -> Vacuumed:
    """Rewrite a database without the room that deleted rows have left.

    Raises:
        OwnedError: a server has it.
        StoreError: it cannot be written.
    """
    with owned(path):
        before = size_of(path)
        with closing(_open_to_write(path)) as db:
            rewrite(db, path)
        return Vacuumed(before, size_of(path))


def rewrite(db: sqlite3.Connection, path: Path) -> None:
    """Rewrite a database and empty its write-ahead log.

    Raises:
        StoreError: there is no room, or the file is broken.
    """
    try:
        # The copy is as large as the database; it belongs on a disk.
        db.execute("PRAGMA temp_store=FILE")
        db.execute("VACUUM")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.Error as error:
        raise StoreError(
            f"`{path}` could not be rewritten and is as it was: {error}; a rewrite needs free room "
            "of twice its size"
        ) from error


def migrate(path: Path) -> Migrated:
    """Bring the schema of a database to the newest version.

    Raises:
        OwnedError: a server has it.
        StoreError: a newer release wrote it, or it cannot be written.
    """
    with owned(path), closing(_open_to_write(path)) as db:
        (before,) = db.execute("PRAGMA user_version").fetchone()
        try:
            return Migrated(before, migrations.migrate(db))
        except sqlite3.Error as error:
            raise StoreError(
                f"`{path}` could not be migrated beyond version {before}: {error}"
            ) from error


def _open_to_write(path: Path) -> sqlite3.Connection:
    try:
        return open_writer(path)
    except sqlite3.Error as error:
        raise StoreError(f"cannot write the database `{path}`: {error}") from error
