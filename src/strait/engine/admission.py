"""Making runs: what a trigger, a spawn, a schedule or a replay puts into the queue.

The checks that need the database (limits, idempotency, schemas) are the shell's; here is how a
run looks once it is let in (`contract/runs.md` §3.3).
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from strait import cron
from strait.clock import SECOND, to_timestamp
from strait.engine.entries import Entry
from strait.engine.model import Job, Run, Tags
from strait.engine.runs import State
from strait.engine.undo import UNDO

MAX_SCHEDULE_AHEAD_SECS = 30 * 24 * 3600
MAX_LINEAGE_DEPTH = 10
# A run that nobody bounded may wait this much longer than its attempt may take.
_DEFAULT_TTL_MARGIN_SECS = 60


class Request(Struct, frozen=True, kw_only=True):
    """What is asked for; everything else comes from the job."""

    triggered_by: str
    created_by: str
    tags: Tags = {}
    metadata: Tags = {}
    scheduled_at: int = 0
    priority: int = 0
    ttl_secs: int = 0
    idempotency_key: str = ""
    concurrency_key: str = ""
    parent_run_id: str = ""
    continuation_of: str = ""
    lineage_depth: int = 0
    batch_id: str = ""
    workflow_step_run_id: str = ""
    max_attempts_override: int = 0
    timeout_secs_override: int = 0
    retry_backoff: str = ""
    retry_initial_delay_secs: int = 0
    retry_max_delay_secs: int = 0
    replayed_run_id: str = ""
    debug_mode: bool = False


def held(state: State) -> tuple[State, tuple[Entry, ...]]:
    """Return a new run that waits for the runs of other jobs, and its first ledger entries."""
    entry = Entry("state_change", "created, waits for other jobs", "info", {"to": "waiting"})
    return replace(state, run=replace(state.run, status="waiting")), (entry,)


def admit(job: Job, request: Request, run_id: str, now: int) -> tuple[State, tuple[Entry, ...]]:
    """Return a new run of `job` and its first ledger entries."""
    scheduled_at = request.scheduled_at
    if request.triggered_by != UNDO:
        scheduled_at = in_window(job, scheduled_at, now)
    delayed = scheduled_at > now
    base = scheduled_at if delayed else now
    renewable = 0 if request.ttl_secs else time_to_live(job, request.timeout_secs_override)
    if request.triggered_by == "cron":
        # What nobody asked for has nobody's metadata, and waits until it is run or canceled.
        job = replace(job, default_run_metadata={})
        renewable = job.run_ttl_secs
    if request.triggered_by == UNDO:
        renewable = 0  # what is to be undone stays so, however long nobody comes to do it
    patience = request.ttl_secs or renewable
    run = Run(
        id=run_id,
        job_id=job.id,
        project_id=job.project_id,
        status="delayed" if delayed else "queued",
        created_at=to_timestamp(now),
        attempt=1,
        triggered_by=request.triggered_by,
        priority=request.priority,
        debug_mode=request.debug_mode,
        lineage_depth=request.lineage_depth,
        tags={**job.tags, **request.tags} if request.tags else job.tags,
        metadata={**job.default_run_metadata, **request.metadata},
        scheduled_at=to_timestamp(scheduled_at) if scheduled_at else "",
        expires_at=to_timestamp(base + patience * SECOND) if patience else "",
        parent_run_id=request.parent_run_id,
        idempotency_key=request.idempotency_key,
        job_version=job.version,
        job_version_id=job.version_id,
        workflow_step_run_id=request.workflow_step_run_id,
        max_attempts_override=request.max_attempts_override,
        timeout_secs_override=request.timeout_secs_override,
        retry_backoff=request.retry_backoff,
        retry_initial_delay_secs=request.retry_initial_delay_secs,
        retry_max_delay_secs=request.retry_max_delay_secs,
        continuation_of=request.continuation_of,
        created_by=request.created_by,
        batch_id=request.batch_id,
        concurrency_key=request.concurrency_key,
        execution_mode=job.execution_mode,
        queue_name=job.queue if job.execution_mode == "worker" else "",
        replayed_run_id=request.replayed_run_id,
    )
    entry = Entry("state_change", f"created, {run.status}", "info", {"to": run.status})
    return State(run, ttl_secs=renewable), (entry,)


def time_to_live(job: Job, timeout_secs: int = 0) -> int:
    """Return how many seconds a run of a job may wait to be dispatched, if its trigger says none.

    Args:
        job: the job.
        timeout_secs: how long an attempt may take, if not what the job says.
    """
    if job.run_ttl_secs:
        return job.run_ttl_secs
    if job.throttles:
        # It is meant to wait, for as long as it takes.
        return MAX_SCHEDULE_AHEAD_SECS
    return (timeout_secs or job.timeout_secs) + _DEFAULT_TTL_MARGIN_SECS


def in_window(job: Job, scheduled_at: int, now: int) -> int:
    """Return when a run may start under the job's execution window; 0 is at once."""
    window = job.execution_window_cron
    if not window:
        return scheduled_at
    start = max(scheduled_at, now)
    if cron.matches(window, job.timezone or "UTC", start):
        return scheduled_at
    return cron.next_fire(window, job.timezone or "UTC", start) or scheduled_at
