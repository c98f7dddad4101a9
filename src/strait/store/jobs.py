"""Jobs, their versions, and the memory that outlives their runs."""

from __future__ import annotations

import sqlite3

from msgspec import json

from strait.clock import Timestamp
from strait.engine.model import Job

_encoder = json.Encoder()
_decoder = json.Decoder(Job)


def insert(db: sqlite3.Connection, job: Job, signing_secret: str) -> None:
    """Insert a job.

    Raises:
        sqlite3.IntegrityError: the slug is taken in its project.
    """
    db.execute(
        "INSERT INTO jobs (id, project_id, slug, created_at, signing_secret, doc) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        (job.id, job.project_id, job.slug, job.created_at, signing_secret, _text(job)),
    )


def update(db: sqlite3.Connection, job: Job, signing_secret: str | None = None) -> None:
    """Write a changed job; the signing secret stays unless a new one is given."""
    db.execute(
        "UPDATE jobs SET slug = ?, doc = ?, signing_secret = coalesce(?, signing_secret) "
        "WHERE id = ?",
        (job.slug, _text(job), signing_secret, job.id),
    )


def set_signing_secret(db: sqlite3.Connection, job_id: str, secret: str) -> None:
    """Change what signs the dispatches of a job, which makes no new version of it."""
    db.execute("UPDATE jobs SET signing_secret = ? WHERE id = ?", (secret, job_id))


def keep_version(db: sqlite3.Connection, job: Job) -> None:
    """Keep a job as it is now under its version number."""
    db.execute(
        "INSERT OR REPLACE INTO job_versions (job_id, version, doc) VALUES (?, ?, ?)",
        (job.id, job.version, _text(job)),
    )


def get(db: sqlite3.Connection, job_id: str) -> Job | None:
    """Return a job, or None."""
    row = db.execute("SELECT doc FROM jobs WHERE id = ?", (job_id,)).fetchone()
    return None if row is None else _decoder.decode(row[0])


def scheduled(db: sqlite3.Connection, project_id: str) -> list[Job]:
    """Return the jobs of a project that have a schedule."""
    rows = db.execute(
        "SELECT doc FROM jobs WHERE project_id = ? AND doc ->> 'cron' != ''", (project_id,)
    )
    return [_decoder.decode(doc) for (doc,) in rows]


def get_version(db: sqlite3.Connection, job_id: str, version: int) -> Job | None:
    """Return a job as it was at a version, or None."""
    row = db.execute(
        "SELECT doc FROM job_versions WHERE job_id = ? AND version = ?", (job_id, version)
    ).fetchone()
    return None if row is None else _decoder.decode(row[0])


def versions(db: sqlite3.Connection, job_id: str, *, before: Timestamp, limit: int) -> list[Job]:
    """Return the versions of a job, newest first."""
    rows = db.execute(
        "SELECT doc FROM job_versions WHERE job_id = ? AND doc ->> 'updated_at' < ? "
        "ORDER BY version DESC LIMIT ?",
        (job_id, before, limit),
    )
    return [_decoder.decode(doc) for (doc,) in rows]


def by_slug(db: sqlite3.Connection, project_id: str, slug: str) -> Job | None:
    """Return the job of a project with this slug, or None."""
    row = db.execute(
        "SELECT doc FROM jobs WHERE project_id = ? AND slug = ?", (project_id, slug)
    ).fetchone()
    return None if row is None else _decoder.decode(row[0])


def signing_secret(db: sqlite3.Connection, job_id: str) -> str:
    """Return the secret that signs what is sent to the job's endpoint, or ""."""
    row = db.execute("SELECT signing_secret FROM jobs WHERE id = ?", (job_id,)).fetchone()
    return "" if row is None else str(row[0])


def page(
    db: sqlite3.Connection,
    project_id: str,
    *,
    slug: str = "",
    tag_key: str = "",
    tag_value: str = "",
    environment_id: str = "",
    before: Timestamp,
    limit: int,
) -> list[Job]:
    """Return jobs of a project that are older than `before`, newest first."""
    rows = db.execute(
        "SELECT doc FROM jobs WHERE project_id = :project AND created_at < :before "
        "AND (:slug = '' OR slug = :slug) "
        "AND (:environment = '' OR doc ->> '$.environment_id' = :environment) "
        "AND (:tag_key = '' OR EXISTS (SELECT 1 FROM json_each(doc, '$.tags') "
        "WHERE key = :tag_key AND (:tag_value = '' OR value = :tag_value))) "
        "ORDER BY created_at DESC LIMIT :limit",
        {
            "project": project_id,
            "before": before,
            "slug": slug,
            "tag_key": tag_key,
            "tag_value": tag_value,
            "environment": environment_id,
            "limit": limit,
        },
    )
    return [_decoder.decode(doc) for (doc,) in rows]


def of_group(
    db: sqlite3.Connection,
    project_id: str,
    group_id: str,
    *,
    before: Timestamp = "9999",
    limit: int = -1,
) -> list[Job]:
    """Return the jobs of a group, newest first."""
    rows = db.execute(
        "SELECT doc FROM jobs WHERE project_id = ? AND doc ->> '$.group_id' = ? "
        "AND created_at < ? ORDER BY created_at DESC LIMIT ?",
        (project_id, group_id, before, limit),
    )
    return [_decoder.decode(doc) for (doc,) in rows]


def everything(db: sqlite3.Connection) -> list[Job]:
    """Return all jobs of all projects."""
    return [_decoder.decode(doc) for (doc,) in db.execute("SELECT doc FROM jobs")]


def delete(db: sqlite3.Connection, job_id: str) -> None:
    """Delete a job with its versions and memory; its runs stay readable."""
    for table in ("job_versions", "job_memory"):
        db.execute(f"DELETE FROM {table} WHERE job_id = ?", (job_id,))
    for table in ("debounces", "batch_items"):
        db.execute(f"DELETE FROM {table} WHERE job_id = ?", (job_id,))
    db.execute(
        "DELETE FROM job_dependencies WHERE job_id = ? OR depends_on_job_id = ?", (job_id, job_id)
    )
    db.execute("DELETE FROM jobs WHERE id = ?", (job_id,))


def _text(job: Job) -> str:
    return _encoder.encode(job).decode()
