"""Health, queue figures, and what the server says of itself."""

from __future__ import annotations

import sqlite3

from strait._version import __version__
from strait.clock import SECOND, to_timestamp
from strait.server import auth
from strait.server.errors import ApiError
from strait.server.http import Call, Reply, reply
from strait.server.platform import Platform
from strait.server.registry import Registry

registry = Registry()


@registry.other("health-check")
async def health(call: Call, platform: Platform) -> Reply:
    """Say that the process is up."""
    now = platform.clock.now()
    body: dict[str, object] = {
        "status": "ok",
        "version": __version__,
        "timestamp": to_timestamp(now),
    }
    if _has_secret(call, platform):
        body["edition"] = "community"
        body["uptime_seconds"] = max(0, now - platform.started_at) // SECOND
        body["subsystems"] = {"database": "up"}
    return reply(body)


@registry.other("health-ready")
async def ready(call: Call, platform: Platform) -> Reply:
    """Say whether requests can be served: the database answers."""
    try:
        platform.reader.execute("SELECT 1 FROM meta LIMIT 1").fetchone()
    except sqlite3.Error:
        return reply({"status": "not_ready"}, 503)
    return reply({"status": "ready"})


@registry.read("get-stats")
def stats(call: Call, db: sqlite3.Connection) -> Reply:
    """Count the runs of the project that wait, execute, and are delayed."""
    rows = db.execute(
        "SELECT status, count(*) FROM runs WHERE status IN ('queued', 'executing', 'delayed') "
        "AND project_id = ? GROUP BY status",
        (call.project_id,),
    )
    counts = {"queued": 0, "executing": 0, "delayed": 0, **dict(rows.fetchall())}
    return reply(counts)


def _has_secret(call: Call, platform: Platform) -> bool:
    try:
        auth.authenticate_internal(
            platform.settings.internal_secret,
            call.header(b"x-internal-secret"),
            project_id="",
            actor="",
        )
    except ApiError:
        return False
    return True
