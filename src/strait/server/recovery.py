"""Taking over what the last server left: what is durable is all there is."""

from __future__ import annotations

import sqlite3
from functools import partial

from strait.clock import from_timestamp
from strait.server.unit import Unit
from strait.server.work import (
    api_keys,
    buffers,
    canaries,
    deliveries,
    descendants,
    events,
    housekeeping,
    log_drains,
    runs,
    schedules,
    throttles,
    workflows,
)
from strait.server.workers import results
from strait.store import jobs
from strait.store import runs as run_rows
from strait.store import workflows as workflow_rows


def newest_instant(db: sqlite3.Connection) -> int:
    """Return the latest instant in the database, so that a clock set back repeats none."""
    (newest,) = db.execute(
        "SELECT max(coalesce((SELECT created_at FROM runs ORDER BY seq DESC LIMIT 1), ''), "
        "coalesce((SELECT created_at FROM workflow_runs ORDER BY seq DESC LIMIT 1), ''), "
        "coalesce((SELECT max(at) FROM ledger WHERE id > (SELECT max(id) FROM ledger) - 100), ''), "
        "coalesce((SELECT max(created_at) FROM jobs), ''), "
        # Of what leaves no line in a history, each has an order too, and all but a few are audited.
        "coalesce((SELECT max(updated_at) FROM records), ''), "
        "coalesce((SELECT max((SELECT created_at FROM audit_events AS event "
        "WHERE event.project_id = chain.project_id ORDER BY event.seq DESC LIMIT 1)) "
        "FROM audit_chains AS chain), ''))"
    ).fetchone()
    return from_timestamp(newest) if newest else 0


def take_over(unit: Unit) -> None:
    """Queue what was queued, dispatch anew what was executing, and watch what is due.

    An executing run is dispatched again as the same attempt under a new assignment: its old
    handler may still be at work, and what that one writes is refused from now on. A run that
    is with a worker stays there for a while: workers come back, and know what they have.
    """
    scheduler = unit.platform.scheduler
    throttles.after_restart(unit)
    for job in jobs.everything(unit.db):
        schedules.take_over(unit, schedules.of_job(job))
        unit.after(partial(scheduler.job_changed, job))
    with_workers = results.after_restart(unit)
    for stored in list(run_rows.active(unit.db)):
        if stored.run.id not in with_workers:
            runs.after_restart(unit, stored)
    for workflow in workflow_rows.everything(unit.db):
        schedules.take_over(unit, schedules.of_workflow(workflow))
    descendants.after_restart(unit)
    events.after_restart(unit)
    workflows.after_restart(unit)
    buffers.after_restart(unit)
    deliveries.after_restart(unit)
    log_drains.after_restart(unit)
    api_keys.after_restart(unit)
    canaries.after_restart(unit)
    housekeeping.watch(unit)
