"""The last tick of each schedule that was answered."""

from __future__ import annotations

import sqlite3

from strait.clock import Timestamp


def last(db: sqlite3.Connection, kind: str, owner_id: str) -> Timestamp | None:
    """Return when a schedule was answered last, or None."""
    row = db.execute(
        "SELECT last_fire FROM schedules WHERE kind = ? AND owner_id = ?", (kind, owner_id)
    ).fetchone()
    return None if row is None else str(row[0])


def mark(db: sqlite3.Connection, kind: str, owner_id: str, at: Timestamp) -> None:
    """Write down that a schedule was answered up to an instant."""
    db.execute(
        "INSERT INTO schedules (kind, owner_id, last_fire) VALUES (?, ?, ?) "
        "ON CONFLICT (kind, owner_id) DO UPDATE SET last_fire = excluded.last_fire",
        (kind, owner_id, at),
    )
