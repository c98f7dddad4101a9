"""The append-only history of runs and workflow runs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
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
        return last_seq(db, subject)

    def put(self, subject: str, seq: int) -> None:
        """Remember what was written last."""
        if len(self._known) >= self._MOST:
            self._known.clear()
        self._known[subject] = seq

    def forget(self) -> None:
        """Read all anew; called when something was undone."""
        self._known.clear()


def size_of(line: Line) -> int:
    """Return how many bytes a line takes in memory, more or less."""
    return _OVERHEAD + len(line.message) + len(line.data or "")


# What a line holds besides its message and its data.
_OVERHEAD = 500


class Change(NamedTuple):
    """A change of status, its place in the whole ledger, and what it is a run of."""

    place: int
    job_id: str
    workflow_id: str
    line: Line


class Changes(NamedTuple):
    """Changes of status, and the place that they reach to."""

    rows: list[Change]
    reached: int
    last: bool


# So many lines are looked at for one answer, whoever they belong to.
_WINDOW = 5_000


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
    written = _lines(subject, project_id, at, entries, last)
    _insert(db, written)
    return written


def begin(
    db: sqlite3.Connection,
    project_id: str,
    subjects: Iterable[tuple[str, Timestamp, Sequence[Entry]]],
) -> int:
    """Write the first entries of new subjects, each with its instant; return how many they are."""
    written = [
        line
        for subject, at, entries in subjects
        for line in _lines(subject, project_id, at, entries, 0)
    ]
    _insert(db, written)
    return len(written)


def _lines(
    subject: str, project_id: str, at: Timestamp, entries: Sequence[Entry], last: int
) -> list[Line]:
    return [
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


def _insert(db: sqlite3.Connection, lines: list[Line]) -> None:
    db.executemany(
        "INSERT INTO ledger (subject, seq, project_id, at, type, level, message, data) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        lines,
    )


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


def last_seq(db: sqlite3.Connection, subject: str) -> int:
    """Return the number of the newest line of a subject, or 0."""
    (last,) = db.execute(
        "SELECT coalesce(max(seq), 0) FROM ledger WHERE subject = ?", (subject,)
    ).fetchone()
    return int(last)


def changed_at(db: sqlite3.Connection, subject: str) -> Timestamp | None:
    """Return when a subject last changed its status, or None."""
    row = db.execute(
        "SELECT at FROM ledger WHERE subject = ? AND type = 'state_change' "
        "ORDER BY seq DESC LIMIT 1",
        (subject,),
    ).fetchone()
    return None if row is None else row[0]


def end(db: sqlite3.Connection) -> int:
    """Return the place of the newest line of all."""
    (last,) = db.execute("SELECT coalesce(max(id), 0) FROM ledger").fetchone()
    return int(last)


def changes(db: sqlite3.Connection, project_id: str, *, after: int, limit: int) -> Changes:
    """Return how the runs and workflow runs of a project moved on behind a place, oldest first.

    So that a long ledger of others is never read in one go, the answer may hold fewer than `limit`
    although there are more: `last` says whether it reached the end.
    """
    last = end(db)
    window = min(after + _WINDOW, last)
    rows = db.execute(
        "SELECT line.id, coalesce(run.job_id, ''), coalesce(workflow_run.workflow_id, ''), "
        "line.subject, line.seq, line.project_id, line.at, line.type, line.level, line.message, "
        "line.data FROM ledger AS line LEFT JOIN runs AS run ON run.id = line.subject "
        "LEFT JOIN workflow_runs AS workflow_run ON workflow_run.id = line.subject "
        "WHERE line.id > ? AND line.id <= ? AND line.project_id = ? "
        "AND line.type = 'state_change' ORDER BY line.id LIMIT ?",
        (after, window, project_id, limit),
    ).fetchall()
    found = [Change(place, job, workflow, Line(*rest)) for place, job, workflow, *rest in rows]
    reached = found[-1].place if len(found) == limit else max(after, window)
    return Changes(found, reached, reached >= last)


def drop(db: sqlite3.Connection, subject: str) -> None:
    """Delete the lines of a subject, and give their places to no other line."""
    reached = end(db)
    db.execute("DELETE FROM ledger WHERE subject = ?", (subject,))
    if end(db) < reached:
        _hold(db, reached)


def _hold(db: sqlite3.Connection, place: int) -> None:
    # SQLite gives the number behind the greatest one. Who follows the ledger remembers a place in
    # it, log drains for ever, and would pass over what comes at or before that place once more.
    # The one line of nobody goes from place to place: it is unique by its subject and number.
    db.execute(
        "INSERT OR REPLACE INTO ledger (id, subject, seq, project_id, at, type, level, message) "
        "VALUES (?, '', 1, '', '', 'end', '', '')",
        (place,),
    )


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
