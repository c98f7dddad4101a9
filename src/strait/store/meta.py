"""Single facts about the database, projects and keys, and answers kept for repeated requests."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from msgspec import Struct, json

from strait.clock import Timestamp


class ApiKey(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """An API key without the key itself (`APIKey`)."""

    id: str
    project_id: str
    name: str
    key_prefix: str
    scopes: list[str]
    created_at: Timestamp
    org_id: str = ""
    expires_at: Timestamp = ""
    last_used_at: Timestamp = ""
    revoked_at: Timestamp = ""
    replaced_by_key_id: str = ""
    grace_expires_at: Timestamp = ""
    rate_limit_requests: int = 0
    rate_limit_window_secs: int = 0
    environment_id: str = ""
    rotation_interval_days: int = 0
    next_rotation_at: Timestamp = ""
    rotation_webhook_url: str = ""


class Project(Struct, frozen=True, kw_only=True):
    """A project (`Project`)."""

    id: str
    org_id: str
    name: str
    created_at: Timestamp
    updated_at: Timestamp


class Answer(NamedTuple):
    """An answer that was given under an idempotency key."""

    body_hash: str
    status: int
    body: bytes
    created_at: Timestamp


def get_meta(db: sqlite3.Connection, name: str) -> str | None:
    """Return a fact of the database, or None."""
    row = db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return None if row is None else str(row[0])


def set_meta(db: sqlite3.Connection, name: str, value: str) -> None:
    """Write a fact of the database."""
    db.execute(
        "INSERT INTO meta (name, value) VALUES (?, ?) "
        "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (name, value),
    )


def facts(db: sqlite3.Connection, prefix: str) -> list[tuple[str, str]]:
    """Return the facts whose names begin with a prefix, with their values."""
    rows = db.execute(
        "SELECT name, value FROM meta WHERE name >= ? AND name < ?", (prefix, prefix + "\U0010ffff")
    )
    return [(str(name), str(value)) for name, value in rows]


def forget_meta(db: sqlite3.Connection, name: str) -> None:
    """Delete a fact of the database, if it is there."""
    db.execute("DELETE FROM meta WHERE name = ?", (name,))


def next_epoch(db: sqlite3.Connection) -> int:
    """Count this start of the server; assignments of earlier starts are older than all new ones."""
    epoch = int(get_meta(db, "epoch") or "0") + 1
    set_meta(db, "epoch", str(epoch))
    return epoch


# --------------------------------------------------------------------------------------- projects


def put_project(db: sqlite3.Connection, project: Project) -> None:
    """Insert a project, or take over its new name."""
    db.execute(
        "INSERT INTO projects (id, org_id, name, created_at, updated_at) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (id) DO UPDATE SET name = excluded.name, updated_at = excluded.updated_at",
        (project.id, project.org_id, project.name, project.created_at, project.updated_at),
    )


def get_project(db: sqlite3.Connection, project_id: str) -> Project | None:
    """Return a project, or None."""
    row = db.execute(
        "SELECT id, org_id, name, created_at, updated_at FROM projects WHERE id = ?",
        (project_id,),
    ).fetchone()
    return None if row is None else _project(row)


def projects_of(db: sqlite3.Connection, org_id: str) -> list[Project]:
    """Return the projects of an organization, newest first."""
    rows = db.execute(
        "SELECT id, org_id, name, created_at, updated_at FROM projects WHERE org_id = ? "
        "ORDER BY created_at DESC",
        (org_id,),
    )
    return [_project(row) for row in rows]


def delete_project(db: sqlite3.Connection, project_id: str) -> None:
    """Delete a project."""
    db.execute("DELETE FROM projects WHERE id = ?", (project_id,))


def _project(row: tuple[str, str, str, str, str]) -> Project:
    return Project(id=row[0], org_id=row[1], name=row[2], created_at=row[3], updated_at=row[4])


# ------------------------------------------------------------------------------------------- keys


def put_key(db: sqlite3.Connection, key: ApiKey, key_hash: str) -> None:
    """Insert a key under the hash of its secret."""
    db.execute(
        "INSERT INTO api_keys (id, project_id, key_hash, created_at, doc) VALUES (?, ?, ?, ?, ?)",
        (key.id, key.project_id, key_hash, key.created_at, json.encode(key).decode()),
    )


def update_key(db: sqlite3.Connection, key: ApiKey) -> None:
    """Write the changed record of a key."""
    db.execute("UPDATE api_keys SET doc = ? WHERE id = ?", (json.encode(key).decode(), key.id))


def key_by_hash(db: sqlite3.Connection, key_hash: str) -> ApiKey | None:
    """Return the key whose secret has this hash, or None."""
    return _one_key(db, "key_hash", key_hash)


def key_by_id(db: sqlite3.Connection, key_id: str) -> ApiKey | None:
    """Return a key, or None."""
    return _one_key(db, "id", key_id)


def keys_of(
    db: sqlite3.Connection,
    project_id: str,
    *,
    org_id: str = "",
    environment_id: str = "",
    before: Timestamp,
    limit: int,
) -> list[ApiKey]:
    """Return keys of a project that are older than `before`, newest first.

    Where an organization or an environment is given, only keys of that one.
    """
    rows = db.execute(
        "SELECT doc FROM api_keys WHERE project_id = :project AND created_at < :before "
        "AND (:org = '' OR doc ->> '$.org_id' = :org) "
        "AND (:environment = '' OR doc ->> '$.environment_id' = :environment) "
        "ORDER BY created_at DESC LIMIT :limit",
        {
            "project": project_id,
            "org": org_id,
            "environment": environment_id,
            "before": before,
            "limit": limit,
        },
    )
    return [json.decode(doc, type=ApiKey) for (doc,) in rows]


def rotating_keys(db: sqlite3.Connection) -> list[ApiKey]:
    """Return the keys of all projects that have an instant for their rotation."""
    rows = db.execute("SELECT doc FROM api_keys WHERE doc ->> 'next_rotation_at' != ''")
    return [json.decode(doc, type=ApiKey) for (doc,) in rows]


def _one_key(db: sqlite3.Connection, column: str, value: str) -> ApiKey | None:
    row = db.execute(f"SELECT doc FROM api_keys WHERE {column} = ?", (value,)).fetchone()
    return None if row is None else json.decode(row[0], type=ApiKey)


# ------------------------------------------------------------------------------------ idempotency


def kept_answer(db: sqlite3.Connection, scope: str, key: str) -> Answer | None:
    """Return what was answered under an idempotency key, or None."""
    row = db.execute(
        "SELECT body_hash, status, answer, created_at FROM idempotency WHERE scope = ? AND key = ?",
        (scope, key),
    ).fetchone()
    return None if row is None else Answer(*row)


def keep_answer(db: sqlite3.Connection, scope: str, key: str, answer: Answer) -> None:
    """Keep an answer under an idempotency key, in place of one that is too old."""
    db.execute(
        "INSERT OR REPLACE INTO idempotency (scope, key, created_at, body_hash, status, answer) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        (scope, key, answer.created_at, answer.body_hash, answer.status, answer.body),
    )


def forget_answer(db: sqlite3.Connection, scope: str, key: str) -> None:
    """Drop the answer under an idempotency key."""
    db.execute("DELETE FROM idempotency WHERE scope = ? AND key = ?", (scope, key))


def forget_answers(db: sqlite3.Connection, before: Timestamp, *, limit: int = 1_000) -> int:
    """Drop answers that are older than `before`, at most `limit` at a time; return how many."""
    return db.execute(
        "DELETE FROM idempotency WHERE (scope, key) IN "
        "(SELECT scope, key FROM idempotency WHERE created_at < ? LIMIT ?)",
        (before, limit),
    ).rowcount
