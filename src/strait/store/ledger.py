"""The append-only history of runs and workflow runs."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from msgspec import json

from strait.clock import Timestamp
from strait.engine.entries import Entry

_encoder = json.Encoder()


class Line(NamedTuple):
    """An entry as it is stored; `data` is JSON text."""

    subject: str
    seq: int
    project_id: str
    at: Timestamp
    type: str
    level: str
    message: str
    data: str | None

    @property
    def id(self) -> str:
        """The identity of the line, which also tells its place."""
        return f"{self.subject}:{self.seq}"


class Tails:
    """The last sequence numbers of the subjects that were written lately, in memory."""

    _MOST = 20_000

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def of(self, db: sqlite3.Connection, subject: str) -> int:
        """Return the last sequence number of a subject; 0 when it has no entry."""
        known = self._known.get(subject)
        if known is not None:
            return known
        (last,) = db.execute(
            "SELECT coalesce(max(seq), 0) FROM ledger WHERE subject = ?", (subject,)
        ).fetchone()
        return int(last)

    def put(self, subject: str, seq: int) -> None:
        """Remember what was written last."""
        if len(self._known) >= self._MOST:
            self._known.clear()
        self._known[subject] = seq

    def forget(self) -> None:
        """Read all anew; called when something was undone."""
        self._known.clear()


def append(
    db: sqlite3.Connection,
    subject: str,
    project_id: str,
    at: Timestamp,
    entries: Sequence[Entry],
    *,
    last: int,
) -> list[Line]:
    """Write entries behind the last one of their subject and return them as stored."""
    written = [
        Line(
            subject,
            last + n,
            project_id,
            at,
            entry.type,
            entry.level,
            entry.message,
            None if entry.data is None else _encoder.encode(entry.data).decode(),
        )
        for n, entry in enumerate(entries, 1)
    ]
    db.executemany(
        "INSERT INTO ledger (subject, seq, project_id, at, type, level, message, data) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        written,
    )
    return written


def lines(
    db: sqlite3.Connection, subject: str, *, after: int = 0, limit: int = 1_000
) -> list[Line]:
    """Return the lines of a subject behind sequence number `after`, oldest first."""
    rows = db.execute(
        "SELECT subject, seq, project_id, at, type, level, message, data FROM ledger "
        "WHERE subject = ? AND seq > ? ORDER BY seq LIMIT ?",
        (subject, after, limit),
    )
    return [Line(*row) for row in rows]


def search(
    db: sqlite3.Connection,
    subject: str,
    *,
    level: str = "",
    type: str = "",
    after: int = 0,
    since: Timestamp = "",
    limit: int,
) -> list[Line]:
    """Return the lines of a subject of one level or type, oldest first.

    Args:
        db: a connection.
        subject: the run or workflow run.
        level: only lines of this level.
        type: only lines of this type.
        after: only lines behind this sequence number.
        since: only lines that are younger than this.
        limit: the most lines.
    """
    rows = db.execute(
        "SELECT subject, seq, project_id, at, type, level, message, data FROM ledger "
        "WHERE subject = :subject AND (:level = '' OR level = :level) "
        "AND (:type = '' OR type = :type) AND seq > :after AND at > :since "
        "ORDER BY seq LIMIT :limit",
        {
            "subject": subject,
            "level": level,
            "type": type,
            "after": after,
            "since": since,
            "limit": limit,
        },
    )
    return [Line(*row) for row in rows]
