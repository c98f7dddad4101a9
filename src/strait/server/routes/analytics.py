"""Analytics: checks what was asked for, asks, and shapes the rows (`contract/workflows.md` §5.8).

The platform keeps some of these for its cloud edition; here they are for everybody.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from msgspec import json

from strait.clock import SECOND, from_timestamp, to_timestamp
from strait.server.analytics import costs, jobs, runs, webhooks, workflows
from strait.server.analytics.sql import Question
from strait.server.errors import ApiError, not_found
from strait.server.http import Call, Reply, reply
from strait.server.registry import Registry

registry = Registry()

MAX_DAYS = 90
_HOUR = 3600
_DAY = 24 * _HOUR
_WINDOWS = {"1h": _HOUR, "1d": _DAY, "7d": 7 * _DAY, "30d": 30 * _DAY}
_MAX_JOBS = 50
_DEFAULT_HOURS = 24
# A second's work on a slow core.
MAX_HEALTH_RUNS = 50_000
_DEFAULT_THRESHOLD = 2.0


def ask(db: sqlite3.Connection, question: Question, parameters: dict[str, Any]) -> Any:
    """Return the rows of a question as objects, or its one row."""
    cursor = db.execute(question.sql, parameters)
    names = [column[0] for column in cursor.description]
    rows = [dict(zip(names, row, strict=True)) for row in cursor]
    return rows[0] if question.one else rows


def period(call: Call) -> dict[str, Any]:
    """Return the parameters of a question from a request.

    Raises:
        ApiError: 400, the period ends before it begins, or is too long.
    """
    query = call.query
    start, end = from_timestamp(query["from"]), from_timestamp(query["to"])
    if end <= start:
        raise ApiError(400, "`to` must be after `from`")
    if end - start > MAX_DAYS * _DAY * SECOND:
        raise ApiError(400, f"the period from `from` to `to` must be at most {MAX_DAYS} days")
    return {
        **{name: value for name, value in query.items() if name not in {"from", "to"}},
        **_between(call, start, end),
    }


def _between(call: Call, start: int, end: int) -> dict[str, Any]:
    return {"project": call.project_id, "from": to_timestamp(start), "to": to_timestamp(end)}


def _register(operation: str, question: Question) -> None:
    @registry.analysis(operation)
    def answer(call: Call, db: sqlite3.Connection) -> Reply:
        parameters = period(call)
        parameters["limit"] = parameters.get("limit") or question.limit
        _path(call, db, parameters)
        if parameters.get("job_ids"):
            parameters["job_ids"] = _job_ids(parameters["job_ids"])
        return reply(ask(db, question, parameters))


def _path(call: Call, db: sqlite3.Connection, parameters: dict[str, Any]) -> None:
    """Take over what the path names, if it is the caller's."""
    for place, name, table, what in (
        ("jobID", "job_id", "jobs", "job"),
        ("workflowID", "workflow_id", "workflows", "workflow"),
    ):
        if place in call.params:
            parameters[name] = call.params[place]
            _check_owned(call, db, table, call.params[place], what)


def _check_owned(call: Call, db: sqlite3.Connection, table: str, id: str, what: str) -> None:
    row = db.execute(f"SELECT project_id FROM {table} WHERE id = ?", (id,)).fetchone()
    if row is None or row[0] != call.project_id:
        raise not_found(what)


def _job_ids(ids: list[str]) -> str:
    if len(ids) > _MAX_JOBS:
        raise ApiError(400, f"job_ids must name at most {_MAX_JOBS} jobs")
    # A job that is named twice would have its runs counted twice.
    return json.encode(list(dict.fromkeys(ids))).decode()


for _family in (runs, jobs, costs, workflows, webhooks):
    for _operation, _question in _family.QUESTIONS.items():
        _register(_operation, _question)


# --------------------------------------------------------------- answers of more than one question


@registry.analysis("get-performance-analytics")
def performance(call: Call, db: sqlite3.Connection) -> Reply:
    """Show throughput, health and the slowest jobs of the last hours."""
    hours = call.query.get("period_hours") or _DEFAULT_HOURS
    # What was created this very moment belongs to the period too.
    parameters = _between(call, call.now - hours * _HOUR * SECOND, call.now + SECOND)
    throughput = ask(db, jobs.THROUGHPUT, parameters)
    return reply(
        {
            "slowest_jobs": ask(db, jobs.SLOWEST, parameters),
            "throughput": {**throughput, "period_hours": hours},
            "health_summary": ask(db, jobs.SUMMARY, parameters),
        }
    )


@registry.analysis("get-cost-analytics")
def cost(call: Call, db: sqlite3.Connection) -> Reply:
    """Show what a period cost, and which jobs cost it."""
    parameters = period(call)
    total = ask(db, costs.TOTAL, parameters)
    return reply({**total, "by_job": ask(db, costs.BY_JOB, parameters)})


@registry.analysis("get-cost-insights")
def insights(call: Call, db: sqlite3.Connection) -> Reply:
    """Show the runs that cost far more than other runs of their job."""
    parameters = period(call)
    threshold = parameters.get("threshold") or _DEFAULT_THRESHOLD
    outliers = ask(db, costs.OUTLIERS, {**parameters, "threshold": threshold})
    return reply({"outliers": outliers, "threshold": threshold})


@registry.analysis("get-job-health")
def job_health(call: Call, db: sqlite3.Connection) -> Reply:
    """Show how the runs of a job went lately.

    Where the window holds more runs than can be looked at in the time of an answer, it is about the
    newest of them, and `since` says from when on.
    """
    job_id = call.params["jobID"]
    _check_owned(call, db, "jobs", job_id, "job")
    window = call.query["window"]
    since = call.now - _WINDOWS[window] * SECOND
    parameters = {**_between(call, since, call.now + SECOND), "job_id": job_id}
    newest = db.execute(jobs.NEWEST, {**parameters, "most": MAX_HEALTH_RUNS}).fetchone()
    if newest is not None:
        parameters["from"] = newest[0]
    figures = ask(db, jobs.HEALTH, parameters)
    return reply({"job_id": job_id, "window": window, "since": parameters["from"], **figures})
