"""Runs and jobs of all projects of an organization, for its keys (`contract` §5.13)."""

from __future__ import annotations

import sqlite3

from msgspec import Raw

from strait.server import checks
from strait.server.errors import ApiError
from strait.server.http import Call, Reply, raw_page
from strait.server.registry import Registry
from strait.store import runs as run_rows

registry = Registry()

_PROJECTS = "project_id IN (SELECT id FROM projects WHERE org_id = ?)"


@registry.read("list-org-runs")
def runs(call: Call, db: sqlite3.Connection) -> Reply:
    """List the runs of the organization, newest first."""
    limit = call.query["limit"]
    values = (_organization(call), checks.cursor(call.query))
    where = f"{_PROJECTS} AND created_at < ?"
    return raw_page(run_rows.documents(db, where, values, limit=limit + 1), limit)


@registry.read("list-org-jobs")
def jobs(call: Call, db: sqlite3.Connection) -> Reply:
    """List the jobs of the organization, newest first."""
    limit = call.query["limit"]
    rows = db.execute(
        f"SELECT created_at, doc FROM jobs WHERE {_PROJECTS} AND created_at < ? "
        "ORDER BY created_at DESC LIMIT ?",
        (_organization(call), checks.cursor(call.query), limit + 1),
    )
    return raw_page([(at, bytes(Raw(doc.encode()))) for at, doc in rows], limit)


def _organization(call: Call) -> str:
    own = call.principal.org_id
    if not own or call.principal.environment_id:
        raise ApiError(403, "org-scoped api key required for cross-project queries")
    if own != call.params["orgID"]:
        raise ApiError(403, "api key does not belong to this organization")
    return own
