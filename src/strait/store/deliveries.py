"""The outbox: messages to the outside, from the transaction that causes them until they arrive."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from strait.clock import Timestamp
from strait.engine.deliveries import Delivery

_FIELDS = Delivery.__struct_fields__
_COLUMNS = ", ".join(_FIELDS)
_MARKS = ", ".join("?" for _ in _FIELDS)


def insert(db: sqlite3.Connection, delivery: Delivery) -> None:
    """Insert a delivery."""
    db.execute(f"INSERT INTO deliveries ({_COLUMNS}) VALUES ({_MARKS})", _values(delivery))


def save(db: sqlite3.Connection, delivery: Delivery) -> None:
    """Write what has become of a delivery."""
    db.execute(
        "UPDATE deliveries SET status = ?, attempts = ?, due_at = ?, updated_at = ?, "
        "delivered_at = ?, last_status_code = ?, last_error = ?, latency_ms = ? WHERE id = ?",
        (
            delivery.status,
            delivery.attempts,
            delivery.due_at,
            delivery.updated_at,
            delivery.delivered_at,
            delivery.last_status_code,
            delivery.last_error,
            delivery.latency_ms,
            delivery.id,
        ),
    )


def get(db: sqlite3.Connection, delivery_id: str) -> Delivery | None:
    """Return a delivery, or None."""
    row = db.execute(f"SELECT {_COLUMNS} FROM deliveries WHERE id = ?", (delivery_id,)).fetchone()
    return None if row is None else Delivery(**dict(zip(_FIELDS, row, strict=True)))


def due(db: sqlite3.Connection, address: str, now: Timestamp, limit: int) -> list[Delivery]:
    """Return deliveries to an address whose time has come, the longest due first."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM deliveries WHERE status = 'pending' AND address = ? "
        "AND due_at <= ? ORDER BY due_at, seq LIMIT ?",
        (address, now, limit),
    )
    return [Delivery(**dict(zip(_FIELDS, row, strict=True))) for row in rows]


def next_due(db: sqlite3.Connection, address: str, now: Timestamp) -> Timestamp:
    """Return the first instant after `now` at which a delivery to an address is due, or ""."""
    (instant,) = db.execute(
        "SELECT min(due_at) FROM deliveries WHERE status = 'pending' AND address = ? "
        "AND due_at > ?",
        (address, now),
    ).fetchone()
    return instant or ""


def open_addresses(db: sqlite3.Connection) -> list[str]:
    """Return the addresses that something is to be sent to."""
    rows = db.execute("SELECT DISTINCT address FROM deliveries WHERE status = 'pending'")
    return [address for (address,) in rows]


def was_made(
    db: sqlite3.Connection, target_id: str, event_type: str, subject_id: str, since: Timestamp
) -> bool:
    """Return whether a receiver was sent an event about a subject since an instant."""
    row = db.execute(
        "SELECT 1 FROM deliveries WHERE target_id = ? AND event_type = ? AND subject_id = ? "
        "AND created_at >= ?",
        (target_id, event_type, subject_id, since),
    ).fetchone()
    return row is not None


def page(
    db: sqlite3.Connection,
    project_id: str,
    kinds: Sequence[str],
    *,
    status: str = "",
    before: Timestamp,
    limit: int,
) -> list[Delivery]:
    """Return deliveries of a project of some kinds, newest first."""
    marks = ", ".join("?" for _ in kinds)
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM deliveries WHERE project_id = ? AND kind IN ({marks}) "
        "AND (? = '' OR status = ?) AND created_at < ? ORDER BY created_at DESC LIMIT ?",
        (project_id, *kinds, status, status, before, limit),
    )
    return [Delivery(**dict(zip(_FIELDS, row, strict=True))) for row in rows]


def outbox(
    db: sqlite3.Connection, project_id: str, before: tuple[Timestamp, str], *, limit: int
) -> list[Delivery]:
    """Return what waits to be sent and what was given up, newest first.

    Args:
        db: a connection.
        project_id: whose.
        before: the instant and the id of the one behind which to begin.
        limit: the most rows.
    """
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM deliveries WHERE project_id = ? AND status <> 'delivered' "
        "AND (created_at, id) < (?, ?) ORDER BY created_at DESC, id DESC LIMIT ?",
        (project_id, *before, limit),
    )
    return [Delivery(**dict(zip(_FIELDS, row, strict=True))) for row in rows]


def delete(db: sqlite3.Connection, delivery_id: str) -> None:
    """Delete a delivery."""
    db.execute("DELETE FROM deliveries WHERE id = ?", (delivery_id,))


def forget(db: sqlite3.Connection, before: Timestamp, *, limit: int) -> int:
    """Drop deliveries that were settled before an instant, at most `limit`; return how many."""
    return db.execute(
        "DELETE FROM deliveries WHERE seq IN (SELECT seq FROM deliveries "
        "WHERE status <> 'pending' AND updated_at < ? LIMIT ?)",
        (before, limit),
    ).rowcount


def _values(delivery: Delivery) -> tuple[object, ...]:
    return tuple(getattr(delivery, name) for name in _FIELDS)
