"""Health, queue figures, and what the server says of itself."""

from __future__ import annotations

import os
import sqlite3

from strait._version import __version__
from strait.clock import SECOND, to_timestamp
from strait.server import auth
from strait.server.errors import ApiError
from strait.server.figures import Exposition, present_counts
from strait.server.http import Call, Reply, reply
from strait.server.platform import Platform
from strait.server.registry import Registry
from strait.store import run_lists
from strait.store.writer import reason

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
    """Say whether requests can be served, and if not, why."""
    reasons = []
    try:
        platform.reader.execute("SELECT 1 FROM meta LIMIT 1").fetchone()
    except sqlite3.Error as error:
        reasons.append(f"the database cannot be read; {reason(error)}")
    await platform.try_to_write()
    if platform.writer.failing is not None:
        reasons.append(f"the last commit failed; {reason(platform.writer.failing)}")
    if (lost := platform.presence.lost()) is not None:
        if platform.writer.failing is None:
            reasons.append(reason(lost))
    elif not os.access(platform.database, os.W_OK):
        reasons.append("the database file is not writable")
    if platform.draining:
        reasons.append("the server is stopping")
    elif not platform.scheduler.running:
        reasons.append("the server is starting; no runs are started yet")
    if reasons:
        return reply({"status": "not_ready", "reasons": reasons}, 503)
    return reply({"status": "ready"})


@registry.other("metrics")
async def metrics(call: Call, platform: Platform) -> Reply:
    """Write what is counted as Prometheus text."""
    if not (call.principal.internal or platform.settings.open_metrics):
        raise ApiError(403, "metrics require internal secret")
    present = await platform.analyst.ask(present_counts)
    text = Exposition(platform, present).text()
    return Reply(200, text, content_type=b"text/plain; version=0.0.4; charset=utf-8")


@registry.analysis("get-stats")
def stats(call: Call, db: sqlite3.Connection) -> Reply:
    """Count the runs of the project that wait, execute, and are delayed."""
    return reply(run_lists.counts(db, call.project_id, ("queued", "executing", "delayed")))


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
