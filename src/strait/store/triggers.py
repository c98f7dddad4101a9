"""Waits for events."""

from __future__ import annotations

import sqlite3

from msgspec import json

from strait.clock import Timestamp
from strait.engine.model import EventTrigger

_encoder = json.Encoder()
_decoder = json.Decoder(EventTrigger)


def insert(db: sqlite3.Connection, trigger: EventTrigger) -> None:
    """Insert a wait.

    Raises:
        sqlite3.IntegrityError: somebody waits for the key already.
    """
    db.execute(
        "INSERT INTO event_triggers (id, project_id, event_key, status, source_type, created_at, "
        "expires_at, workflow_run_id, step_run_id, job_run_id, doc) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            trigger.id,
            trigger.project_id,
            trigger.event_key,
            trigger.status,
            trigger.source_type,
            trigger.requested_at,
            trigger.expires_at,
            trigger.workflow_run_id or None,
            trigger.workflow_step_run_id or None,
            trigger.job_run_id or None,
            _encoder.encode(trigger).decode(),
        ),
    )


def save(db: sqlite3.Connection, trigger: EventTrigger) -> None:
    """Write a wait that has changed."""
    db.execute(
        "UPDATE event_triggers SET status = ?, doc = ? WHERE id = ?",
        (trigger.status, _encoder.encode(trigger).decode(), trigger.id),
    )


def load(db: sqlite3.Connection, trigger_id: str) -> EventTrigger | None:
    """Return a wait, or None."""
    row = db.execute("SELECT doc FROM event_triggers WHERE id = ?", (trigger_id,)).fetchone()
    return None if row is None else _decoder.decode(row[0])


def newest(db: sqlite3.Connection, project_id: str, event_key: str) -> EventTrigger | None:
    """Return the newest wait for a key, whether it is over or not."""
    row = db.execute(
        "SELECT doc FROM event_triggers WHERE project_id = ? AND event_key = ? "
        "ORDER BY seq DESC LIMIT 1",
        (project_id, event_key),
    ).fetchone()
    return None if row is None else _decoder.decode(row[0])


def waiting(db: sqlite3.Connection) -> list[EventTrigger]:
    """Return all waits that are open."""
    rows = db.execute("SELECT doc FROM event_triggers WHERE status = 'waiting' ORDER BY seq")
    return [_decoder.decode(doc) for (doc,) in rows]


def waiting_of_run(db: sqlite3.Connection, run_id: str) -> list[EventTrigger]:
    """Return the open waits of a job run."""
    rows = db.execute(
        "SELECT doc FROM event_triggers WHERE job_run_id = ? AND status = 'waiting'", (run_id,)
    )
    return [_decoder.decode(doc) for (doc,) in rows]


def waiting_of_step(db: sqlite3.Connection, step_run_id: str) -> list[EventTrigger]:
    """Return the open waits of a workflow step."""
    rows = db.execute(
        "SELECT doc FROM event_triggers WHERE step_run_id = ? AND status = 'waiting'",
        (step_run_id,),
    )
    return [_decoder.decode(doc) for (doc,) in rows]


def waiting_under(db: sqlite3.Connection, project_id: str, prefix: str) -> list[EventTrigger]:
    """Return the open waits whose key begins with a prefix, oldest first."""
    rows = db.execute(
        "SELECT doc FROM event_triggers WHERE project_id = ? AND status = 'waiting' "
        "AND substr(event_key, 1, ?) = ? ORDER BY seq",
        (project_id, len(prefix), prefix),
    )
    return [_decoder.decode(doc) for (doc,) in rows]


def page(
    db: sqlite3.Connection,
    project_id: str,
    *,
    status: str = "",
    workflow_run_id: str = "",
    source_type: str = "",
    environment_id: str = "",
    among: str = "[]",
    before: Timestamp,
    limit: int,
) -> list[EventTrigger]:
    """Return waits of a project that are older than `before`, newest first.

    With an environment, those of runs of its jobs, and of runs of the workflows whose ids `among`
    lists as JSON.
    """
    rows = db.execute(
        "SELECT doc FROM event_triggers WHERE project_id = :project AND created_at < :before "
        "AND (:status = '' OR status = :status) "
        "AND (:run = '' OR workflow_run_id = :run) "
        "AND (:source = '' OR source_type = :source) "
        f"AND (:environment = '' OR {_WITHIN}) ORDER BY created_at DESC LIMIT :limit",
        {
            "project": project_id,
            "before": before,
            "status": status,
            "run": workflow_run_id,
            "source": source_type,
            "environment": environment_id,
            "among": among,
            "limit": limit,
        },
    )
    return [_decoder.decode(doc) for (doc,) in rows]


# One of the two says who waits.
_WITHIN = (
    "CASE WHEN job_run_id IS NOT NULL THEN EXISTS (SELECT 1 FROM runs JOIN jobs "
    "ON jobs.id = runs.job_id WHERE runs.id = event_triggers.job_run_id "
    "AND jobs.doc ->> '$.environment_id' = :environment) "
    "ELSE EXISTS (SELECT 1 FROM workflow_runs WHERE id = event_triggers.workflow_run_id "
    "AND workflow_id IN (SELECT value FROM json_each(:among))) END"
)


def counts(db: sqlite3.Connection, project_id: str) -> tuple[dict[str, int], float]:
    """Return how many waits of a project there are by status, and the mean wait in seconds."""
    rows = db.execute(
        "SELECT status, count(*) FROM event_triggers WHERE project_id = ? GROUP BY status",
        (project_id,),
    )
    by_status = dict(rows.fetchall())
    (mean,) = db.execute(
        "SELECT avg((julianday(doc ->> 'received_at') - julianday(doc ->> 'requested_at')) * 86400)"
        " FROM event_triggers WHERE project_id = ? AND status = 'received'",
        (project_id,),
    ).fetchone()
    return by_status, float(mean or 0.0)


def purge(db: sqlite3.Connection, project_id: str, before: Timestamp, *, dry_run: bool) -> int:
    """Delete, or count, the waits of a project that were over before an instant."""
    where = "project_id = ? AND status != 'waiting' AND created_at < ?"
    if dry_run:
        query = f"SELECT count(*) FROM event_triggers WHERE {where}"
        return int(db.execute(query, (project_id, before)).fetchone()[0])
    return db.execute(f"DELETE FROM event_triggers WHERE {where}", (project_id, before)).rowcount


# ------------------------------------------------------------- events that nobody waits for as yet


def hold(db: sqlite3.Connection, event: EventTrigger) -> None:
    """Keep an event for whoever will wait for it."""
    db.execute(
        "INSERT INTO held_events (id, project_id, event_key, expires_at, doc) "
        "VALUES (?, ?, ?, ?, ?)",
        (
            event.id,
            event.project_id,
            event.event_key,
            event.expires_at,
            _encoder.encode(event).decode(),
        ),
    )


def count_held(db: sqlite3.Connection, project_id: str) -> int:
    """Return how many events a project has held."""
    (count,) = db.execute(
        "SELECT count(*) FROM held_events WHERE project_id = ?", (project_id,)
    ).fetchone()
    return int(count)


def held(
    db: sqlite3.Connection, project_id: str, event_key: str, now: Timestamp
) -> list[EventTrigger]:
    """Return the events that are held under a key, oldest first."""
    rows = db.execute(
        "SELECT doc FROM held_events WHERE project_id = ? AND event_key = ? "
        "AND expires_at > ? ORDER BY id",
        (project_id, event_key, now),
    )
    return [_decoder.decode(doc) for (doc,) in rows]


def drop_held(db: sqlite3.Connection, event_id: str) -> None:
    """Drop an event that was held, once somebody has it."""
    db.execute("DELETE FROM held_events WHERE id = ?", (event_id,))


def forget_held(db: sqlite3.Connection, before: Timestamp, *, limit: int) -> int:
    """Drop some events whose time is over; return how many."""
    return db.execute(
        "DELETE FROM held_events WHERE id IN "
        "(SELECT id FROM held_events WHERE expires_at <= ? LIMIT ?)",
        (before, limit),
    ).rowcount
