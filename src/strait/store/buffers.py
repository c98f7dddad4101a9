"""Triggers that wait to become one run."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from strait.clock import Timestamp


class Buffered(NamedTuple):
    """A trigger that waits: what it asks for, and its payload, both as JSON text."""

    request: str
    payload: str


def put_debounced(
    db: sqlite3.Connection, job_id: str, key: str, fire_at: Timestamp, trigger: Buffered
) -> None:
    """Keep a trigger in place of the one before it."""
    db.execute(
        "INSERT OR REPLACE INTO debounces (job_id, key, fire_at, request, payload) "
        "VALUES (?, ?, ?, ?, ?)",
        (job_id, key, fire_at, *trigger),
    )


def debounced(db: sqlite3.Connection, job_id: str, key: str) -> tuple[Timestamp, Buffered] | None:
    """Return the trigger that waits under a key, and until when, or None."""
    row = db.execute(
        "SELECT fire_at, request, payload FROM debounces WHERE job_id = ? AND key = ?",
        (job_id, key),
    ).fetchone()
    return None if row is None else (row[0], Buffered(row[1], row[2]))


def drop_debounced(db: sqlite3.Connection, job_id: str, key: str) -> None:
    """Forget the trigger that waits under a key."""
    db.execute("DELETE FROM debounces WHERE job_id = ? AND key = ?", (job_id, key))


def add_to_batch(
    db: sqlite3.Connection, job_id: str, key: str, fire_at: Timestamp, trigger: Buffered
) -> int:
    """Add a trigger to a batch and return how many the batch has now."""
    db.execute(
        "INSERT INTO batch_items (job_id, key, fire_at, request, payload) VALUES (?, ?, ?, ?, ?)",
        (job_id, key, fire_at, *trigger),
    )
    (count,) = db.execute(
        "SELECT count(*) FROM batch_items WHERE job_id = ? AND key = ?", (job_id, key)
    ).fetchone()
    return int(count)


def batch(db: sqlite3.Connection, job_id: str, key: str) -> tuple[Timestamp, list[Buffered]]:
    """Return a batch, oldest item first, and when the oldest has waited long enough."""
    rows = db.execute(
        "SELECT fire_at, request, payload FROM batch_items WHERE job_id = ? AND key = ? "
        "ORDER BY seq",
        (job_id, key),
    ).fetchall()
    return (rows[0][0] if rows else ""), [Buffered(row[1], row[2]) for row in rows]


def drop_batch(db: sqlite3.Connection, job_id: str, key: str) -> None:
    """Forget a batch."""
    db.execute("DELETE FROM batch_items WHERE job_id = ? AND key = ?", (job_id, key))


def everything(db: sqlite3.Connection) -> list[tuple[str, str, str, Timestamp]]:
    """Return (kind, job id, key, instant) of all that waits; kinds are `debounce` and `batch`."""
    rows = db.execute(
        "SELECT 'debounce', job_id, key, fire_at FROM debounces UNION ALL "
        "SELECT 'batch', job_id, key, min(fire_at) FROM batch_items GROUP BY job_id, key"
    )
    return rows.fetchall()
