"""Versioned schema changes: each `NNNN_name.sql` beside this file is applied once, in order."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from importlib import resources

from strait.store.connection import StoreError


def migrate(connection: sqlite3.Connection) -> int:
    """Bring the schema to the newest version and return that version.

    Each file runs in one transaction together with its version mark (`PRAGMA user_version`).

    Raises:
        StoreError: the database was written by a newer release.
    """
    (present,) = connection.execute("PRAGMA user_version").fetchone()
    newest = present
    for version, script in scripts():
        newest = max(newest, version)
        if version > present:
            connection.executescript(
                f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version={version};\nCOMMIT;"
            )
    if present > max((version for version, _ in scripts()), default=0):
        raise StoreError(
            f"the database has schema version {present}, which a newer release wrote; "
            "upgrade strait-python, or choose another file with `--db`"
        )
    return int(newest)


def newest() -> int:
    """Return the newest version of the schema that this release knows."""
    return max(version for version, _ in scripts())


def scripts() -> Iterator[tuple[int, str]]:
    """Iterate over the changes in their order, as (version, SQL)."""
    files = resources.files(__package__)
    for entry in sorted(files.iterdir(), key=lambda e: e.name):
        if entry.name.endswith(".sql"):
            yield int(entry.name.split("_", 1)[0]), entry.read_text(encoding="utf-8")
