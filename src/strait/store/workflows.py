"""Workflow definitions and their versions."""

from __future__ import annotations

import sqlite3
from hashlib import sha256
from typing import NamedTuple

from msgspec import json

from strait.clock import Timestamp
from strait.engine.model import StepDefinition, Workflow

_encoder = json.Encoder()
_workflows = json.Decoder(Workflow)
_steps = json.Decoder(tuple[StepDefinition, ...])


class Version(NamedTuple):
    """A workflow as it was at one version, with its steps."""

    workflow: Workflow
    steps: tuple[StepDefinition, ...]
    created_at: Timestamp


class Snapshot(NamedTuple):
    """The steps that a run follows."""

    id: str
    steps: tuple[StepDefinition, ...]


def insert(db: sqlite3.Connection, workflow: Workflow, steps: tuple[StepDefinition, ...]) -> None:
    """Insert a workflow as its first version.

    Raises:
        sqlite3.IntegrityError: the slug is taken in its project.
    """
    db.execute(
        "INSERT INTO workflows (id, project_id, slug, created_at, doc) VALUES (?, ?, ?, ?, ?)",
        (workflow.id, workflow.project_id, workflow.slug, workflow.created_at, _text(workflow)),
    )
    keep_version(db, workflow, steps)


def update(db: sqlite3.Connection, workflow: Workflow, steps: tuple[StepDefinition, ...]) -> None:
    """Write a changed workflow, and keep it as its next version.

    Raises:
        sqlite3.IntegrityError: its new slug is taken in its project.
    """
    db.execute(
        "UPDATE workflows SET slug = ?, doc = ? WHERE id = ?",
        (workflow.slug, _text(workflow), workflow.id),
    )
    keep_version(db, workflow, steps)


def keep_version(
    db: sqlite3.Connection, workflow: Workflow, steps: tuple[StepDefinition, ...]
) -> None:
    """Keep a workflow and its steps as they are now under its version number."""
    db.execute(
        "INSERT OR REPLACE INTO workflow_versions "
        "(workflow_id, version, version_id, created_at, doc, steps) VALUES (?, ?, ?, ?, ?, ?)",
        (
            workflow.id,
            workflow.version,
            workflow.version_id,
            workflow.updated_at,
            _text(workflow),
            _encoder.encode(steps).decode(),
        ),
    )


def get(db: sqlite3.Connection, workflow_id: str) -> Workflow | None:
    """Return a workflow as it is now, or None."""
    row = db.execute("SELECT doc FROM workflows WHERE id = ?", (workflow_id,)).fetchone()
    return None if row is None else _workflows.decode(row[0])


def scheduled(db: sqlite3.Connection, project_id: str) -> list[Workflow]:
    """Return the workflows of a project that have a schedule."""
    rows = db.execute(
        "SELECT doc FROM workflows WHERE project_id = ? AND doc ->> 'cron' != ''", (project_id,)
    )
    return [_workflows.decode(doc) for (doc,) in rows]


def by_slug(db: sqlite3.Connection, project_id: str, slug: str) -> Workflow | None:
    """Return the workflow of a project with this slug, or None."""
    row = db.execute(
        "SELECT doc FROM workflows WHERE project_id = ? AND slug = ?", (project_id, slug)
    ).fetchone()
    return None if row is None else _workflows.decode(row[0])


def naming_job(db: sqlite3.Connection, project_id: str, job_id: str) -> list[str]:
    """Return the slugs of the workflows whose present steps run a job, or undo with it."""
    rows = db.execute(
        "SELECT w.slug FROM workflows w JOIN workflow_versions v "
        "ON v.workflow_id = w.id AND v.version = w.doc ->> 'version' "
        "WHERE w.project_id = ? AND EXISTS (SELECT 1 FROM json_each(v.steps) "
        "WHERE value ->> 'job_id' = ? OR value ->> 'compensation_job_id' = ?) ORDER BY w.slug",
        (project_id, job_id, job_id),
    )
    return [slug for (slug,) in rows]


def everything(db: sqlite3.Connection) -> list[Workflow]:
    """Return all workflows of all projects."""
    return [_workflows.decode(doc) for (doc,) in db.execute("SELECT doc FROM workflows")]


def page(
    db: sqlite3.Connection,
    project_id: str,
    *,
    tag_key: str = "",
    tag_value: str = "",
    among: str | None = None,
    before: Timestamp,
    limit: int,
) -> list[Workflow]:
    """Return workflows of a project that are older than `before`, newest first.

    `among` is a JSON list of the ids that count; None counts all.
    """
    rows = db.execute(
        "SELECT doc FROM workflows WHERE project_id = :project AND created_at < :before "
        "AND (:tag_key = '' OR EXISTS (SELECT 1 FROM json_each(doc, '$.tags') "
        "WHERE key = :tag_key AND (:tag_value = '' OR value = :tag_value))) "
        "AND (:among IS NULL OR id IN (SELECT value FROM json_each(:among))) "
        "ORDER BY created_at DESC LIMIT :limit",
        {
            "project": project_id,
            "before": before,
            "tag_key": tag_key,
            "tag_value": tag_value,
            "among": among,
            "limit": limit,
        },
    )
    return [_workflows.decode(doc) for (doc,) in rows]


def steps(db: sqlite3.Connection, workflow: Workflow) -> tuple[StepDefinition, ...]:
    """Return the steps of a workflow at the version that it has."""
    row = db.execute(
        "SELECT steps FROM workflow_versions WHERE workflow_id = ? AND version = ?",
        (workflow.id, workflow.version),
    ).fetchone()
    return () if row is None else _steps.decode(row[0])


def versions(db: sqlite3.Connection, workflow_id: str, *, limit: int) -> list[Version]:
    """Return the versions of a workflow, newest first."""
    rows = db.execute(
        "SELECT doc, steps, created_at FROM workflow_versions WHERE workflow_id = ? "
        "ORDER BY version DESC LIMIT ?",
        (workflow_id, limit),
    )
    return [_version(row) for row in rows]


def version(db: sqlite3.Connection, workflow_id: str, version_id: str) -> Version | None:
    """Return the version of a workflow with this version id, or None."""
    row = db.execute(
        "SELECT doc, steps, created_at FROM workflow_versions "
        "WHERE workflow_id = ? AND version_id = ?",
        (workflow_id, version_id),
    ).fetchone()
    return None if row is None else _version(row)


def snapshot(
    db: sqlite3.Connection, workflow_id: str, steps: tuple[StepDefinition, ...], new_id: str
) -> str:
    """Keep the steps that a run follows, once for all runs that follow the same; return its id."""
    text = _encoder.encode(steps)
    digest = sha256(text).hexdigest()
    row = db.execute(
        "SELECT id FROM workflow_snapshots WHERE workflow_id = ? AND digest = ?",
        (workflow_id, digest),
    ).fetchone()
    if row is not None:
        return str(row[0])
    db.execute(
        "INSERT INTO workflow_snapshots (id, workflow_id, digest, steps) VALUES (?, ?, ?, ?)",
        (new_id, workflow_id, digest, text.decode()),
    )
    return new_id


def snapshot_steps(db: sqlite3.Connection, snapshot_id: str) -> tuple[StepDefinition, ...]:
    """Return the steps of a snapshot."""
    row = db.execute("SELECT steps FROM workflow_snapshots WHERE id = ?", (snapshot_id,)).fetchone()
    return () if row is None else _steps.decode(row[0])


def delete(db: sqlite3.Connection, workflow_id: str) -> None:
    """Delete a workflow with its versions, its runs and what they waited for."""
    runs = "SELECT id FROM workflow_runs WHERE workflow_id = ?"
    for table in ("step_runs", "approvals", "event_triggers"):
        db.execute(f"DELETE FROM {table} WHERE workflow_run_id IN ({runs})", (workflow_id,))
    for table in ("workflow_runs", "workflow_snapshots", "workflow_versions"):
        db.execute(f"DELETE FROM {table} WHERE workflow_id = ?", (workflow_id,))
    db.execute("DELETE FROM workflows WHERE id = ?", (workflow_id,))


def at_version(db: sqlite3.Connection, workflow_id: str, number: int) -> Version | None:
    """Return the version of a workflow with this number, or None."""
    row = db.execute(
        "SELECT doc, steps, created_at FROM workflow_versions "
        "WHERE workflow_id = ? AND version = ?",
        (workflow_id, number),
    ).fetchone()
    return None if row is None else _version(row)


def timeout_secs(db: sqlite3.Connection, workflow_id: str, number: int) -> int:
    """Return how long a run of a version of a workflow may take; 0 is without limit."""
    version = at_version(db, workflow_id, number)
    return 0 if version is None else version.workflow.timeout_secs


def _version(row: tuple[str, str, Timestamp]) -> Version:
    return Version(_workflows.decode(row[0]), _steps.decode(row[1]), row[2])


def _text(workflow: Workflow) -> str:
    return _encoder.encode(workflow).decode()
