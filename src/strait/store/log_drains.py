"""How far the history was sent to each log drain: a place in the ledger, not a row a line."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from typing import NamedTuple

from strait.store import ledger
from strait.store.ledger import Line

# So many lines are looked at for one batch, whoever they belong to.
_WINDOW = 5_000


class Batch(NamedTuple):
    """Lines to be sent, and the place in the ledger behind them.

    Attributes:
        lines: each with its place; there may be none that fit.
        end: the place that is reached when all of them are sent.
        last: whether the ledger ends there.
    """

    lines: list[tuple[int, Line]]
    end: int
    last: bool


def cursor(db: sqlite3.Connection, drain_id: str) -> int:
    """Return the place up to which a drain has everything."""
    row = db.execute(
        "SELECT ledger_id FROM drain_cursors WHERE drain_id = ?", (drain_id,)
    ).fetchone()
    return 0 if row is None else int(row[0])


def move(db: sqlite3.Connection, drain_id: str, place: int) -> None:
    """Write up to which place a drain has everything."""
    db.execute(
        "INSERT INTO drain_cursors (drain_id, ledger_id) VALUES (?, ?) "
        "ON CONFLICT (drain_id) DO UPDATE SET ledger_id = excluded.ledger_id",
        (drain_id, place),
    )


def forget(db: sqlite3.Connection, drain_id: str) -> None:
    """Drop the place of a drain that is gone."""
    db.execute("DELETE FROM drain_cursors WHERE drain_id = ?", (drain_id,))


def batch(
    db: sqlite3.Connection, project_id: str, levels: Collection[str], after: int, limit: int
) -> Batch:
    """Return lines of a project behind a place, oldest first.

    Args:
        db: a connection.
        project_id: whose lines.
        levels: the levels that are wanted, in small letters; none means all.
        after: the place behind which to begin.
        limit: the most lines.
    """
    end = ledger.end(db)
    window = min(after + _WINDOW, end)
    marks = ", ".join("?" for _ in levels)
    wanted = f" AND lower(level) IN ({marks})" if levels else ""
    rows = db.execute(
        "SELECT id, subject, seq, project_id, at, type, level, message, data FROM ledger "
        f"WHERE id > ? AND id <= ? AND project_id = ?{wanted} ORDER BY id LIMIT ?",
        (after, window, project_id, *levels, limit),
    ).fetchall()
    lines = [(int(place), Line(*rest)) for place, *rest in rows]
    reached = lines[-1][0] if len(lines) == limit else window
    return Batch(lines, reached, reached >= end)
