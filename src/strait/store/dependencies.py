"""Which job waits for which."""

from __future__ import annotations

import sqlite3

from msgspec import Struct

from strait.clock import Timestamp
from strait.engine.model import Run
from strait.engine.undo import UNDO
from strait.fsm import TERMINAL_RUN_STATUSES
from strait.store.runs import UNFINISHED


class Dependency(Struct, frozen=True, kw_only=True):
    """A job whose runs wait for those of another (`JobDependency`)."""

    id: str
    job_id: str
    depends_on_job_id: str
    condition: str  # completed | failed | any
    created_at: Timestamp


_COLUMNS = "id, job_id, depends_on_job_id, condition, created_at"


def insert(db: sqlite3.Connection, dependency: Dependency) -> None:
    """Insert a dependency.

    Raises:
        sqlite3.IntegrityError: the job depends on the other one already.
    """
    db.execute(
        f"INSERT INTO job_dependencies ({_COLUMNS}) VALUES (?, ?, ?, ?, ?)",
        (
            dependency.id,
            dependency.job_id,
            dependency.depends_on_job_id,
            dependency.condition,
            dependency.created_at,
        ),
    )


def of_job(db: sqlite3.Connection, job_id: str) -> list[Dependency]:
    """Return what a job depends on, newest first."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM job_dependencies WHERE job_id = ? ORDER BY created_at DESC",
        (job_id,),
    )
    return [_dependency(row) for row in rows]


def on_job(db: sqlite3.Connection, job_id: str) -> list[str]:
    """Return the ids of the jobs that depend on a job."""
    rows = db.execute("SELECT job_id FROM job_dependencies WHERE depends_on_job_id = ?", (job_id,))
    return [found for (found,) in rows]


def delete(db: sqlite3.Connection, job_id: str, dependency_id: str) -> bool:
    """Delete a dependency of a job; return whether it was there."""
    done = db.execute(
        "DELETE FROM job_dependencies WHERE id = ? AND job_id = ?", (dependency_id, job_id)
    )
    return done.rowcount > 0


def newest_outcome(db: sqlite3.Connection, job_id: str, run: Run) -> str:
    """Return how the run of a job ended that counts for `run`, or "" when none has ended.

    It is the newest under the same idempotency key if `run` has one, else under the same
    `dependency_key`, else the newest of all. What undoes a run does not count.
    """
    where, value = "1 = 1 OR ? = ''", ""
    if run.idempotency_key:
        where, value = "idempotency_key = ?", run.idempotency_key
    elif "dependency_key" in run.metadata:
        where, value = "doc ->> '$.metadata.dependency_key' = ?", run.metadata["dependency_key"]
    return _of_newest_ended(db, "status", job_id, where, value)


def newest_ended(db: sqlite3.Connection, job_id: str) -> str:
    """Return the id of the run of a job that counts for whoever has no key, or ""."""
    return _of_newest_ended(db, "id", job_id, "1 = 1 OR ? = ''", "")


def _of_newest_ended(
    db: sqlite3.Connection, column: str, job_id: str, where: str, value: str
) -> str:
    marks = ", ".join("?" for _ in TERMINAL_RUN_STATUSES)
    row = db.execute(
        f"SELECT {column} FROM runs WHERE job_id = ? AND status IN ({marks}) AND ({where}) "
        "AND doc ->> 'triggered_by' != ? ORDER BY created_at DESC LIMIT 1",
        (job_id, *sorted(TERMINAL_RUN_STATUSES), value, UNDO),
    ).fetchone()
    return "" if row is None else str(row[0])


def held_runs(db: sqlite3.Connection, job_id: str) -> list[str]:
    """Return the ids of runs of a job that were never dispatched because they wait for others."""
    rows = db.execute(
        f"SELECT id FROM runs WHERE {UNFINISHED} AND status = 'waiting' "
        "AND job_id = ? AND assignment = '' "
        "ORDER BY seq",
        (job_id,),
    )
    return [run_id for (run_id,) in rows]


def _dependency(row: tuple[str, str, str, str, Timestamp]) -> Dependency:
    return Dependency(
        id=row[0], job_id=row[1], depends_on_job_id=row[2], condition=row[3], created_at=row[4]
    )
