"""Jobs: definitions of what runs where, and under which limits (`contract/runs.md` §6.13)."""

from __future__ import annotations

import re
import sqlite3

from msgspec import UNSET
from msgspec.structs import replace

from strait import cron, ids
from strait.engine.model import Job
from strait.server import addresses, checks, within
from strait.server._generated import bodies
from strait.server.errors import ApiError, not_found
from strait.server.http import NO_CONTENT, Call, Reply, page, reply
from strait.server.limits import check_ports
from strait.server.registry import Registry
from strait.server.resource import given
from strait.server.unit import Unit
from strait.server.vault import signing_place
from strait.server.work import environments, held, schedules, throttles
from strait.store import dependencies, jobs, records
from strait.store import runs as run_rows
from strait.store import workflows as workflow_rows

registry = Registry()

DEFAULT_MAX_ATTEMPTS = 3
DEFAULT_TIMEOUT_SECS = 300
MAX_TIMEOUT_SECS = 86_400
MAX_REASON_CHARS = 500
MAX_NAME_CHARS = 255
_QUEUE_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}")

# Fields that a request and the record have in common, and that are taken over as they are.
_PLAIN = (
    "group_id", "name", "description", "fallback_endpoint_url", "max_attempts", "timeout_secs",
    "max_concurrency", "max_concurrency_per_key", "execution_window_cron", "timezone", "cron",
    "rate_limit_max", "rate_limit_window_secs", "dedup_window_secs", "run_ttl_secs",
    "retry_strategy", "retry_delays_secs", "retry_priority_boost", "environment_id",
    "version_policy", "default_run_metadata", "cron_overlap_policy", "cron_catchup",
    "debounce_window_secs", "batch_window_secs", "batch_max_size", "execution_mode",
    "poison_pill_threshold",
    "on_complete_trigger_workflow", "on_complete_trigger_job", "on_failure_trigger_job",
    "on_failure_trigger_workflow", "enabled", "backwards_compatible", "slug",
)  # fmt: skip
_SCHEMAS = ("payload_schema", "result_schema")
_MAPPINGS = ("on_complete_payload_mapping", "on_failure_payload_mapping")


@registry.write("create-job")
def create(call: Call, unit: Unit) -> Reply:
    """Make a job."""
    return reply(new_job(call, unit, call.body(bodies.CreateJobRequest)), 201)


def new_job(call: Call, unit: Unit, body: bodies.CreateJobRequest) -> Job:
    """Make a job out of a request.

    Raises:
        ApiError: with what is wrong with it.
    """
    if body.project_id != call.project_id:
        raise ApiError(403, "project_id does not match authenticated project")
    unit.tick()
    job = Job(
        id=unit.new_id(),
        project_id=body.project_id,
        name=body.name,
        slug=body.slug,
        endpoint_url="",
        max_attempts=DEFAULT_MAX_ATTEMPTS,
        timeout_secs=DEFAULT_TIMEOUT_SECS,
        enabled=True,
        paused=False,
        version=1,
        version_id=ids.version_id(),
        version_policy="pin",
        cron_overlap_policy="allow",
        execution_mode="http",
        retry_priority_boost=1,
        queue="default",
        created_by=call.principal.actor,
        updated_by=call.principal.actor,
        created_at=unit.stamp,
        updated_at=unit.stamp,
    )
    job = _in_reach(call, unit.db, _merged(job, body, unit.platform.reach, keep_zero=False))
    check(job)
    _check_references(unit.db, job, None)
    secret = body.endpoint_signing_secret or body.webhook_secret or ""
    insert(unit, job, secret)
    return job


def insert(unit: Unit, job: Job, secret: str) -> None:
    """Store a new job and have its schedule watched.

    Raises:
        ApiError: 409, the slug is taken.
    """
    check_ports(unit.platform.settings.limits, job)
    try:
        jobs.insert(unit.db, job, unit.platform.vault.seal(secret, signing_place(job.id)))
    except sqlite3.IntegrityError as error:
        raise _slug_taken(job) from error
    jobs.keep_version(unit.db, job)
    _forget(unit, job)
    schedules.begin(unit, schedules.of_job(job))


@registry.read("list-jobs")
def list_all(call: Call, db: sqlite3.Connection) -> Reply:
    """List the jobs of the project, newest first."""
    query = call.query
    limit = query["limit"]
    if query.get("tag_value") and not query.get("tag_key"):
        raise ApiError(400, "tag_key is required when tag_value is provided")
    rows = jobs.page(
        db,
        call.project_id,
        slug=query.get("slug") or "",
        tag_key=query.get("tag_key") or "",
        tag_value=query.get("tag_value") or "",
        environment_id=call.principal.environment_id,
        before=checks.cursor(query),
        limit=limit + 1,
    )
    return page(rows, limit, lambda job: job.created_at)


@registry.read("get-job")
def get(call: Call, db: sqlite3.Connection) -> Reply:
    """Show a job."""
    return reply(find(db, call))


def find(db: sqlite3.Connection, call: Call) -> Job:
    """Return the job that a path names.

    Raises:
        ApiError: 404.
    """
    job = jobs.get(db, call.params["jobID"])
    if job is None or job.project_id != call.project_id:
        raise not_found("job")
    return job


@registry.write("update-job")
def update(call: Call, unit: Unit) -> Reply:
    """Change a job; what is left out stays, and runs that are under way keep their version."""
    job = find(unit.db, call)
    body = call.body(bodies.UpdateJobRequest)
    changed = _in_reach(call, unit.db, _merged(job, body, unit.platform.reach, keep_zero=True))
    check(changed)
    _check_references(unit.db, changed, job)
    secret = body.endpoint_signing_secret or body.webhook_secret
    return reply(save(call, unit, changed, secret))


def _in_reach(call: Call, db: sqlite3.Connection, job: Job) -> Job:
    """Return a job that a key of one environment makes: in that environment and in no other.

    Raises:
        ApiError: 403, the job is for another one, or is followed by what is outside.
    """
    own = call.principal.environment_id
    if not own:
        return job
    if job.environment_id not in {"", own}:
        raise ApiError(403, "environment_id does not match the environment of the key")
    for name in ("on_complete_trigger_job", "on_failure_trigger_job"):
        after = jobs.by_slug(db, job.project_id, getattr(job, name))
        if after is not None and after.environment_id != own:
            raise ApiError(403, f"{name} is not in the environment of the key")
    for name in ("on_complete_trigger_workflow", "on_failure_trigger_workflow"):
        flow = workflow_rows.by_slug(db, job.project_id, getattr(job, name))
        if flow is not None and not within.workflow(db, flow.id, own):
            raise ApiError(403, f"{name} is not in the environment of the key")
    return replace(job, environment_id=own)


def save(call: Call, unit: Unit, job: Job, secret: str | None = None) -> Job:
    """Store a changed job as its next version and return it.

    Raises:
        ApiError: 409, its new slug is taken.
    """
    check_ports(unit.platform.settings.limits, job)
    unit.tick()
    job = replace(
        job,
        version=job.version + 1,
        version_id=ids.version_id(),
        updated_by=call.principal.actor,
        updated_at=unit.stamp,
    )
    sealed = None if secret is None else unit.platform.vault.seal(secret, signing_place(job.id))
    _update(unit, job, sealed)
    jobs.keep_version(unit.db, job)
    return job


def save_in_place(unit: Unit, job: Job) -> Job:
    """Store a switch of a job (paused, enabled) that makes no new version, and return it."""
    unit.tick()
    job = replace(job, updated_at=unit.stamp)
    _update(unit, job)
    return job


def _update(unit: Unit, job: Job, sealed_secret: str | None = None) -> None:
    before = jobs.get(unit.db, job.id)
    try:
        jobs.update(unit.db, job, sealed_secret)
    except sqlite3.IntegrityError as error:
        raise _slug_taken(job) from error
    _forget(unit, job)
    schedules.changed(unit, schedules.of_job(before or job), schedules.of_job(job))


@registry.write("delete-job")
def delete(call: Call, unit: Unit) -> Reply:
    """Delete a job that has nothing under way; its finished runs stay readable."""
    job = find(unit.db, call)
    if run_rows.has_active(unit.db, job.id):
        raise ApiError(409, "job has active runs — cancel them first or wait for completion")
    users = workflow_rows.naming_job(unit.db, job.project_id, job.id)
    if users:
        raise ApiError(409, f"job is a step of workflow {users[0]!r}; change that first")
    dependents = dependencies.on_job(unit.db, job.id)
    jobs.delete(unit.db, job.id)
    _forget(unit, job)
    schedules.begin(unit, schedules.of_job(replace(job, cron="")))
    if dependents:
        environments.changed(unit)  # they are told of it, in all their versions
    for dependent in dependents:
        held.release(unit, dependent)
    return NO_CONTENT


@registry.write("pause-job")
def pause(call: Call, unit: Unit) -> Reply:
    """Start no runs of a job until it is resumed."""
    job = find(unit.db, call)
    reason = call.body(bodies.PauseJobRequest).reason or ""
    if len(reason) > MAX_REASON_CHARS:
        raise ApiError(400, f"reason must be at most {MAX_REASON_CHARS} characters")
    if job.paused:
        return reply(job)
    paused = replace(job, paused=True, paused_at=unit.stamp, pause_reason=reason)
    return reply(save_in_place(unit, paused))


@registry.write("resume-job")
def resume(call: Call, unit: Unit) -> Reply:
    """Start the runs of a job again, those first that wait."""
    job = find(unit.db, call)
    if not job.paused:
        return reply(job)
    return reply(save_in_place(unit, replace(job, paused=False, paused_at="", pause_reason="")))


def check(job: Job) -> None:
    """Check a job as a whole.

    Raises:
        ApiError: 400 with the contract's text.
    """
    if not job.name or not job.slug:
        raise ApiError(400, f"{'slug' if job.name else 'name'} must not be empty")
    if len(job.name) > MAX_NAME_CHARS:
        raise ApiError(400, f"name too long (max {MAX_NAME_CHARS} characters)")
    if len(job.slug) > 128:
        raise ApiError(400, "slug too long (max 128 characters)")
    if job.execution_mode != "worker" and not job.endpoint_url:
        raise ApiError(400, "endpoint_url is required")
    if job.timeout_secs > MAX_TIMEOUT_SECS:
        raise ApiError(400, f"timeout_secs must be at most {MAX_TIMEOUT_SECS}")
    if job.queue and not _QUEUE_NAME.fullmatch(job.queue):
        raise ApiError(400, "queue_name must match ^[A-Za-z0-9_-]{1,63}$")
    if job.debounce_window_secs and job.batch_window_secs:
        raise ApiError(400, "debounce and batch are mutually exclusive")
    for expression in (job.cron, job.execution_window_cron):
        if expression:
            _check_cron(expression, job.timezone)
    window = job.execution_window_cron
    if window and cron.next_fire(window, job.timezone or "UTC", 0) is None:
        raise ApiError(400, f"execution_window_cron {window!r} never opens")


def _check_references(db: sqlite3.Connection, job: Job, before: Job | None) -> None:
    """Check that what a job newly names is there, in its own project."""
    for name, kind, what in (
        ("environment_id", environments.ENVIRONMENT, "environment"),
        ("group_id", "job_group", "job group"),
    ):
        named = str(getattr(job, name))
        if not named or (before is not None and getattr(before, name) == named):
            continue
        found = records.get(db, kind, named)
        if found is None or found.project_id != job.project_id:
            raise ApiError(400, f"{name}: {what} {named!r} not found")
    _check_throttles(db, job)
    _check_rate(job, before)
    for name in _SCHEMAS:
        if before is None or getattr(before, name) != getattr(job, name):
            checks.check_refs(getattr(job, name), name)


def _check_rate(job: Job, before: Job | None) -> None:
    if not job.rate_limit_max or job.rate_limit_window_secs:
        return
    if before is None or (before.rate_limit_max, before.rate_limit_window_secs) != (
        job.rate_limit_max,
        job.rate_limit_window_secs,
    ):
        text = "rate_limit_max needs rate_limit_window_secs: in how many seconds so many are taken"
        raise ApiError(400, text)


def _check_throttles(db: sqlite3.Connection, job: Job) -> None:
    names = [use["name"] for use in job.throttles]
    for name in names:
        if records.by_key(db, throttles.THROTTLE, job.project_id, name) is None:
            raise ApiError(400, f"throttle {name!r} not found; make it with PUT /v1/throttles/NAME")
        if names.count(name) > 1:
            raise ApiError(400, f"throttle {name!r} is named twice")


def _check_cron(expression: str, timezone: str) -> None:
    try:
        cron.validate_job_cron(expression)
        cron.next_fire(expression, timezone or "UTC", 0)
    except cron.CronError as error:
        details = [error.detail] if error.detail else []
        raise ApiError(400, str(error), details=details) from error


def _merged(
    job: Job,
    body: bodies.CreateJobRequest | bodies.UpdateJobRequest,
    reach: addresses.Reach,
    *,
    keep_zero: bool,
) -> Job:
    """Return a job with the fields that a request sets.

    In a new job the zero value of a field counts as absent, in a change it is a value.
    """
    changes: dict[str, object] = {}
    for name in _PLAIN:
        value = getattr(body, name, None)
        if value is not None and (keep_zero or value or isinstance(value, bool)):
            changes[name] = value
    for name in (*_SCHEMAS, *_MAPPINGS):
        if name in type(body).__struct_fields__ and getattr(body, name) is not UNSET:
            value = checks.json_value(getattr(body, name))
            changes[name] = checks.mapping(value, name) if name in _MAPPINGS else value
    if body.tags is not None:
        changes["tags"] = checks.tags(body.tags)
    if body.endpoint_url is not None:
        changes["endpoint_url"] = addresses.endpoint(body.endpoint_url, "endpoint_url", reach)
    if body.fallback_endpoint_url is not None:
        changes["fallback_endpoint_url"] = addresses.endpoint(
            body.fallback_endpoint_url, "fallback_endpoint_url", reach
        )
    if body.queue_name:
        changes["queue"] = body.queue_name
    if body.throttles is not None:
        changes["throttles"] = [given(use) for use in body.throttles]
    return replace(job, **changes)


def _forget(unit: Unit, job: Job) -> None:
    """Have everything that goes by the definition of a job look at it anew."""
    platform = unit.platform
    platform.jobs.forget(job.id)
    unit.after(lambda: platform.jobs.forget(job.id))
    unit.after(lambda: platform.scheduler.job_changed(job))


def _slug_taken(job: Job) -> ApiError:
    return ApiError(409, f"a job with slug {job.slug!r} already exists in this project")
