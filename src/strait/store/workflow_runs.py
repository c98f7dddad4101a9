"""Workflow runs, their steps, and the approvals that they wait for."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from msgspec import json

from strait.clock import Timestamp
from strait.engine.model import Approval, StepRun, Tags, WorkflowRun
from strait.store.runs import StaleWrite, one_of

_encoder = json.Encoder()
_runs = json.Decoder(WorkflowRun)
_step_runs = json.Decoder(StepRun)
_approvals = json.Decoder(Approval)

# As the schema has it for a new row.
_FIRST_REVISION = 0
ACTIVE = ("pending", "running", "paused", "compensating")
UNFINISHED = one_of(ACTIVE)


class Stored(NamedTuple):
    """A workflow run, the revision of the row that it was read from, and its snapshot."""

    run: WorkflowRun
    revision: int
    snapshot_id: str


def insert(db: sqlite3.Connection, run: WorkflowRun, snapshot_id: str, labels: Tags) -> Stored:
    """Insert a workflow run, and return it as it is stored."""
    db.execute(
        "INSERT INTO workflow_runs (id, project_id, workflow_id, status, created_at, snapshot_id, "
        "parent_step_run_id, doc, labels) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            run.id,
            run.project_id,
            run.workflow_id,
            run.status,
            run.created_at,
            snapshot_id,
            run.parent_step_run_id or None,
            _encoder.encode(run).decode(),
            _encoder.encode(labels).decode(),
        ),
    )
    return Stored(run, _FIRST_REVISION, snapshot_id)


def load(db: sqlite3.Connection, run_id: str) -> Stored | None:
    """Return a workflow run, or None."""
    row = db.execute(
        "SELECT doc, revision, snapshot_id FROM workflow_runs WHERE id = ?", (run_id,)
    ).fetchone()
    return None if row is None else Stored(_runs.decode(row[0]), row[1], row[2])


def save(db: sqlite3.Connection, before: Stored, after: WorkflowRun) -> Stored:
    """Write a workflow run over the revision that was read, and return it as it is stored.

    Raises:
        StaleWrite: the row has another revision by now.
    """
    done = db.execute(
        "UPDATE workflow_runs SET status = ?, doc = ?, revision = revision + 1 "
        "WHERE id = ? AND revision = ?",
        (after.status, _encoder.encode(after).decode(), after.id, before.revision),
    )
    if done.rowcount != 1:
        raise StaleWrite(after.id)
    return Stored(after, before.revision + 1, before.snapshot_id)


def page(
    db: sqlite3.Connection, where: str, parameters: Sequence[object], *, limit: int
) -> list[WorkflowRun]:
    """Return the workflow runs that satisfy a condition of ours, newest first."""
    rows = db.execute(
        f"SELECT doc FROM workflow_runs WHERE {where} ORDER BY created_at DESC LIMIT ?",
        (*parameters, limit),
    )
    return [_runs.decode(doc) for (doc,) in rows]


def active_ids(db: sqlite3.Connection, workflow_id: str = "") -> list[str]:
    """Return the ids of runs that are not over, of one workflow or of all, oldest first."""
    rows = db.execute(
        f"SELECT id FROM workflow_runs WHERE {UNFINISHED} "
        "AND (:workflow = '' OR workflow_id = :workflow) ORDER BY seq",
        {"workflow": workflow_id},
    )
    return [run_id for (run_id,) in rows]


def stalled_ids(db: sqlite3.Connection) -> list[str]:
    """Return the ids of runs that run, and of whose steps none runs or waits for anything."""
    rows = db.execute(
        "SELECT id FROM workflow_runs AS run WHERE status = 'running' AND NOT EXISTS "
        "(SELECT 1 FROM step_runs WHERE workflow_run_id = run.id AND (doc ->> 'status' = 'running' "
        "OR (doc ->> 'status' = 'waiting' AND coalesce(doc ->> 'started_at', '') != ''))) "
        "ORDER BY seq"
    )
    return [run_id for (run_id,) in rows]


def count_by_status(db: sqlite3.Connection, workflow_id: str) -> dict[str, int]:
    """Return how many runs of a workflow that are not over have which status."""
    rows = db.execute(
        f"SELECT status, count(*) FROM workflow_runs WHERE {UNFINISHED} "
        "AND workflow_id = ? GROUP BY status",
        (workflow_id,),
    )
    return dict(rows.fetchall())


def child_of(db: sqlite3.Connection, step_run_id: str) -> Stored | None:
    """Return the newest run that a sub-workflow step has started, or None."""
    row = db.execute(
        "SELECT doc, revision, snapshot_id FROM workflow_runs WHERE parent_step_run_id = ? "
        "ORDER BY seq DESC LIMIT 1",
        (step_run_id,),
    ).fetchone()
    return None if row is None else Stored(_runs.decode(row[0]), row[1], row[2])


def labels(db: sqlite3.Connection, run_id: str) -> Tags:
    """Return the labels of a workflow run."""
    row = db.execute("SELECT labels FROM workflow_runs WHERE id = ?", (run_id,)).fetchone()
    return {} if row is None else json.decode(row[0], type=dict[str, str])


# ------------------------------------------------------------------------------------------ steps


def put_steps(db: sqlite3.Connection, steps: Iterable[StepRun], *, first: bool = False) -> None:
    """Write steps of a run that have changed; the first time all of them are new."""
    if not first:
        db.executemany(
            "UPDATE step_runs SET doc = ? WHERE id = ?",
            [(_encoder.encode(step).decode(), step.id) for step in steps],
        )
        return
    db.executemany(
        "INSERT INTO step_runs (id, workflow_run_id, step_ref, created_at, doc) "
        "VALUES (?, ?, ?, ?, ?)",
        [
            (
                step.id,
                step.workflow_run_id,
                step.step_ref,
                step.created_at,
                _encoder.encode(step).decode(),
            )
            for step in steps
        ],
    )


def steps(db: sqlite3.Connection, run_id: str) -> list[StepRun]:
    """Return the steps of a run in the order of their making."""
    rows = db.execute(
        "SELECT doc FROM step_runs WHERE workflow_run_id = ? ORDER BY created_at", (run_id,)
    )
    return [_step_runs.decode(doc) for (doc,) in rows]


def steps_page(
    db: sqlite3.Connection, run_id: str, *, after: Timestamp, limit: int
) -> list[StepRun]:
    """Return steps of a run that are younger than `after`, oldest first."""
    rows = db.execute(
        "SELECT doc FROM step_runs WHERE workflow_run_id = ? AND created_at > ? "
        "ORDER BY created_at LIMIT ?",
        (run_id, after, limit),
    )
    return [_step_runs.decode(doc) for (doc,) in rows]


def place_of_step(db: sqlite3.Connection, step_run_id: str) -> tuple[str, str] | None:
    """Return the workflow run that a step belongs to and the ref of the step, or None."""
    query = "SELECT workflow_run_id, step_ref FROM step_runs WHERE id = ?"
    found: tuple[str, str] | None = db.execute(query, (step_run_id,)).fetchone()
    return found


# -------------------------------------------------------------------------------------- approvals


def put_approvals(db: sqlite3.Connection, approvals: Iterable[tuple[str, Approval]]) -> None:
    """Write approvals with the refs of their steps, new or changed."""
    db.executemany(
        "INSERT INTO approvals (id, workflow_run_id, step_ref, status, expires_at, doc) "
        "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET status = excluded.status, "
        "expires_at = excluded.expires_at, doc = excluded.doc",
        [
            (
                approval.id,
                approval.workflow_run_id,
                ref,
                approval.status,
                approval.expires_at,
                _encoder.encode(approval).decode(),
            )
            for ref, approval in approvals
        ],
    )


def approvals(db: sqlite3.Connection, run_id: str) -> dict[str, Approval]:
    """Return the newest approval of each step of a run, by the ref of the step."""
    rows = db.execute(
        "SELECT step_ref, doc FROM approvals WHERE workflow_run_id = ? ORDER BY rowid", (run_id,)
    )
    return {ref: _approvals.decode(doc) for ref, doc in rows}


def approval(db: sqlite3.Connection, approval_id: str) -> tuple[str, Approval] | None:
    """Return an approval with the ref of its step, or None."""
    row = db.execute("SELECT step_ref, doc FROM approvals WHERE id = ?", (approval_id,)).fetchone()
    return None if row is None else (row[0], _approvals.decode(row[1]))


def open_approvals(db: sqlite3.Connection) -> list[Approval]:
    """Return all approvals that are pending and end by themselves."""
    rows = db.execute("SELECT doc FROM approvals WHERE status = 'pending' AND expires_at != ''")
    return [_approvals.decode(doc) for (doc,) in rows]
