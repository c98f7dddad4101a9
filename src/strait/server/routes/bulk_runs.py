"""Operations over many runs at once."""

from __future__ import annotations

import sqlite3
from functools import partial

from msgspec import Raw

from strait.engine import runs as engine
from strait.engine.refusal import Refused
from strait.fsm import RunStatus
from strait.server import checks
from strait.server._generated import bodies
from strait.server.errors import ApiError, invalid, not_found
from strait.server.http import Call, Reply, raw, raw_page, reply
from strait.server.platform import Platform
from strait.server.registry import Registry
from strait.server.routes.runs import replay_as_new, requeue_dead_letter
from strait.server.unit import Unit
from strait.server.work import audit, records, runs
from strait.store import run_lists
from strait.store import runs as run_rows
from strait.store.run_lists import Wanted
from strait.store.runs import UNFINISHED

registry = Registry()

MAX_CANCELED = 100
MAX_DEAD_LETTERS = 500
# So many are looked at for some that can be replayed.
_LOOKED_AT = 5_000
# An error names no more of the runs that it is about.
_TOLD = 20
_STATUSES = frozenset(status.value for status in RunStatus)
_WAITING = "'delayed', 'queued', 'dequeued', 'waiting', 'paused', 'replay_staged'"
# As many as are canceled in the time that another request may be kept waiting.
_AT_ONCE = 200


@registry.write("bulk-cancel-runs")
def bulk_cancel(call: Call, unit: Unit) -> Reply:
    """Cancel runs by id; each has its own outcome."""
    wanted = call.body(bodies.BulkCancelRequest).run_ids or []
    if len(wanted) > MAX_CANCELED:
        raise invalid("run_ids: failed on 'max'")
    results = [_cancel(call, unit, run_id) for run_id in wanted]
    canceled = sum(1 for row in results if row["status"] == "canceled")
    return reply(
        {
            "results": results,
            "total": len(results),
            "canceled": canceled,
            "failed": len(results) - canceled,
        }
    )


def _cancel(call: Call, unit: Unit, run_id: str) -> dict[str, str]:
    stored = run_rows.load(unit.db, run_id)
    if stored is None or stored.run.project_id != call.project_id:
        return {"id": run_id, "status": "failed", "error": "run not found"}
    try:
        runs.apply(unit, stored, engine.Canceled("canceled by user"))
    except Refused as refusal:
        return {"id": run_id, "status": "failed", "error": refusal.message}
    return {"id": run_id, "status": "canceled"}


@registry.other("bulk-cancel-all-runs")
async def bulk_cancel_all(call: Call, platform: Platform) -> Reply:
    """Cancel all runs that fit the filters, some at a time, so that other requests have theirs.

    The first transaction holds the event of the audit log, too; the others belong to it.
    """
    wanted = _fitting(call, platform.reader)
    canceled = await platform.write(partial(_begin_to_cancel, call, wanted[:_AT_ONCE]))
    for start in range(_AT_ONCE, len(wanted), _AT_ONCE):
        some = wanted[start : start + _AT_ONCE]
        canceled += await platform.write(partial(_cancel_some, call, some))
    return reply({"canceled": len(canceled), "run_ids": canceled})


def _fitting(call: Call, db: sqlite3.Connection) -> list[str]:
    """Return the runs that fit the filters: those that execute last, or others took their slots."""
    body = call.body(bodies.BulkCancelAllRequest)
    filters = {
        "job_id": body.job_id,
        "batch_id": body.batch_id,
        "doc ->> 'triggered_by'": body.triggered_by,
        "status": body.status,
    }
    given = {column: value for column, value in filters.items() if value}
    if not given:
        raise ApiError(400, "at least one filter is required")
    if body.status and body.status not in _STATUSES:
        raise ApiError(400, "status is invalid")
    found: list[str] = []
    for statuses in (_WAITING, "'executing'"):
        where = [
            f"{UNFINISHED} AND project_id = ? AND status IN ({statuses})",
            *(f"{name} = ?" for name in given),
        ]
        found += run_rows.ids(db, " AND ".join(where), (call.project_id, *given.values()))
    return found


def _begin_to_cancel(call: Call, run_ids: list[str], unit: Unit) -> list[str]:
    audit.record(call, unit, reply({}))
    return _cancel_some(call, run_ids, unit)


def _cancel_some(call: Call, run_ids: list[str], unit: Unit) -> list[str]:
    return [run_id for run_id in run_ids if _cancel(call, unit, run_id)["status"] == "canceled"]


@registry.write("bulk-replay-runs")
def bulk_replay(call: Call, unit: Unit) -> Reply:
    """Make new runs like ones that have failed; each has its own outcome."""
    wanted = call.body(bodies.BulkReplayRunsRequest).run_ids or []
    results: list[dict[str, str]] = []
    for place, run_id in enumerate(wanted):
        if run_id in wanted[:place]:
            told = {"status": "skipped", "error": "run is named twice"}
            results.append({"original_run_id": run_id, **told})
        else:
            results.append(_replay(call, unit, run_id))
    replayed = sum(1 for row in results if row["status"] == "replayed")
    return reply({"results": results, "total": len(results), "replayed": replayed})


def _replay(call: Call, unit: Unit, run_id: str) -> dict[str, str]:
    stored = run_rows.load(unit.db, run_id)
    if stored is None or stored.run.project_id != call.project_id:
        return {"original_run_id": run_id, "status": "failed", "error": "run not found"}
    try:
        run = replay_as_new(call, unit, stored.run)
    except ApiError as error:
        return {"original_run_id": run_id, "status": "skipped", "error": error.message}
    return {"original_run_id": run_id, "new_run_id": run.id, "status": "replayed"}


@registry.read("list-dead-letter-runs")
def dead_letters(call: Call, db: sqlite3.Connection) -> Reply:
    """List the dead letters of the project, newest first."""
    limit = call.query["limit"]
    wanted = Wanted(call.project_id, checks.cursor(call.query), limit + 1, ("dead_letter",))
    return raw_page(run_lists.page(db, wanted).rows, limit)


@registry.write("bulk-replay-dead-letter-runs")
def bulk_replay_dead_letters(call: Call, unit: Unit) -> Reply:
    """Put dead letters back into the queue: those that are named, or the oldest of the project."""
    body = call.body(bodies.BulkReplayDeadLetterRunsRequest)
    named = body.run_ids or []
    if bool(named) == bool(body.project_id):
        raise invalid("exactly one of run_ids and project_id is required")
    if len(named) > MAX_DEAD_LETTERS:
        raise invalid("run_ids: failed on 'max'")
    if body.project_id and body.project_id != call.project_id:
        raise ApiError(403, "project_id does not match authenticated project")
    limit = MAX_DEAD_LETTERS if named else body.limit or 100
    if not 1 <= limit <= MAX_DEAD_LETTERS:
        raise invalid(f"limit: must be between 1 and {MAX_DEAD_LETTERS}")
    ids = dict.fromkeys(named) or run_lists.dead_letters(unit.db, call.project_id, _LOOKED_AT)
    replayed: list[str] = []
    skipped: list[dict[str, str]] = []
    for run_id in ids:
        if len(replayed) == limit:
            break
        if problem := _requeue(call, unit, run_id):
            skipped.append({"id": run_id, "status": "skipped", "error": problem})
        else:
            replayed.append(run_id)
    if not replayed:
        raise _nothing_replayed(skipped)
    documents = [run_rows.document(unit.db, run_id) or b"null" for run_id in replayed]
    told = {"replayed": [Raw(each) for each in documents], "count": len(replayed)}
    return reply({**told, "skipped": skipped} if skipped else told)


def _requeue(call: Call, unit: Unit, run_id: str) -> str:
    """Put a dead letter back into the queue; return why that cannot be, or ""."""
    try:
        requeue_dead_letter(unit, runs.load(unit, call.project_id, run_id))
    except (ApiError, Refused) as error:
        return error.message
    return ""


def _nothing_replayed(skipped: list[dict[str, str]]) -> ApiError:
    told = [f"{each['id']}: {each['error']}" for each in skipped[:_TOLD]]
    return ApiError(409, "no runs in dead_letter status that can be replayed", details=told)


@registry.read("list-batch-operations")
def batches(call: Call, db: sqlite3.Connection) -> Reply:
    """List the bulk triggers of the project, newest first."""
    limit = call.query["limit"]
    rows = records.documents(
        db,
        "batches",
        "project_id = ? AND created_at < ?",
        (call.project_id, checks.cursor(call.query)),
        limit=limit + 1,
    )
    return raw_page(rows, limit)


@registry.read("get-batch-operation")
def batch(call: Call, db: sqlite3.Connection) -> Reply:
    """Show a bulk trigger."""
    row = db.execute(
        "SELECT doc FROM batches WHERE id = ? AND project_id = ?",
        (call.params["batchID"], call.project_id),
    ).fetchone()
    if row is None:
        raise not_found("batch operation")
    return raw(row[0].encode())
