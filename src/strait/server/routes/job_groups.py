"""Job groups: jobs that are listed, paused and resumed together (`contract/workflows.md` §5.5)."""

from __future__ import annotations

import sqlite3

from msgspec.structs import replace

from strait.server import checks
from strait.server.http import Call, Reply, page, reply
from strait.server.registry import Registry
from strait.server.resource import Resource
from strait.server.routes.jobs import save_in_place
from strait.server.unit import Unit
from strait.store import jobs, runs
from strait.store.records import Record

registry = Registry()


def _let_jobs_go(call: Call, unit: Unit, group: Record) -> None:
    for job in jobs.of_group(unit.db, call.project_id, group.id):
        save_in_place(unit, replace(job, group_id=""))


GROUPS = Resource(
    kind="job_group",
    param="groupID",
    create="create-job-group",
    list="list-job-groups",
    get="get-job-group",
    update="update-job-group",
    delete="delete-job-group",
    shown={"name": "", "slug": ""},
    optional=("description",),
    unique=("slug",),
    project_wide="job groups requires a project-wide key",
    removing=_let_jobs_go,
)
GROUPS.serve(registry)


@registry.read("list-jobs-by-group")
def list_jobs(call: Call, db: sqlite3.Connection) -> Reply:
    """List the jobs of a group, newest first; an unknown group has none."""
    limit = call.query["limit"]
    rows = jobs.of_group(
        db,
        call.project_id,
        call.params["groupID"],
        before=checks.cursor(call.query),
        limit=limit + 1,
    )
    return page(rows, limit, lambda job: job.created_at)


@registry.write("pause-all-jobs-by-group")
def pause_all(call: Call, unit: Unit) -> Reply:
    """Start no runs of the group's jobs until they are resumed."""
    group = GROUPS.find(unit.db, call)
    for job in jobs.of_group(unit.db, call.project_id, group.id):
        if not job.paused:
            paused = replace(job, paused=True, paused_at=unit.stamp, pause_reason="group pause")
            save_in_place(unit, paused)
    return reply({"status": "paused"})


@registry.write("resume-all-jobs-by-group")
def resume_all(call: Call, unit: Unit) -> Reply:
    """Start the runs of all jobs of the group again, also of those that were paused one by one."""
    group = GROUPS.find(unit.db, call)
    for job in jobs.of_group(unit.db, call.project_id, group.id):
        if job.paused:
            save_in_place(unit, replace(job, paused=False, paused_at="", pause_reason=""))
    return reply({"status": "resumed"})


@registry.read("get-job-group-stats")
def stats(call: Call, db: sqlite3.Connection) -> Reply:
    """Count the runs of the group's jobs by status."""
    group = GROUPS.find(db, call)
    ids = [job.id for job in jobs.of_group(db, call.project_id, group.id)]
    return reply({"group_id": group.id, "run_counts": runs.count_by_status(db, ids)})
