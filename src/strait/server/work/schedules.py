"""Cron schedules: when a job or a workflow starts by itself (`contract/runs.md` §6.12)."""

from __future__ import annotations

from strait.clock import SECOND, from_timestamp
from strait.cron import next_fire
from strait.engine import runs as engine
from strait.engine.admission import Request
from strait.engine.model import Job, Workflow
from strait.server.errors import QuotaExceeded
from strait.server.unit import Unit
from strait.server.work import budgets, runs, workflows
from strait.store import jobs
from strait.store import runs as run_rows
from strait.store import workflows as workflow_rows

_MINUTE = 60 * SECOND


def watch_job(unit: Unit, job: Job) -> None:
    """Have a job fire at the next tick of its schedule, or no more when it has none."""
    cron = job.cron if job.enabled and not job.paused else ""
    _watch(unit, ("job_cron", job.id), cron, job.timezone)


def watch_workflow(unit: Unit, workflow: Workflow) -> None:
    """Have a workflow fire at the next tick of its schedule, or no more when it has none."""
    cron = workflow.cron if workflow.enabled else ""
    _watch(unit, ("workflow_cron", workflow.id), cron, workflow.cron_timezone)


def job_due(unit: Unit, job_id: str) -> None:
    """Fire a job's tick, unless its runs overlap and its policy is against that."""
    job = jobs.get(unit.db, job_id)
    if job is None or not job.cron or job.paused or not job.enabled:
        return
    watch_job(unit, job)
    if not _first_time(unit, "job", job.id):
        return
    others = run_rows.ids(
        unit.db,
        "job_id = ? AND status IN ('queued', 'delayed', 'dequeued', 'executing', 'waiting')",
        (job.id,),
    )
    if others and job.cron_overlap_policy == "skip":
        return
    if not _affordable(unit, job.project_id, f"the schedule of job {job.id}"):
        return
    tick = unit.now // _MINUTE * 60
    request = Request(
        triggered_by="cron",
        created_by="system:cron",
        idempotency_key=f"cron:job:{job.id}:{tick}",
    )
    runs.create(unit, job, request, None)
    if job.cron_overlap_policy == "cancel_running":
        for run_id in others:
            runs.apply_by_id(unit, run_id, engine.Canceled("superseded by the next scheduled run"))


def workflow_due(unit: Unit, workflow_id: str) -> None:
    """Fire a workflow's tick, unless a run of it is under way and it asks to skip then."""
    workflow = workflow_rows.get(unit.db, workflow_id)
    if workflow is None or not workflow.cron or not workflow.enabled:
        return
    watch_workflow(unit, workflow)
    if _first_time(unit, "workflow", workflow.id) and _affordable(
        unit, workflow.project_id, f"the schedule of workflow {workflow.id}"
    ):
        workflows.fire(unit, workflow)


def _affordable(unit: Unit, project_id: str, what: str) -> bool:
    try:
        budgets.check(unit, project_id)
    except QuotaExceeded as refusal:
        unit.platform.report(f"{what} started nothing", refusal)
        return False
    return True


def _watch(unit: Unit, key: tuple[str, str], cron: str, timezone: str) -> None:
    timers = unit.platform.timers
    instant = next_fire(cron, timezone or "UTC", unit.now) if cron else None
    if instant is None:
        unit.after(lambda: timers.cancel(key))
    else:
        unit.after(lambda: timers.set(key, instant))


def _first_time(unit: Unit, kind: str, owner_id: str) -> bool:
    """Mark the present minute as fired; return False when it was already."""
    row = unit.db.execute(
        "SELECT last_fire FROM schedules WHERE kind = ? AND owner_id = ?", (kind, owner_id)
    ).fetchone()
    minute = unit.now // _MINUTE
    if row is not None and from_timestamp(row[0]) // _MINUTE >= minute:
        return False
    unit.db.execute(
        "INSERT INTO schedules (kind, owner_id, last_fire) VALUES (?, ?, ?) "
        "ON CONFLICT (kind, owner_id) DO UPDATE SET last_fire = excluded.last_fire",
        (kind, owner_id, unit.stamp),
    )
    return True
