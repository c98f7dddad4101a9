"""Dead letters for administrators: seen without their payloads, run again, or deleted."""

from __future__ import annotations

import sqlite3

from msgspec import Raw, json

from strait.server import checks
from strait.server.errors import ApiError
from strait.server.http import Call, Reply, raw_page, reply
from strait.server.registry import Registry
from strait.server.routes.runs import document, requeue_dead_letter
from strait.server.unit import Unit
from strait.server.work import runs
from strait.store import records
from strait.store import runs as run_rows
from strait.store.records import Record

registry = Registry()

_UNMASKED = "unmasked_dead_letter"
_HIDDEN = Raw(b'"***"')


@registry.read("admin-list-dlq")
def list_all(call: Call, db: sqlite3.Connection) -> Reply:
    """List dead letters, newest first; what they carry is hidden until they are unmasked.

    `masked=false` shows all of it, to who may replay dead letters.
    """
    query = call.query
    limit = query["limit"]
    masked = query.get("masked") != "false"
    if not masked:
        call.principal.require("dlq:replay")
    where = "project_id = ? AND status = 'dead_letter' AND created_at < ?"
    values = [call.project_id, checks.cursor(query)]
    if query.get("job_id"):
        where += " AND job_id = ?"
        values.append(str(query["job_id"]))
    rows = run_rows.documents(db, where, values, limit=limit + 1)
    return raw_page([(at, _masked(db, doc)) for at, doc in rows] if masked else rows, limit)


def _masked(db: sqlite3.Connection, text: bytes) -> bytes:
    fields = json.decode(text, type=dict[str, Raw])
    run_id = json.decode(fields["id"], type=str)
    if records.get(db, _UNMASKED, run_id) is not None:
        return text
    return json.encode(
        {name: _HIDDEN if name in {"payload", "result"} else it for name, it in fields.items()}
    )


@registry.write("admin-replay-dlq")
def replay(call: Call, unit: Unit) -> Reply:
    """Put a dead letter back into the queue, from attempt 1."""
    stored = _dead(call, unit)
    requeue_dead_letter(unit, stored)
    return document(unit, stored.run.id)


@registry.write("admin-unmask-dlq")
def unmask(call: Call, unit: Unit) -> Reply:
    """Show what a dead letter carries in the list from now on."""
    run = _dead(call, unit).run
    if records.get(unit.db, _UNMASKED, run.id) is None:
        mark = Record(
            id=run.id,
            project_id=call.project_id,
            created_at=unit.stamp,
            updated_at=unit.stamp,
            fields={},
        )
        records.insert(unit.db, _UNMASKED, mark)
    return reply({"run_id": run.id, "ok": True})


@registry.write("admin-purge-dlq")
def purge(call: Call, unit: Unit) -> Reply:
    """Delete a dead letter with its history."""
    run = _dead(call, unit).run
    run_rows.purge(unit.db, run.id)
    records.delete(unit.db, _UNMASKED, run.id)
    return reply({"run_id": run.id, "ok": True})


def _dead(call: Call, unit: Unit) -> run_rows.Stored:
    stored = runs.load(unit, call.project_id, call.params["run_id"])
    if stored.run.status != "dead_letter":
        raise ApiError(409, "run is not in dead_letter status")
    return stored
