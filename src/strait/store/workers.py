"""Workers that connect out, and the tasks that they were given."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from msgspec import Struct

from strait.clock import Timestamp

_WORKER = (
    "id, project_id, queue_name, hostname, version, status, last_seen_at, registered_at, "
    "key_id, environment_id"
)
_TASK = (
    "id, project_id, worker_id, run_id, attempt, status, assigned_at, accepted_at, finished_at, "
    "error, duration_ms"
)
# As the partial index has it, word by word.
_OPEN = "(status = 'assigned' OR status = 'accepted')"


class WorkerRow(Struct, frozen=True):
    """A worker, by the id that it gave itself within its project.

    Attributes:
        status: `active`, `draining` or `offline`.
        key_id: the API key that it registered with.
        environment_id: the only environment whose jobs it gets, "" for all.
    """

    id: str
    project_id: str
    queue_name: str
    hostname: str
    version: str
    status: str
    last_seen_at: Timestamp
    registered_at: Timestamp
    key_id: str
    environment_id: str


class TaskRow(Struct, frozen=True):
    """An attempt of a run that a worker was given; its id is that of the assignment.

    Attributes:
        status: `assigned`, `accepted`, `completed`, `failed`, or where the worker went away before
            it said what had come of it `lost`, and `released` if it was leaving anyway.
        duration_ms: how long it took, as the worker has it; None while it is not over.
    """

    id: str
    project_id: str
    worker_id: str
    run_id: str
    attempt: int
    status: str
    assigned_at: Timestamp
    accepted_at: Timestamp | None = None
    finished_at: Timestamp | None = None
    error: str | None = None
    duration_ms: int | None = None


def put(db: sqlite3.Connection, worker: WorkerRow) -> None:
    """Insert a worker, or take over what it says of itself now."""
    db.execute(
        f"INSERT OR REPLACE INTO workers ({_WORKER}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            worker.id,
            worker.project_id,
            worker.queue_name,
            worker.hostname,
            worker.version,
            worker.status,
            worker.last_seen_at,
            worker.registered_at,
            worker.key_id,
            worker.environment_id,
        ),
    )


def get(db: sqlite3.Connection, project_id: str, worker_id: str) -> WorkerRow | None:
    """Return a worker of a project, or None."""
    row = db.execute(
        f"SELECT {_WORKER} FROM workers WHERE project_id = ? AND id = ?", (project_id, worker_id)
    ).fetchone()
    return None if row is None else WorkerRow(*row)


def page(
    db: sqlite3.Connection, project_id: str, environment_id: str, *, limit: int, offset: int
) -> list[WorkerRow]:
    """Return workers of a project, the newest first; of one environment where one is given."""
    rows = db.execute(
        f"SELECT {_WORKER} FROM workers WHERE project_id = ?1 "
        "AND (?2 = '' OR environment_id = ?2) "
        "ORDER BY registered_at DESC, id LIMIT ?3 OFFSET ?4",
        (project_id, environment_id, limit, offset),
    )
    return [WorkerRow(*row) for row in rows]


def seen(
    db: sqlite3.Connection, project_id: str, worker_id: str, status: str, at: Timestamp
) -> None:
    """Write when a worker was last heard of, and how it is."""
    db.execute(
        "UPDATE workers SET status = ?, last_seen_at = ? WHERE project_id = ? AND id = ?",
        (status, at, project_id, worker_id),
    )


def all_offline(db: sqlite3.Connection) -> None:
    """Mark every worker as away; for the start of the server, to which none has connected."""
    db.execute("UPDATE workers SET status = 'offline' WHERE status <> 'offline'")


def forget(db: sqlite3.Connection, before: Timestamp, *, limit: int) -> int:
    """Drop workers that were last heard of before an instant; return how many."""
    return db.execute(
        "DELETE FROM workers WHERE (project_id, id) IN (SELECT project_id, id FROM workers "
        "WHERE status = 'offline' AND last_seen_at < ? LIMIT ?)",
        (before, limit),
    ).rowcount


# ------------------------------------------------------------------------------------------ tasks


def assign(db: sqlite3.Connection, task: TaskRow) -> None:
    """Write that a worker was given an attempt."""
    db.execute(
        "INSERT INTO worker_tasks "
        "(id, project_id, worker_id, run_id, attempt, status, assigned_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            task.id,
            task.project_id,
            task.worker_id,
            task.run_id,
            task.attempt,
            task.status,
            task.assigned_at,
        ),
    )


def accepted(db: sqlite3.Connection, task_id: str, at: Timestamp) -> None:
    """Write that a worker has begun with a task."""
    db.execute(
        "UPDATE worker_tasks SET status = 'accepted', accepted_at = ? "
        "WHERE id = ? AND status = 'assigned'",
        (at, task_id),
    )


def finish(
    db: sqlite3.Connection,
    task_id: str,
    status: str,
    at: Timestamp,
    *,
    error: str | None = None,
    duration_ms: int | None = None,
) -> None:
    """Write that a task is over, and how."""
    db.execute(
        "UPDATE worker_tasks SET status = ?, finished_at = ?, error = ?, duration_ms = ? "
        "WHERE id = ?",
        (status, at, error, duration_ms, task_id),
    )


def task(db: sqlite3.Connection, task_id: str) -> TaskRow | None:
    """Return a task by its assignment, or None."""
    row = db.execute(f"SELECT {_TASK} FROM worker_tasks WHERE id = ?", (task_id,)).fetchone()
    return None if row is None else TaskRow(*row)


def open_tasks(db: sqlite3.Connection) -> list[TaskRow]:
    """Return the tasks of all workers that are not over."""
    rows = db.execute(f"SELECT {_TASK} FROM worker_tasks WHERE {_OPEN}")
    return [TaskRow(*row) for row in rows]


def tasks_page(
    db: sqlite3.Connection, project_id: str, worker_id: str, *, limit: int, offset: int
) -> Sequence[TaskRow]:
    """Return the tasks of a worker, the newest first."""
    rows = db.execute(
        f"SELECT {_TASK} FROM worker_tasks WHERE project_id = ? AND worker_id = ? "
        "ORDER BY assigned_at DESC, id DESC LIMIT ? OFFSET ?",
        (project_id, worker_id, limit, offset),
    )
    return [TaskRow(*row) for row in rows]


def times_lost(db: sqlite3.Connection, run_id: str, attempt: int) -> int:
    """Return how often a worker went away with this attempt of a run."""
    (count,) = db.execute(
        "SELECT count(*) FROM worker_tasks WHERE run_id = ? AND attempt = ? AND status = 'lost'",
        (run_id, attempt),
    ).fetchone()
    return int(count)


def found_again(db: sqlite3.Connection, task_id: str) -> None:
    """Write that a task which was given up is with its worker after all."""
    db.execute(
        "UPDATE worker_tasks SET status = 'accepted', finished_at = NULL, error = NULL "
        "WHERE id = ?",
        (task_id,),
    )


def open_tasks_of(db: sqlite3.Connection, project_id: str, worker_id: str) -> list[TaskRow]:
    """Return the tasks of a worker that are not over."""
    rows = db.execute(
        f"SELECT {_TASK} FROM worker_tasks WHERE {_OPEN} AND project_id = ? AND worker_id = ?",
        (project_id, worker_id),
    )
    return [TaskRow(*row) for row in rows]
