"""Dependencies between jobs."""

from __future__ import annotations

import sqlite3

from strait.server import checks
from strait.server._generated import bodies
from strait.server.errors import ApiError, not_found
from strait.server.http import NO_CONTENT, Call, Reply, page, reply
from strait.server.registry import Registry
from strait.server.routes.jobs import find
from strait.server.unit import Unit
from strait.server.work import dependencies as work
from strait.server.work import environments, held, runs
from strait.store import dependencies, jobs

registry = Registry()

_CONDITIONS = frozenset({"completed", "failed", "any"})


@registry.write("create-job-dependency")
def create(call: Call, unit: Unit) -> Reply:
    """Let the runs of a job wait for those of another."""
    job = find(unit.db, call)
    body = call.body(bodies.CreateJobDependencyRequest)
    other = jobs.get(unit.db, body.depends_on_job_id)
    own = call.principal.environment_id
    is_seen = other is not None and (not own or other.environment_id == own)
    if other is None or not is_seen or other.project_id != call.project_id:
        raise ApiError(404, "dependency job not found")
    condition = body.condition or "completed"
    if condition not in _CONDITIONS:
        raise ApiError(400, "condition must be completed, failed or any")
    if _reaches(unit.db, other.id, job.id):
        raise ApiError(400, "a job cannot depend on itself, directly or through others")
    dependency = dependencies.Dependency(
        id=unit.new_id(),
        job_id=job.id,
        depends_on_job_id=other.id,
        condition=condition,
        created_at=unit.stamp,
    )
    try:
        dependencies.insert(unit.db, dependency)
    except sqlite3.IntegrityError as error:
        raise ApiError(409, "the job depends on that job already") from error
    environments.changed(unit)  # both jobs are told of it, in all their versions
    return reply(dependency, 201)


def _reaches(db: sqlite3.Connection, start: str, goal: str) -> bool:
    """Return whether a job depends on another, directly or through others."""
    seen: set[str] = set()
    todo = [start]
    while todo:
        job_id = todo.pop()
        if job_id == goal:
            return True
        if job_id not in seen:
            seen.add(job_id)
            todo += [found.depends_on_job_id for found in dependencies.of_job(db, job_id)]
    return False


@registry.read("list-job-dependencies")
def list_all(call: Call, db: sqlite3.Connection) -> Reply:
    """List what a job depends on, newest first."""
    job = find(db, call)
    limit, before = call.query["limit"], checks.cursor(call.query)
    rows = [row for row in dependencies.of_job(db, job.id) if row.created_at < before]
    return page(rows[: limit + 1], limit, lambda row: row.created_at)


@registry.write("delete-job-dependency")
def delete(call: Call, unit: Unit) -> Reply:
    """Let the runs of a job wait for those of another no longer."""
    job = find(unit.db, call)
    if not dependencies.delete(unit.db, job.id, call.params["depID"]):
        raise not_found("job dependency")
    environments.changed(unit)  # both jobs are told of it, in all their versions
    held.release(unit, job.id)
    return NO_CONTENT


@registry.write("get-run-dependency-status")
def status(call: Call, unit: Unit) -> Reply:
    """Show what a run waits for, and whether it is there."""
    run = runs.load(unit, call.project_id, call.params["runID"]).run
    found = dependencies.of_job(unit.db, run.job_id)
    return reply(
        {
            "run_id": run.id,
            "job_id": run.job_id,
            "status": run.status,
            "dependencies": found or None,
            "dependencies_satisfied": work.are_satisfied(unit, run),
        }
    )
