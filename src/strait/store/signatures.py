"""Signatures that were taken lately, so that nobody sends a signed event a second time."""

from __future__ import annotations

import sqlite3

from strait.clock import Timestamp


def see(db: sqlite3.Connection, signature: str, now: Timestamp, oldest: Timestamp) -> bool:
    """Remember a signature; return False where it was seen since `oldest`."""
    db.execute("DELETE FROM seen_signatures WHERE seen_at < ?", (oldest,))
    made = db.execute(
        "INSERT INTO seen_signatures (signature, seen_at) VALUES (?, ?) ON CONFLICT DO NOTHING",
        (signature, now),
    )
    return made.rowcount > 0
