"""Runs that have been over for long enough, with all that belongs to them.

They are found by walking the tables in the order of their making: no index is kept for it. A run
that somebody living still needs is passed over and looked at again in the next walk. A dead letter
may live again, and finds what it has started by then.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any, NamedTuple

from strait.clock import Timestamp
from strait.fsm import TERMINAL_RUN_STATUSES, TERMINAL_WORKFLOW_RUN_STATUSES
from strait.store import dependencies as dependency_rows
from strait.store import ledger, spend, workflow_runs
from strait.store.runs import UNFINISHED

# What belongs to a run, or to a workflow run, by the column that names it, beside its history.
_HISTORY = ("ledger", "subject = ?")
_OF_RUN = (
    ("checkpoints", "run_id = ?"),
    ("run_state", "run_id = ?"),
    ("run_outputs", "run_id = ?"),
    ("run_samples", "run_id = ?"),
    ("worker_tasks", "run_id = ?"),
    ("event_triggers", "job_run_id = ?"),
)
_STEPS = "SELECT id FROM step_runs WHERE workflow_run_id = ?"
_OF_WORKFLOW_RUN = (
    ("approvals", "workflow_run_id = ?"),
    # Before the steps, by which they are found.
    ("event_triggers", f"step_run_id IN ({_STEPS})"),
    ("step_runs", "workflow_run_id = ?"),
)

Rows = dict[str, list[dict[str, Any]]]


class Limits(NamedTuple):
    """Which runs are old enough.

    Attributes:
        ended_before: those that were over before this; "" is none.
        newest: how many of the newest stay, whatever their age; 0 is no such limit.
        spared_since: those that ended after this stay in any case.
    """

    ended_before: Timestamp
    newest: int
    spared_since: Timestamp


class Found(NamedTuple):
    """A part of a walk.

    Attributes:
        ids: what may go.
        position: the `seq` of the last row that was looked at.
        more: whether there may be more behind it.
    """

    ids: list[str]
    position: int
    more: bool


def old_runs(db: sqlite3.Connection, limits: Limits, after: int, count: int) -> Found:
    """Return the runs among the next `count` that may go; those of workflows go with them."""
    rows = db.execute(
        "SELECT seq, id, job_id, status, created_at, finished_at, parent_run_id, "
        "workflow_step_run_id FROM runs WHERE seq > ? ORDER BY seq LIMIT ?",
        (after, count),
    ).fetchall()
    oldest_kept = _oldest_kept(db, "runs", limits)
    ids: list[str] = []
    position = after
    for seq, run_id, job_id, status, created_at, finished_at, parent_id, step_id in rows:
        if _is_too_young(limits, seq, oldest_kept, created_at):
            return Found(ids, position, more=False)
        position = seq
        if (
            status in TERMINAL_RUN_STATUSES
            and _is_old(limits, seq, oldest_kept, finished_at)
            and not (step_id and _step_exists(db, step_id))
            and not (parent_id and _may_go_on(db, parent_id))
            and not _is_needed(db, run_id, job_id)
        ):
            ids.append(run_id)
    return Found(ids, position, more=len(rows) == count)


def old_workflow_runs(db: sqlite3.Connection, limits: Limits, after: int, count: int) -> Found:
    """Return the workflow runs among the next `count` that may go."""
    rows = db.execute(
        "SELECT seq, id, status, created_at, doc ->> 'finished_at', "
        "doc ->> 'parent_workflow_run_id' FROM workflow_runs WHERE seq > ? ORDER BY seq LIMIT ?",
        (after, count),
    ).fetchall()
    oldest_kept = _oldest_kept(db, "workflow_runs", limits)
    ids: list[str] = []
    position = after
    for seq, run_id, status, created_at, finished_at, parent_id in rows:
        if _is_too_young(limits, seq, oldest_kept, created_at):
            return Found(ids, position, more=False)
        position = seq
        if (
            status in TERMINAL_WORKFLOW_RUN_STATUSES
            and _is_old(limits, seq, oldest_kept, finished_at or "")
            and not _workflow_is_needed(db, run_id, parent_id or "")
            # A dead letter may have been replayed when its workflow run was over.
            and all(_is_old(limits, seq, oldest_kept, ended) for *_, ended in _job_runs(db, run_id))
        ):
            ids.append(run_id)
    return Found(ids, position, more=len(rows) == count)


def _oldest_kept(db: sqlite3.Connection, table: str, limits: Limits) -> int:
    """Return the `seq` from which on the newest rows stay; 0 where only their age counts."""
    if not limits.newest:
        return 0
    (last,) = db.execute(f"SELECT coalesce(max(seq), 0) FROM {table}").fetchone()
    return max(0, int(last) - limits.newest + 1)


def _is_too_young(limits: Limits, seq: int, oldest_kept: int, created_at: Timestamp) -> bool:
    """Tell whether neither this row nor any behind it can be old enough."""
    by_age = created_at >= (limits.ended_before or "")
    return (by_age and seq >= oldest_kept) or created_at >= limits.spared_since


def _is_old(limits: Limits, seq: int, oldest_kept: int, finished_at: Timestamp) -> bool:
    by_age = bool(limits.ended_before) and finished_at < limits.ended_before
    return (by_age or seq < oldest_kept) and "" < finished_at < limits.spared_since


# ------------------------------------------------------------------------------------ who needs it


def _step_exists(db: sqlite3.Connection, step_run_id: str) -> bool:
    return _any(db, "SELECT 1 FROM step_runs WHERE id = ?", step_run_id)


def _lives(db: sqlite3.Connection, run_id: str) -> bool:
    return _any(db, f"SELECT 1 FROM runs WHERE id = ? AND {UNFINISHED}", run_id)


def _may_go_on(db: sqlite3.Connection, run_id: str) -> bool:
    living = f"({UNFINISHED} OR status = 'dead_letter')"
    return _any(db, f"SELECT 1 FROM runs WHERE id = ? AND {living}", run_id)


def _is_needed(db: sqlite3.Connection, run_id: str, job_id: str) -> bool:
    """Tell whether a child lives, or a job waits for how the newest run of this one ended."""
    if _any(db, f"SELECT 1 FROM runs WHERE parent_run_id = ? AND +{UNFINISHED}", run_id):
        return True
    dependents = "SELECT job_id FROM job_dependencies WHERE depends_on_job_id = ?"
    if not _any(db, f"{dependents} LIMIT 1", job_id):
        return False
    waiting = f"SELECT 1 FROM runs WHERE {UNFINISHED} AND job_id IN ({dependents}) LIMIT 1"
    return dependency_rows.newest_ended(db, job_id) == run_id or _any(db, waiting, job_id)


def _workflow_is_needed(db: sqlite3.Connection, run_id: str, parent_id: str) -> bool:
    active = f"{workflow_runs.UNFINISHED}"
    children = f"SELECT 1 FROM workflow_runs WHERE parent_step_run_id IN ({_STEPS}) AND +{active}"
    return (
        _any(db, f"SELECT 1 FROM workflow_runs WHERE id = ? AND +{active}", parent_id)
        or _any(db, children, run_id)
        or any(
            _lives(db, job_run) or _is_needed(db, job_run, job_id)
            for job_run, job_id, _ in _job_runs(db, run_id)
        )
    )


def _job_runs(db: sqlite3.Connection, workflow_run_id: str) -> list[tuple[str, str, Timestamp]]:
    rows = db.execute(
        "SELECT id, job_id, coalesce(finished_at, '') FROM runs "
        f"WHERE workflow_step_run_id IN ({_STEPS})",
        (workflow_run_id,),
    )
    return rows.fetchall()


def _any(db: sqlite3.Connection, query: str, value: str) -> bool:
    return db.execute(query, (value,)).fetchone() is not None


# -------------------------------------------------------------------------------- reading, deletion


def rows_of_run(db: sqlite3.Connection, run_id: str) -> Rows:
    """Return a run and all that belongs to it, by table."""
    return _rows(db, (("runs", "id = ?"), _HISTORY, *_OF_RUN), run_id)


def rows_of_workflow_run(db: sqlite3.Connection, run_id: str) -> Iterator[tuple[str, Rows]]:
    """Yield a workflow run and then each run of its steps, as (id, rows by table)."""
    yield run_id, _rows(db, (("workflow_runs", "id = ?"), _HISTORY, *_OF_WORKFLOW_RUN), run_id)
    for job_run, *_ in _job_runs(db, run_id):
        yield job_run, rows_of_run(db, job_run)


def _rows(db: sqlite3.Connection, tables: tuple[tuple[str, str], ...], run_id: str) -> Rows:
    found: Rows = {}
    for table, where in tables:
        cursor = db.execute(f"SELECT * FROM {table} WHERE {where}", (run_id,))
        names = [name for name, *_ in cursor.description]
        rows = [dict(zip(names, row, strict=True)) for row in cursor]
        if rows:
            found[table] = rows
    return found


def drop_run(db: sqlite3.Connection, run_id: str) -> None:
    """Delete a run with all that belongs to it, and its batch with the last run of that."""
    row = db.execute("SELECT batch_id FROM runs WHERE id = ?", (run_id,)).fetchone()
    ledger.drop(db, run_id)
    spend.run_dropped(db, run_id)
    for table, where in (*_OF_RUN, ("runs", "id = ?")):
        db.execute(f"DELETE FROM {table} WHERE {where}", (run_id,))
    if row is not None and row[0]:
        db.execute(
            "DELETE FROM batches WHERE id = ?1 "
            "AND NOT EXISTS (SELECT 1 FROM runs WHERE batch_id = ?1)",
            (row[0],),
        )


def drop_workflow_run(db: sqlite3.Connection, run_id: str) -> None:
    """Delete a workflow run with all that belongs to it, and its steps if no other follows them."""
    for job_run, *_ in _job_runs(db, run_id):
        drop_run(db, job_run)
    workflow_id, snapshot_id = db.execute(
        "SELECT workflow_id, snapshot_id FROM workflow_runs WHERE id = ?", (run_id,)
    ).fetchone()
    ledger.drop(db, run_id)
    for table, where in (*_OF_WORKFLOW_RUN, ("workflow_runs", "id = ?")):
        db.execute(f"DELETE FROM {table} WHERE {where}", (run_id,))
    db.execute(
        "DELETE FROM workflow_snapshots WHERE id = ?1 AND NOT EXISTS "
        "(SELECT 1 FROM workflow_runs WHERE workflow_id = ?2 AND snapshot_id = ?1)",
        (snapshot_id, workflow_id),
    )
