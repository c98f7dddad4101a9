"""Rows of the audit chain: events, the seal of each chain, and its keys."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from strait.clock import Timestamp
from strait.engine.audit_chain import AuditEvent, Signed

# As bytes: what was tampered with need not be text any more, and must be found all the same.
_SIGNATURE = "CAST(signature AS BLOB)"
_SIGNED = f"seq, CAST(doc AS BLOB), {_SIGNATURE}"
_CONSISTENT = "json_valid(doc) AND " + " AND ".join(
    f"{name} IS doc ->> '$.{name}'"
    for name in ("id", "created_at", "actor_id", "resource_type", "resource_id")
)


def insert(db: sqlite3.Connection, event: AuditEvent, signed: Signed) -> None:
    """Append an event to the chain of its project."""
    db.execute(
        "INSERT INTO audit_events (project_id, seq, id, created_at, actor_id, resource_type, "
        "resource_id, doc, signature) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            event.project_id,
            signed.seq,
            event.id,
            event.created_at,
            event.actor_id,
            event.resource_type,
            event.resource_id,
            signed.doc.decode(),
            signed.signature,
        ),
    )


def get(db: sqlite3.Connection, project_id: str, event_id: str) -> tuple[Timestamp, Signed] | None:
    """Return an event of a project with its instant, or None."""
    row = db.execute(
        f"SELECT created_at, {_SIGNED} FROM audit_events WHERE project_id = ? AND id = ?",
        (project_id, event_id),
    ).fetchone()
    return None if row is None else (str(row[0]), _signed(row[1:]))


def select(
    db: sqlite3.Connection,
    project_id: str,
    matching: Mapping[str, str],
    *,
    since: Timestamp = "",
    until: Timestamp = "9999",
    beyond: Timestamp = "",
    oldest_first: bool = False,
    limit: int = -1,
) -> Iterator[tuple[Timestamp, Signed]]:
    """Iterate over events of a project with their instants.

    Args:
        db: the database.
        project_id: the project.
        matching: values that `actor_id`, `resource_type` and `resource_id` must have.
        since: the earliest instant.
        until: the latest instant.
        beyond: what they must be younger than, or older with the newest first; "" is no bound.
        oldest_first: the order.
        limit: how many at most; negative is all.
    """
    conditions = ["created_at >= ?", "created_at <= ?"]
    values: list[object] = [since, until]
    if beyond:
        conditions.append(f"created_at {'>' if oldest_first else '<'} ?")
        values.append(beyond)
    order = "ASC" if oldest_first else "DESC"
    return _found(db, project_id, matching, conditions, values, order=order, limit=limit)


def page(
    db: sqlite3.Connection,
    project_id: str,
    matching: Mapping[str, str],
    *,
    since: Timestamp,
    until: Timestamp,
    up_to: int,
    behind: tuple[Timestamp, int],
    limit: int,
) -> Iterator[tuple[Timestamp, Signed]]:
    """Iterate over some events of a project with their instants, oldest first.

    Args:
        db: the database.
        project_id: the project.
        matching: values that `actor_id`, `resource_type` and `resource_id` must have.
        since: the earliest instant.
        until: the latest instant.
        up_to: the greatest number in the chain.
        behind: instant and number of the event that they come after.
        limit: how many at most.
    """
    conditions = ["created_at >= ?", "created_at <= ?", "seq <= ?", "(created_at, seq) > (?, ?)"]
    values = [max(since, behind[0]), until, up_to, *behind]
    return _found(db, project_id, matching, conditions, values, order="ASC", limit=limit)


def _found(
    db: sqlite3.Connection,
    project_id: str,
    matching: Mapping[str, str],
    conditions: Sequence[str],
    values: Sequence[object],
    *,
    order: str,
    limit: int,
) -> Iterator[tuple[Timestamp, Signed]]:
    where = " AND ".join(["project_id = ?", *conditions, *(f"{name} = ?" for name in matching)])
    rows = db.execute(
        f"SELECT created_at, {_SIGNED} FROM audit_events WHERE {where} "
        f"ORDER BY created_at {order}, seq {order} LIMIT ?",
        (project_id, *values, *matching.values(), limit),
    )
    return ((str(at), _signed(rest)) for at, *rest in rows)


def chain(db: sqlite3.Connection, project_id: str, *, after: int = 0) -> Iterator[Signed]:
    """Iterate over the chain of a project behind a number, oldest first.

    Where the columns of a row do not say what its text says, its text is shown as empty: what is
    searched by must be as trustworthy as what is signed.
    """
    rows = db.execute(
        f"SELECT seq, CAST(iif({_CONSISTENT}, doc, '') AS BLOB), {_SIGNATURE} FROM audit_events "
        "WHERE project_id = ? AND seq > ? ORDER BY seq",
        (project_id, after),
    )
    return (_signed(row) for row in rows)


def last_before(db: sqlite3.Connection, project_id: str, before: Timestamp, limit: int) -> int:
    """Return the number of the last event of those that are too old, or 0."""
    (last,) = db.execute(
        "SELECT max(seq) FROM (SELECT seq FROM audit_events WHERE project_id = ? "
        "AND created_at < ? ORDER BY seq LIMIT ?)",
        (project_id, before, limit),
    ).fetchone()
    return last or 0


def at(db: sqlite3.Connection, project_id: str, seq: int) -> Signed | None:
    """Return the event with a number, or None."""
    row = db.execute(
        f"SELECT {_SIGNED} FROM audit_events WHERE project_id = ? AND seq = ?",
        (project_id, seq),
    ).fetchone()
    return None if row is None else _signed(row)


def last_seq(db: sqlite3.Connection, project_id: str) -> int:
    """Return the number of the newest event that is there, or 0."""
    (last,) = db.execute(
        "SELECT max(seq) FROM audit_events WHERE project_id = ?", (project_id,)
    ).fetchone()
    return last or 0


def drop_up_to(db: sqlite3.Connection, project_id: str, seq: int) -> None:
    """Delete the events of a project up to a number."""
    db.execute("DELETE FROM audit_events WHERE project_id = ? AND seq <= ?", (project_id, seq))


def projects(db: sqlite3.Connection) -> list[str]:
    """Return the projects that have a chain."""
    return [project_id for (project_id,) in db.execute("SELECT project_id FROM audit_chains")]


def get_seal(db: sqlite3.Connection, project_id: str) -> tuple[bytes, str] | None:
    """Return the text of the seal of a chain and its signature, or None."""
    row = db.execute(
        f"SELECT CAST(doc AS BLOB), {_SIGNATURE} FROM audit_chains WHERE project_id = ?",
        (project_id,),
    ).fetchone()
    return None if row is None else (row[0], row[1].decode(errors="replace"))


def put_seal(db: sqlite3.Connection, project_id: str, doc: bytes, signature: str) -> None:
    """Write the seal of a chain."""
    db.execute(
        "INSERT INTO audit_chains (project_id, doc, signature) VALUES (?, ?, ?) "
        "ON CONFLICT (project_id) DO UPDATE SET doc = excluded.doc, signature = excluded.signature",
        (project_id, doc.decode(), signature),
    )


def get_key(db: sqlite3.Connection, project_id: str, epoch: int) -> str:
    """Return the sealed key of an epoch, or ""."""
    row = db.execute(
        "SELECT sealed FROM audit_keys WHERE project_id = ? AND epoch = ?", (project_id, epoch)
    ).fetchone()
    return "" if row is None else str(row[0])


def put_key(db: sqlite3.Connection, project_id: str, epoch: int, sealed: str) -> None:
    """Write the sealed key of an epoch."""
    db.execute(
        "INSERT INTO audit_keys (project_id, epoch, sealed) VALUES (?, ?, ?) "
        "ON CONFLICT (project_id, epoch) DO UPDATE SET sealed = excluded.sealed",
        (project_id, epoch, sealed),
    )


def _signed(row: tuple[int, bytes, bytes] | list[Any]) -> Signed:
    seq, doc, signature = row
    return Signed(seq, doc, signature.decode(errors="replace"))
