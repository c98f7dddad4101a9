"""Plain records of every kind, in one table: what differs between kinds is declared elsewhere."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Mapping
from typing import Any, TypeAlias

from msgspec import Struct, json

from strait.clock import Timestamp

_COLUMNS = "id, project_id, created_at, updated_at, owner_id, unique_key, fields, sealed"
END_OF_TIME = "9999"

Matching: TypeAlias = Mapping[str, str | Collection[str]]
"""By field, the value that it must have, or those of which it must have one."""


class Record(Struct, frozen=True, kw_only=True):
    """One record.

    Attributes:
        id: unique among those of its kind.
        project_id: the project that it belongs to.
        created_at: when it was made.
        updated_at: when it was changed last.
        owner_id: the record that it goes with, or "".
        unique_key: what no other record of its kind and project has, or None.
        fields: what was given, by the names of the API.
        sealed: encrypted texts, by the names of their fields.
    """

    id: str
    project_id: str
    created_at: Timestamp
    updated_at: Timestamp
    owner_id: str = ""
    unique_key: str | None = None
    fields: dict[str, Any]
    sealed: dict[str, str] = {}


def insert(db: sqlite3.Connection, kind: str, record: Record) -> None:
    """Insert a record.

    Raises:
        sqlite3.IntegrityError: its unique key is taken.
    """
    db.execute(
        f"INSERT INTO records (kind, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            kind,
            record.id,
            record.project_id,
            record.created_at,
            record.updated_at,
            record.owner_id,
            record.unique_key,
            _text(record.fields),
            _text(record.sealed),
        ),
    )


def update(db: sqlite3.Connection, kind: str, record: Record) -> None:
    """Write a changed record.

    Raises:
        sqlite3.IntegrityError: its unique key is taken.
    """
    db.execute(
        "UPDATE records SET updated_at = ?, owner_id = ?, unique_key = ?, fields = ?, sealed = ? "
        "WHERE kind = ? AND id = ?",
        (
            record.updated_at,
            record.owner_id,
            record.unique_key,
            _text(record.fields),
            _text(record.sealed),
            kind,
            record.id,
        ),
    )


def delete(db: sqlite3.Connection, kind: str, record_id: str) -> None:
    """Delete a record."""
    db.execute("DELETE FROM records WHERE kind = ? AND id = ?", (kind, record_id))


def delete_owned(db: sqlite3.Connection, kind: str, owner_id: str) -> None:
    """Delete the records that go with another one."""
    db.execute("DELETE FROM records WHERE kind = ? AND owner_id = ?", (kind, owner_id))


def get(db: sqlite3.Connection, kind: str, record_id: str) -> Record | None:
    """Return a record, or None."""
    row = db.execute(
        f"SELECT {_COLUMNS} FROM records WHERE kind = ? AND id = ?", (kind, record_id)
    ).fetchone()
    return None if row is None else _record(row)


def by_key(db: sqlite3.Connection, kind: str, project_id: str, unique_key: str) -> Record | None:
    """Return the record of a project with this unique key, or None."""
    row = db.execute(
        f"SELECT {_COLUMNS} FROM records WHERE kind = ? AND project_id = ? AND unique_key = ?",
        (kind, project_id, unique_key),
    ).fetchone()
    return None if row is None else _record(row)


def page(
    db: sqlite3.Connection,
    kind: str,
    project_id: str,
    *,
    matching: Matching | None = None,
    before: Timestamp = END_OF_TIME,
    limit: int = -1,
) -> list[Record]:
    """Return records of a project, newest first.

    Args:
        db: the database.
        kind: which records.
        project_id: the project.
        matching: values that fields must have; of several, one.
        before: what they must be older than.
        limit: how many at most; negative is all.
    """
    wanted = {
        name: json.encode([value] if isinstance(value, str) else sorted(value)).decode()
        for name, value in (matching or {}).items()
    }
    conditions = "".join(
        f" AND fields ->> '$.{name}' IN (SELECT value FROM json_each(?))" for name in wanted
    )
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM records WHERE kind = ? AND project_id = ? AND created_at < ?"
        f"{conditions} ORDER BY created_at DESC LIMIT ?",
        (kind, project_id, before, *wanted.values(), limit),
    )
    return [_record(row) for row in rows]


def owned(db: sqlite3.Connection, kind: str, owner_id: str) -> list[Record]:
    """Return the records that go with another one, newest first."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM records WHERE kind = ? AND owner_id = ? ORDER BY created_at DESC",
        (kind, owner_id),
    )
    return [_record(row) for row in rows]


def levels_below(
    db: sqlite3.Connection, kind: str, project_id: str, name: str, record_id: str
) -> int:
    """Return how many levels of records come below one that they name in a field.

    Those that name it are the first level, those that name them the second. None may be below
    itself.
    """
    levels, above = 0, [record_id]
    while above:
        rows = page(db, kind, project_id, matching={name: above})
        above = [row.id for row in rows]
        levels += bool(above)
    return levels


def everything(db: sqlite3.Connection, kind: str) -> Iterator[Record]:
    """Iterate over the records of a kind in all projects, oldest first."""
    rows = db.execute(f"SELECT {_COLUMNS} FROM records WHERE kind = ? ORDER BY created_at", (kind,))
    return (_record(row) for row in rows)


def _record(row: tuple[Any, ...]) -> Record:
    return Record(
        id=row[0],
        project_id=row[1],
        created_at=row[2],
        updated_at=row[3],
        owner_id=row[4],
        unique_key=row[5],
        fields=json.decode(row[6]),
        sealed=json.decode(row[7]),
    )


def _text(value: object) -> str:
    return json.encode(value).decode()
