"""The report of a run, for a page's button: what the API shows of it, as one HTML file.

The reads are those of `strait.report`, answered by the same functions that answer requests, so a
report shows nothing that its caller could not read.
"""

from __future__ import annotations

import sqlite3
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from msgspec import json

from strait.clock import to_timestamp
from strait.redaction import redacted_document
from strait.server import access
from strait.server._generated.routes import ROUTES
from strait.server.errors import ApiError
from strait.server.http import Call, Reply
from strait.server.registry import Registry
from strait.server.schema import Route

if TYPE_CHECKING:
    from strait.report.gather import Ask, Document, Kind

registry = Registry()

# What a caller may not see, or what is not there any more, is left out.
_LEFT_OUT = (403, 404)


@registry.analysis("get-run-report")
def run_report(call: Call, db: sqlite3.Connection) -> Reply:
    """Give out the report of a run."""
    return _report(call, db, "run", call.params["runID"])


@registry.analysis("get-workflow-run-report")
def workflow_run_report(call: Call, db: sqlite3.Connection) -> Reply:
    """Give out the report of a workflow run."""
    return _report(call, db, "workflow_run", call.params["workflowRunID"])


def _report(call: Call, db: sqlite3.Connection, kind: Kind, run_id: str) -> Reply:
    from strait.report import gather, render  # noqa: PLC0415 - a start needs no pictures

    paths = call.query.get("redact") or []
    flow = gather(kind, run_id, to_timestamp(call.now))
    page = render(redacted_document(_driven(flow, call, db), paths))
    # An id that was found has no character that a header could not hold.
    name = f'attachment; filename="{kind.replace("_", "-")}-{run_id}.html"'
    headers = ((b"content-disposition", name.encode()),)
    return Reply(200, page.encode(), headers, b"text/html; charset=utf-8")


def _driven(flow: Any, call: Call, db: sqlite3.Connection) -> Document:
    answer: Any = None
    while True:
        try:
            ask = flow.send(answer)
        except StopIteration as end:
            document: Document = end.value
            return document
        answer = _answer(ask, call, db)


def _answer(ask: Ask, call: Call, db: sqlite3.Connection) -> Any:
    """Answer one read as if its caller had asked for it."""
    # The registry of all modules imports this one.
    from strait.server.routes import registry as everything  # noqa: PLC0415

    route = _routes().get(ask.operation)
    read = everything.reads.get(ask.operation) or everything.analyses.get(ask.operation)
    if route is None or read is None:
        return None
    query = urlencode(ask.query).encode()
    inner = Call(route, dict(ask.params), call.headers, query, call.request_id, call.now)
    inner.principal = call.principal
    try:
        access.check(inner, db)
        return json.decode(read(inner, db).body)
    except ApiError as error:
        if ask.needed or error.status not in _LEFT_OUT:
            raise
        return None


@cache
def _routes() -> dict[str, Route]:
    return {route.id: route for route in ROUTES}
