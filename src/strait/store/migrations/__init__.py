"""Versioned schema changes: each `NNNN_name.sql` beside this file is applied once, in order."""

from __future__ import annotations

import sqlite3
from functools import cache
from importlib import resources

from strait.store.connection import StoreError


def migrate(connection: sqlite3.Connection) -> int:
    """Bring the schema to the newest version and return that version.

    What is to be done runs in one transaction together with its version mark (`PRAGMA
    user_version`): the disk is waited for once, and no schema is left between two versions.

    Raises:
        StoreError: the database was written by a newer release.
    """
    (present,) = connection.execute("PRAGMA user_version").fetchone()
    if present > newest():
        raise StoreError(
            f"the database has schema version {present}, which a newer release wrote; "
            "upgrade strait-python, or choose another file with `--db`"
        )
    missing = [script for version, script in scripts() if version > present]
    if missing:
        mark = f"PRAGMA user_version={newest()};"
        connection.executescript("\n".join(["BEGIN IMMEDIATE;", *missing, mark, "COMMIT;"]))
    return newest()


def newest() -> int:
    """Return the newest version of the schema that this release knows."""
    return max(version for version, _ in scripts())


@cache
def scripts() -> tuple[tuple[int, str], ...]:
    """Return the changes in their order, as (version, SQL)."""
    files = sorted(resources.files(__package__).iterdir(), key=lambda entry: entry.name)
    return tuple(
        (int(entry.name.split("_", 1)[0]), entry.read_text(encoding="utf-8"))
        for entry in files
        if entry.name.endswith(".sql")
    )
