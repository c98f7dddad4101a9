"""Workers that connect out (`contract/runs.md` §10): who they are, and what they were given."""

from __future__ import annotations

import sqlite3

from msgspec import Struct

from strait.clock import Timestamp
from strait.server.errors import not_found
from strait.server.http import Call, Reply, reply
from strait.server.registry import Registry
from strait.server.unit import Unit
from strait.server.workers.fleet import WorkerId
from strait.store import workers as rows

registry = Registry()

_MAX_PAGE = 100


class ShownWorker(Struct, frozen=True):
    """A worker (`Worker`); of several queues the names stand in one text, with commas between."""

    id: str
    project_id: str
    queue_name: str
    hostname: str
    version: str
    status: str
    last_seen_at: Timestamp
    registered_at: Timestamp


class ShownResult(Struct, frozen=True, omit_defaults=True):
    """What a worker told of a task (`WorkerTaskResult`); its output is the run's result."""

    status: str
    error: str | None = None
    duration_ms: int | None = None
    received_at: Timestamp | None = None


class ShownTask(Struct, frozen=True, omit_defaults=True):
    """A task of a worker (`WorkerTask`)."""

    id: str
    worker_id: str
    run_id: str
    project_id: str
    attempt: int
    status: str
    assigned_at: Timestamp
    accepted_at: Timestamp | None = None
    finished_at: Timestamp | None = None
    result: ShownResult | None = None


@registry.read("list-workers")
def list_all(call: Call, db: sqlite3.Connection) -> Reply:
    """List the workers that are, or were lately, connected."""
    limit, offset = _page(call)
    own = call.principal.environment_id
    found = rows.page(db, call.project_id, own, limit=limit + 1, offset=offset)
    shown = [_worker(row) for row in found[:limit]]
    return reply({"data": shown, "offset": offset, "has_more": len(found) > limit})


@registry.read("get-worker")
def get(call: Call, db: sqlite3.Connection) -> Reply:
    """Show a worker."""
    return reply(_worker(_found(call, db)))


@registry.read("list-worker-tasks")
def list_tasks(call: Call, db: sqlite3.Connection) -> Reply:
    """List the tasks that a worker was given."""
    worker = _found(call, db)
    limit, offset = _page(call)
    found = rows.tasks_page(db, worker.project_id, worker.id, limit=limit + 1, offset=offset)
    shown = [_task(row) for row in found[:limit]]
    return reply({"data": shown, "offset": offset, "has_more": len(found) > limit})


@registry.write("force-disconnect-worker")
def disconnect(call: Call, unit: Unit) -> Reply:
    """Close the connection of a worker; what it has goes back to the queue."""
    worker = _found(call, unit.db)
    unit.platform.workers.disconnect(unit, WorkerId(worker.project_id, worker.id))
    return reply({"status": "disconnected"})


def _page(call: Call) -> tuple[int, int]:
    limit = min(call.query.get("limit") or 50, _MAX_PAGE)
    return limit, call.query["offset"] or 0


def _found(call: Call, db: sqlite3.Connection) -> rows.WorkerRow:
    row = rows.get(db, call.project_id, call.params["workerID"])
    if row is None or call.principal.environment_id not in {"", row.environment_id}:
        raise not_found("worker")
    return row


def _worker(row: rows.WorkerRow) -> ShownWorker:
    return ShownWorker(
        id=row.id,
        project_id=row.project_id,
        queue_name=row.queue_name,
        hostname=row.hostname,
        version=row.version,
        status=row.status,
        last_seen_at=row.last_seen_at,
        registered_at=row.registered_at,
    )


def _task(row: rows.TaskRow) -> ShownTask:
    # A task whose worker went away has come to nothing; the API has no word of its own for that.
    status = "failed" if row.status in {"lost", "released"} else row.status
    result = None
    if row.finished_at is not None:
        result = ShownResult(
            status="success" if status == "completed" else "failed",
            error=row.error or None,
            duration_ms=row.duration_ms,
            received_at=row.finished_at,
        )
    return ShownTask(
        id=row.id,
        worker_id=row.worker_id,
        run_id=row.run_id,
        project_id=row.project_id,
        attempt=row.attempt,
        status=status,
        assigned_at=row.assigned_at,
        accepted_at=row.accepted_at,
        finished_at=row.finished_at,
        result=result,
    )
