"""Views of runs: lists, history, checkpoints, outputs, lineage."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import replace

from msgspec import Raw, json

from strait.reserved import STATE_PREFIX, SUSPENDED_KEY
from strait.server import checks, within
from strait.server.errors import ApiError, not_found
from strait.server.http import Call, Reply, encode, page, raw, raw_page, reply
from strait.server.platform import Platform
from strait.server.registry import Registry
from strait.server.work import records, steps
from strait.store import ledger, run_lists
from strait.store import runs as run_rows
from strait.store.run_lists import Wanted

registry = Registry()


def owned(call: Call, db: sqlite3.Connection) -> str:
    """Return the id of the run that a path names, if it is the caller's.

    Raises:
        ApiError: 404.
    """
    run_id = call.params["runID"]
    row = db.execute("SELECT project_id FROM runs WHERE id = ?", (run_id,)).fetchone()
    if row is None or row[0] != call.project_id:
        raise not_found("run")
    return run_id


@registry.read("get-run")
def get(call: Call, db: sqlite3.Connection) -> Reply:
    """Show a run with its payload and result."""
    return raw(run_rows.document(db, owned(call, db)) or b"null")


@registry.other("list-runs")
async def list_all(call: Call, platform: Platform) -> Reply:
    """List the runs of the project that fit the filters, newest first."""
    wanted = _wanted(call)
    if wanted.is_plain and not call.query.get("payload_contains"):
        return _page(call, wanted, platform.reader)
    # A filter may have to look at every run that there is.
    return await platform.analyst.ask(lambda db: _page(call, wanted, db))


def _wanted(call: Call) -> Wanted:
    query = call.query
    status = query.get("status")
    return Wanted(
        project_id=call.project_id,
        before=checks.cursor(query),
        limit=query["limit"] + 1,
        statuses=tuple(dict.fromkeys(query.get("statuses") or ([status] if status else []))),
        tag=_pair(query, "tag"),
        metadata=_pair(query, "metadata"),
        batch_id=query.get("batch_id") or "",
        job_id=query.get("job_id") or "",
        fields={name: query[name] for name in _FIELDS if query.get(name)},
        environment_id=call.principal.environment_id,
    )


_FIELDS = ("triggered_by", "execution_mode", "error_class")


def _pair(query: Mapping[str, str | None], family: str) -> tuple[str, str] | None:
    key, value = query.get(f"{family}_key"), query.get(f"{family}_value")
    if value and not key:
        raise ApiError(400, f"{family}_key is required when {family}_value is provided")
    return (key, value or "") if key else None


def _page(call: Call, wanted: Wanted, db: sqlite3.Connection) -> Reply:
    limit = call.query["limit"]
    needle = call.query.get("payload_contains")
    if not needle:
        rows, behind = run_lists.page(db, wanted)
        return raw_page(rows, limit, behind)
    looked_at = replace(wanted, limit=_PAYLOADS, looked_at=_PAYLOADS, looks=True)
    rows, behind = run_lists.page(db, looked_at)
    if len(rows) == _PAYLOADS:
        behind = rows[-1][0]
    value = json.decode(needle)
    fitting = [row for row in rows if contains(json.decode(row[1]).get("payload"), value)]
    return raw_page(fitting[: limit + 1], limit, behind)


# As many as are read in the time that an answer may take.
_PAYLOADS = 1_000


def contains(value: object, needle: object) -> bool:
    """Return whether JSON contains other JSON, as PostgreSQL's `@>` does for objects and lists."""
    if isinstance(needle, dict):
        return isinstance(value, dict) and all(
            key in value and contains(value[key], inner) for key, inner in needle.items()
        )
    if isinstance(needle, list):
        return isinstance(value, list) and all(
            any(contains(item, inner) for item in value) for inner in needle
        )
    return value == needle and type(value) is type(needle)


@registry.read("list-run-events")
def events(call: Call, db: sqlite3.Connection) -> Reply:
    """List the history of a run, oldest first."""
    run_id = owned(call, db)
    query = call.query
    limit = query["limit"]
    after, since = checks.line_cursor(query)
    rows = ledger.search(
        db,
        run_id,
        level=query.get("level") or "",
        type=query.get("type") or "",
        after=after,
        since=since,
        limit=limit + 1,
    )
    cursor = checks.cursor_behind(rows[limit - 1].at, rows[limit - 1].seq) if rows[limit:] else ""
    return page([event(line) for line in rows], limit, lambda _: cursor)


def event(line: ledger.Line) -> dict[str, object]:
    """Return a ledger line as the API's `RunEvent`."""
    row: dict[str, object] = {
        "id": line.id,
        "run_id": line.subject,
        "type": line.type,
        "level": line.level,
        "message": line.message,
        "created_at": line.at,
    }
    if line.data is not None:
        row["data"] = Raw(line.data.encode())
    return row


def _records(table: str, extra: str = "") -> Callable[[Call, sqlite3.Connection], Reply]:
    def read(call: Call, db: sqlite3.Connection) -> Reply:
        run_id = owned(call, db)
        limit = call.query["limit"]
        where = f"run_id = ? AND created_at < ?{extra}"
        rows = records.documents(
            db, table, where, (run_id, checks.cursor(call.query)), limit=limit + 1
        )
        return raw_page(rows, limit)

    return read


registry.read("list-run-checkpoints")(_records("checkpoints"))
registry.read("list-run-outputs")(_records("run_outputs"))
registry.read("list-run-usage")(_records("run_samples", " AND kind = 'usage'"))
registry.read("list-run-tool-calls")(_records("run_samples", " AND kind = 'tool_call'"))


@registry.read("list-run-resources")
def resources(call: Call, db: sqlite3.Connection) -> Reply:
    """List the resource snapshots of a run, newest first."""
    run_id = owned(call, db)
    query = call.query
    rows = records.documents(
        db,
        "run_samples",
        "run_id = ? AND kind = 'resource' AND created_at >= ? AND created_at <= ?",
        (
            run_id,
            checks.canonical_instant(query["from"]) if query.get("from") else "",
            checks.canonical_instant(query["to"]) if query.get("to") else checks.END_OF_TIME,
        ),
        limit=query.get("limit") or 100,
    )
    return raw(b"[" + b",".join(document for _, document in rows) + b"]")


@registry.read("list-run-state")
def state(call: Call, db: sqlite3.Connection) -> Reply:
    """Show the state that a run has written."""
    found = records.states(db, owned(call, db))
    if call.query.get("kept"):
        rows = (row for row in found if row.state_key != SUSPENDED_KEY)
        return reply([steps.without_hidden(row) for row in rows])
    return reply([row for row in found if not row.state_key.startswith(STATE_PREFIX)])


@registry.read("list-run-steps")
def list_steps(call: Call, db: sqlite3.Connection) -> Reply:
    """List the recorded steps of a run, oldest first."""
    run_id = owned(call, db)
    limit = call.query["limit"]
    cursor = call.query.get("cursor")
    after = checks.canonical_instant(str(cursor)) if cursor else ""
    rows = steps.listed(db, run_id, after=after, limit=limit + 1)
    return raw_page([(at, encode(step)) for at, step in rows], limit)


@registry.read("list-child-runs")
def children(call: Call, db: sqlite3.Connection) -> Reply:
    """List the runs that a run has spawned in its own project, newest first."""
    run_id = owned(call, db)
    limit = call.query["limit"]
    own = call.principal.environment_id
    where, values = "parent_run_id = ? AND project_id = ? AND created_at < ?", [run_id]
    values += [call.project_id, checks.cursor(call.query)]
    if own:
        where, values = f"{where} AND job_id IN ({within.OF_JOBS})", [*values, own]
    rows = run_rows.documents(db, where, values, limit=limit + 1)
    return raw_page(rows, limit)


@registry.analysis("list-run-lineage")
def lineage(call: Call, db: sqlite3.Connection) -> Reply:
    """List a run with those that it continues and those that continue it, newest first."""
    run_id = owned(call, db)
    limit = call.query["limit"]
    chain = (
        "WITH RECURSIVE up (id, before) AS ("
        "SELECT id, doc ->> 'continuation_of' FROM runs WHERE id = ? UNION "
        "SELECT runs.id, doc ->> 'continuation_of' FROM runs JOIN up ON runs.id = up.before"
        "), down (id) AS (SELECT ? UNION "
        "SELECT runs.id FROM runs JOIN down ON doc ->> 'continuation_of' = down.id "
        "WHERE runs.project_id = ? AND json_extract(doc, '$.lineage_depth') > 0"
        ") SELECT id FROM up UNION SELECT id FROM down"
    )
    rows = run_rows.documents(
        db,
        f"id IN ({chain}) AND created_at < ?",
        (run_id, run_id, call.project_id, checks.cursor(call.query)),
        limit=limit + 1,
    )
    return raw_page(rows, limit)


@registry.read("get-debug-bundle")
def debug_bundle(call: Call, db: sqlite3.Connection) -> Reply:
    """Show all there is of a run in one answer."""
    run_id = owned(call, db)
    parts: dict[str, object] = {
        "run": Raw(run_rows.document(db, run_id) or b"null"),
        "events": [event(line) for line in ledger.lines(db, run_id)],
    }
    for name, table, where in (
        ("checkpoints", "checkpoints", "run_id = ?"),
        ("outputs", "run_outputs", "run_id = ?"),
        ("usage", "run_samples", "run_id = ? AND kind = 'usage'"),
        ("tool_calls", "run_samples", "run_id = ? AND kind = 'tool_call'"),
        ("resource_snapshots", "run_samples", "run_id = ? AND kind = 'resource'"),
    ):
        rows = records.documents(db, table, where, (run_id,), limit=1_000, newest_first=False)
        parts[name] = [Raw(document) for _, document in rows]
    return reply(parts)
