"""What runs by itself, of jobs and workflows alike, and when next; the embedded platform only."""

from __future__ import annotations

import sqlite3
from itertools import chain

from msgspec import Struct

from strait.clock import Timestamp, to_timestamp
from strait.cron import next_fire
from strait.server import within
from strait.server.http import Call, Reply, reply
from strait.server.registry import Registry
from strait.server.work.schedules import Schedule, of_job, of_workflow
from strait.store import jobs, workflows

registry = Registry()

_SHOWN = 5
_NEVER = "9999"


class ShownSchedule(Struct, frozen=True, kw_only=True):
    """A schedule with its next instants (`Schedule`)."""

    type: str
    id: str
    slug: str
    name: str
    cron: str
    timezone: str
    active: bool
    next_runs: list[Timestamp]


@registry.analysis("list-schedules")
def list_all(call: Call, db: sqlite3.Connection) -> Reply:
    """List the schedules of the project, the next to fire first."""
    own = call.principal.environment_id
    of_jobs = (
        _shown(of_job(job), job.slug, job.name, job.cron, call.now)
        for job in jobs.scheduled(db, call.project_id)
        if own in {"", job.environment_id}
    )
    of_workflows = (
        _shown(of_workflow(each), each.slug, each.name, each.cron, call.now)
        for each in workflows.scheduled(db, call.project_id)
        if not own or within.workflow(db, each.id, own)
    )
    everything = chain(of_jobs, of_workflows)
    return reply(sorted(everything, key=lambda each: (*each.next_runs[:1], _NEVER, each.slug)))


def _shown(schedule: Schedule, slug: str, name: str, cron: str, now: int) -> ShownSchedule:
    zone = schedule.timezone or "UTC"
    return ShownSchedule(
        type=schedule.kind,
        id=schedule.owner_id,
        slug=slug,
        name=name,
        cron=cron,
        timezone=zone,
        active=bool(schedule.cron),
        next_runs=_next(schedule.cron, zone, now) if schedule.cron else [],
    )


def _next(cron: str, zone: str, now: int) -> list[Timestamp]:
    found: list[Timestamp] = []
    for _ in range(_SHOWN):
        fires_at = next_fire(cron, zone, now)
        if fires_at is None:
            break
        now = fires_at
        found.append(to_timestamp(now))
    return found
