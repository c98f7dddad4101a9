"""Runs as rows: a record that is rewritten, and large JSON beside it that is not."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from msgspec import json

from strait.clock import Timestamp
from strait.engine.model import Run
from strait.engine.runs import State
from strait.store import ledger, spend

_encoder = json.Encoder()
_decoder = json.Decoder(Run)

ACTIVE = ("delayed", "queued", "dequeued", "executing", "waiting", "paused", "replay_staged")


def one_of(statuses: tuple[str, ...]) -> str:
    """Return the condition that a row has one of our own statuses, as partial indexes have it.

    SQLite takes a partial index where a query repeats its condition word by word.
    """
    return f"({' OR '.join(f'status = {status!r}' for status in statuses)})"


UNFINISHED = one_of(ACTIVE)


class StaleWrite(Exception):  # noqa: N818 - it names what happened
    """The row was changed by somebody else since it was read; nothing was written."""


class Stored(NamedTuple):
    """A run's state and the revision of the row that it was read from."""

    state: State
    revision: int

    @property
    def run(self) -> Run:
        """The record."""
        return self.state.run


def insert(db: sqlite3.Connection, made: Sequence[tuple[State, str | None]]) -> None:
    """Insert new runs, each with the JSON text of its payload."""
    db.executemany(
        "INSERT INTO runs (id, project_id, job_id, status, created_at, idempotency_key, "
        "parent_run_id, workflow_step_run_id, batch_id, assignment, deadline_at, ttl_secs, doc, "
        "payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [_row(state, payload) for state, payload in made],
    )
    tags = [
        (run.project_id, key, value, run.created_at, run.id)
        for state, _ in made
        if (run := state.run).tags
        for key, value in run.tags.items()
    ]
    if tags:
        db.executemany(
            "INSERT INTO run_tags (project_id, key, value, created_at, run_id) "
            "VALUES (?, ?, ?, ?, ?)",
            tags,
        )


def _row(state: State, payload: str | None) -> tuple[object, ...]:
    run = state.run
    return (
        run.id,
        run.project_id,
        run.job_id,
        run.status,
        run.created_at,
        run.idempotency_key or None,
        run.parent_run_id or None,
        run.workflow_step_run_id or None,
        run.batch_id or None,
        state.assignment,
        state.deadline_at,
        state.ttl_secs,
        _encoder.encode(run).decode(),
        payload,
    )


def load(db: sqlite3.Connection, run_id: str) -> Stored | None:
    """Return a run, or None."""
    row = db.execute(
        "SELECT doc, assignment, deadline_at, ttl_secs, revision FROM runs WHERE id = ?",
        (run_id,),
    ).fetchone()
    return None if row is None else _stored(row)


def load_to_start(db: sqlite3.Connection, run_id: str) -> tuple[Stored, str | None] | None:
    """Return a run with the JSON text of its payload, or None."""
    row = db.execute(
        "SELECT doc, assignment, deadline_at, ttl_secs, revision, payload FROM runs WHERE id = ?",
        (run_id,),
    ).fetchone()
    return None if row is None else (_stored(row[:5]), row[5])


def save(
    db: sqlite3.Connection, before: Stored, after: State, *, result: str | None = None
) -> None:
    """Write a run over the revision that was read.

    What was read in a transaction that was undone since may have a number that another change has
    been given instead, but never with the same assignment.

    Raises:
        StaleWrite: the row has another revision by now.
    """
    run = after.run
    done = db.execute(
        "UPDATE runs SET status = ?, finished_at = ?, idempotency_key = ?, assignment = ?, "
        "deadline_at = ?, ttl_secs = ?, revision = revision + 1, doc = ?, "
        "result = coalesce(?, result) WHERE id = ? AND revision = ? AND assignment = ?",
        (
            run.status,
            run.finished_at,
            run.idempotency_key or None,
            after.assignment,
            after.deadline_at,
            after.ttl_secs,
            _encoder.encode(run).decode(),
            result,
            run.id,
            before.revision,
            before.state.assignment,
        ),
    )
    if done.rowcount != 1:
        raise StaleWrite(run.id)


def beat(db: sqlite3.Connection, run_id: str, assignment: str, at: Timestamp) -> None:
    """Mark a run as alive while the dispatch `assignment` executes it."""
    db.execute(
        "UPDATE runs SET revision = revision + 1, doc = json_set(doc, '$.heartbeat_at', ?) "
        "WHERE id = ? AND assignment = ? AND status = 'executing'",
        (at, run_id, assignment),
    )


def set_payload(db: sqlite3.Connection, run_id: str, payload: str) -> None:
    """Replace the payload of a run that was not dispatched yet."""
    db.execute("UPDATE runs SET payload = ? WHERE id = ?", (payload, run_id))


def payload(db: sqlite3.Connection, run_id: str) -> str | None:
    """Return the JSON text of a run's payload."""
    row = db.execute("SELECT payload FROM runs WHERE id = ?", (run_id,)).fetchone()
    return None if row is None else row[0]


def result(db: sqlite3.Connection, run_id: str) -> str | None:
    """Return the JSON text of a run's result."""
    row = db.execute("SELECT result FROM runs WHERE id = ?", (run_id,)).fetchone()
    return None if row is None else row[0]


def document(db: sqlite3.Connection, run_id: str) -> bytes | None:
    """Return a run in its wire form, or None."""
    row = db.execute("SELECT doc, payload, result FROM runs WHERE id = ?", (run_id,)).fetchone()
    return None if row is None else _spliced(*row)


def documents(
    db: sqlite3.Connection, where: str, parameters: Sequence[object], *, limit: int
) -> list[tuple[Timestamp, bytes]]:
    """Return wire forms of the runs that satisfy a condition of ours, newest first."""
    rows = db.execute(
        f"SELECT created_at, doc, payload, result FROM runs WHERE {where} "
        "ORDER BY created_at DESC LIMIT ?",
        (*parameters, limit),
    )
    return [(created_at, _spliced(doc, body, outcome)) for created_at, doc, body, outcome in rows]


def purge(db: sqlite3.Connection, run_id: str) -> None:
    """Delete a run with its history and all that its handler has left."""
    for table in ("checkpoints", "run_state", "run_outputs", "run_samples", "worker_tasks"):
        db.execute(f"DELETE FROM {table} WHERE run_id = ?", (run_id,))
    ledger.drop(db, run_id)
    spend.run_dropped(db, run_id)
    db.execute("DELETE FROM runs WHERE id = ?", (run_id,))


def active(db: sqlite3.Connection) -> Iterator[Stored]:
    """Yield every run that is not over, oldest first; for the start of the server."""
    rows = db.execute(
        "SELECT doc, assignment, deadline_at, ttl_secs, revision FROM runs "
        f"WHERE {UNFINISHED} ORDER BY seq"
    )
    for row in rows:
        yield _stored(row)


def by_key(db: sqlite3.Connection, job_id: str, key: str, since: Timestamp) -> Run | None:
    """Return the newest run of a job under an idempotency key that still answers for it, or None.

    One that has expired never does, one that is over does if it has ended after `since`. An older
    one may live again when a newer one is over.
    """
    row = db.execute(
        "SELECT doc FROM runs WHERE job_id = ? AND idempotency_key = ? AND status != 'expired' "
        "AND (finished_at = '' OR finished_at >= ?) ORDER BY seq DESC LIMIT 1",
        (job_id, key, since),
    ).fetchone()
    return None if row is None else _decoder.decode(row[0])


def same_payload(db: sqlite3.Connection, job_id: str, payload: str, since: Timestamp) -> Run | None:
    """Return the newest run of a job with a payload that was created after an instant, or None."""
    row = db.execute(
        "SELECT doc FROM runs WHERE job_id = ? AND created_at > ? AND payload = ? "
        "ORDER BY created_at DESC LIMIT 1",
        (job_id, since, payload),
    ).fetchone()
    return None if row is None else _decoder.decode(row[0])


def children_among(db: sqlite3.Connection, run_id: str, ids: Sequence[str]) -> set[str]:
    """Return those of several ids that are children of a run."""
    rows = db.execute(
        "SELECT id FROM runs WHERE id IN (SELECT value FROM json_each(?)) AND parent_run_id = ?",
        (_encoder.encode(ids).decode(), run_id),
    )
    return {child_id for (child_id,) in rows}


def ids(db: sqlite3.Connection, where: str, parameters: Sequence[object]) -> list[str]:
    """Return the ids of the runs that satisfy a condition of ours, oldest first."""
    rows = db.execute(f"SELECT id FROM runs WHERE {where} ORDER BY seq", parameters)
    return [run_id for (run_id,) in rows]


def has_active(db: sqlite3.Connection, job_id: str) -> bool:
    """Return whether any run of a job is not over."""
    row = db.execute(
        f"SELECT 1 FROM runs WHERE {UNFINISHED} AND job_id = ? LIMIT 1",
        (job_id,),
    ).fetchone()
    return row is not None


def created_since(db: sqlite3.Connection, job_id: str, since: Timestamp, limit: int) -> int:
    """Return how many runs of a job were created after an instant, counting to `limit` at most."""
    (count,) = db.execute(
        "SELECT count(*) FROM (SELECT 1 FROM runs WHERE job_id = ? AND created_at > ? LIMIT ?)",
        (job_id, since, limit),
    ).fetchone()
    return int(count)


def count_by_status(db: sqlite3.Connection, job_ids: Sequence[str]) -> dict[str, int]:
    """Return how many runs of some jobs there are by status."""
    marks = ", ".join("?" * len(job_ids))
    rows = db.execute(
        f"SELECT status, count(*) FROM runs WHERE job_id IN ({marks}) GROUP BY status ORDER BY 1",
        job_ids,
    )
    return dict(rows.fetchall())


def _stored(row: tuple[str, str, str, int, int]) -> Stored:
    doc, assignment, deadline_at, ttl_secs, revision = row
    return Stored(State(_decoder.decode(doc), assignment, deadline_at, ttl_secs), revision)


def _spliced(doc: str, body: str | None, outcome: str | None) -> bytes:
    # The three texts are valid JSON, so putting them together needs no parsing.
    parts = [doc[:-1]]
    if body is not None:
        parts.append(f',"payload":{body}')
    if outcome is not None:
        parts.append(f',"result":{outcome}')
    parts.append("}")
    return "".join(parts).encode()
