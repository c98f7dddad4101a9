"""The starts that throttles have let through lately."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from strait.clock import Timestamp


def add(
    db: sqlite3.Connection, throttle_id: str, key: str, at: Timestamp, *, forget_before: Timestamp
) -> None:
    """Write a start down, and drop the older ones of its key that count no more."""
    db.execute(
        "DELETE FROM throttle_starts WHERE throttle_id = ? AND key = ? AND at <= ?",
        (throttle_id, key, forget_before),
    )
    db.execute(
        "INSERT INTO throttle_starts (throttle_id, key, at) VALUES (?, ?, ?)",
        (throttle_id, key, at),
    )


def everything(db: sqlite3.Connection) -> Iterator[tuple[str, str, Timestamp]]:
    """Iterate over all starts, the oldest first."""
    return iter(db.execute("SELECT throttle_id, key, at FROM throttle_starts ORDER BY at"))


def forget(db: sqlite3.Connection, throttle_id: str) -> None:
    """Drop the starts of a throttle that is gone."""
    db.execute("DELETE FROM throttle_starts WHERE throttle_id = ?", (throttle_id,))


def forget_old(db: sqlite3.Connection, before: Timestamp, *, limit: int) -> int:
    """Drop some starts that are older than any throttle looks back; return how many."""
    return db.execute(
        "DELETE FROM throttle_starts WHERE rowid IN "
        "(SELECT rowid FROM throttle_starts WHERE at < ? LIMIT ?)",
        (before, limit),
    ).rowcount
