"""Downloads of jobs, runs and workflows, page by page beside the loop (`contract` §4.6)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from strait.clock import Timestamp
from strait.server import checks, downloads
from strait.server.errors import ApiError
from strait.server.http import Call, StreamReply, encode
from strait.server.platform import Platform
from strait.server.registry import Registry
from strait.store import jobs, workflows
from strait.store import runs as run_rows

registry = Registry()

Page: TypeAlias = Callable[[sqlite3.Connection, Timestamp], list[tuple[Timestamp, bytes]]]

_PAGE = 500
_CSV_FIELDS = (
    "id", "job_id", "status", "attempt", "triggered_by", "created_at", "started_at", "finished_at",
    "error",
)  # fmt: skip


@registry.other("export-jobs")
async def export_jobs(call: Call, platform: Platform) -> StreamReply:
    """Give out all jobs of the project, newest first."""
    project_id = call.project_id

    def page(db: sqlite3.Connection, before: Timestamp) -> list[tuple[Timestamp, bytes]]:
        found = jobs.page(db, project_id, before=before, limit=_PAGE)
        return [(job.created_at, encode(job)) for job in found]

    return _stream(call, platform, page)


@registry.other("export-workflows")
async def export_workflows(call: Call, platform: Platform) -> StreamReply:
    """Give out all workflows of the project without their steps, newest first."""
    project_id = call.project_id

    def page(db: sqlite3.Connection, before: Timestamp) -> list[tuple[Timestamp, bytes]]:
        found = workflows.page(db, project_id, before=before, limit=_PAGE)
        return [(workflow.created_at, encode(workflow)) for workflow in found]

    return _stream(call, platform, page)


@registry.other("export-runs")
async def export_runs(call: Call, platform: Platform) -> StreamReply:
    """Give out the runs of a span of time, newest first."""
    query = call.query
    since = checks.canonical_instant(str(query["from"]))
    until = checks.canonical_instant(str(query["to"]))
    if until < since:
        raise ApiError(400, "from must be before to")
    project_id = call.project_id

    def page(db: sqlite3.Connection, before: Timestamp) -> list[tuple[Timestamp, bytes]]:
        where = "project_id = ? AND created_at >= ? AND created_at <= ? AND created_at < ?"
        return run_rows.documents(db, where, (project_id, since, until, before), limit=_PAGE)

    return _stream(call, platform, page)


def _stream(call: Call, platform: Platform, page: Page) -> StreamReply:
    form = str(call.query["format"])
    body = downloads.frames(_pages(platform, page), form, _CSV_FIELDS)
    return downloads.attachment(body, form, call.route.id.removeprefix("export-"))


async def _pages(platform: Platform, page: Page) -> downloads.Pages:
    before = checks.END_OF_TIME
    while True:
        rows = await platform.analyst.ask(partial(_behind, page, before))
        if rows:
            yield [document for _, document in rows]
            before = rows[-1][0]
        if len(rows) < _PAGE:
            return


def _behind(page: Page, before: Timestamp, db: sqlite3.Connection) -> list[tuple[Timestamp, bytes]]:
    return page(db, before)
