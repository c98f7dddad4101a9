"""Jobs beyond their definition: versions, clones, batches, endpoints."""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
import time

import msgspec
from msgspec.structs import replace

from strait import ids
from strait.engine.model import Job
from strait.server import addresses, checks, signing_headers
from strait.server._generated import bodies
from strait.server.errors import ApiError, not_found
from strait.server.http import Call, Reply, page, reply
from strait.server.outbound import CallError, Outbound
from strait.server.platform import Platform
from strait.server.registry import Registry
from strait.server.routes.jobs import find, insert, new_job, save, save_in_place
from strait.server.unit import Unit
from strait.store import jobs

registry = Registry()

MAX_BATCH = 50
_VERSION_FIELDS = (
    "version", "version_id", "backwards_compatible", "name", "slug", "description", "cron",
    "payload_schema", "tags", "endpoint_url", "fallback_endpoint_url", "max_attempts",
    "timeout_secs", "webhook_url", "run_ttl_secs",
)  # fmt: skip
_ALWAYS_SHOWN = frozenset(
    {"version", "name", "slug", "endpoint_url", "max_attempts", "timeout_secs"}
)


@registry.read("list-job-versions")
def versions(call: Call, db: sqlite3.Connection) -> Reply:
    """List the versions of a job, newest first."""
    job = find(db, call)
    limit = call.query["limit"]
    rows = jobs.versions(db, job.id, before=checks.cursor(call.query), limit=limit + 1)
    return page([_version(row) for row in rows], limit, lambda row: str(row["created_at"]))


@registry.read("get-job-version")
def version(call: Call, db: sqlite3.Connection) -> Reply:
    """Show a version of a job, by its version id or its number."""
    job = find(db, call)
    wanted = call.params["versionID"]
    for row in jobs.versions(db, job.id, before=checks.END_OF_TIME, limit=10_000):
        if wanted in {row.version_id, f"{row.id}:v{row.version}", str(row.version)}:
            return reply(_version(row))
    raise not_found("job version")


def _version(job: Job) -> dict[str, object]:
    shown = {name: getattr(job, name) for name in _VERSION_FIELDS}
    kept = {name: value for name, value in shown.items() if value or name in _ALWAYS_SHOWN}
    return {
        "id": f"{job.id}:v{job.version}",
        "job_id": job.id,
        **kept,
        "created_at": job.updated_at,
    }


@registry.write("clone-job")
def clone(call: Call, unit: Unit) -> Reply:
    """Make a job like another one."""
    source = find(unit.db, call)
    body = call.body(bodies.CloneJobRequest)
    unit.tick()
    copy = replace(
        source,
        id=unit.new_id(),
        name=body.name or f"{source.name} (copy)",
        slug=body.slug or f"{source.slug}-copy",
        version=1,
        version_id=ids.version_id(),
        created_by=call.principal.actor,
        updated_by=call.principal.actor,
        created_at=unit.stamp,
        updated_at=unit.stamp,
    )
    insert(unit, copy, _secret(unit.platform, unit.db, source.id))
    return reply(copy, 201)


@registry.write("batch-create-jobs")
def batch_create(call: Call, unit: Unit) -> Reply:
    """Make several jobs; each that is wrong is reported, the others are made."""
    body = call.body(bodies.BatchCreateJobsRequest)
    wanted = body.jobs or []
    if len(wanted) > MAX_BATCH:
        raise ApiError(400, f"too many jobs (max {MAX_BATCH})")
    created, errors = [], []
    for index, item in enumerate(wanted):
        unit.db.execute("SAVEPOINT item")
        try:
            created.append(new_job(call, unit, item))
            unit.db.execute("RELEASE item")
        except ApiError as error:
            unit.db.execute("ROLLBACK TO item")
            unit.db.execute("RELEASE item")
            errors.append({"index": index, "message": error.message})
    if not created:
        return reply({"created": None, "errors": errors}, 400)
    return reply({"created": created, "errors": errors}, 201)


@registry.write("batch-enable-jobs")
def batch_enable(call: Call, unit: Unit) -> Reply:
    """Enable several jobs."""
    return _switch(call, unit, enabled=True)


@registry.write("batch-disable-jobs")
def batch_disable(call: Call, unit: Unit) -> Reply:
    """Disable several jobs: they take no triggers, and their schedules rest."""
    return _switch(call, unit, enabled=False)


def _switch(call: Call, unit: Unit, *, enabled: bool) -> Reply:
    wanted = call.body(bodies.BatchJobIDsRequest).ids or []
    if len(wanted) > MAX_BATCH:
        raise ApiError(400, f"too many ids (max {MAX_BATCH})")
    updated = 0
    for job_id in dict.fromkeys(wanted):
        job = jobs.get(unit.db, job_id)
        if job is not None and job.project_id == call.project_id:
            save_in_place(unit, replace(job, enabled=enabled))
            updated += 1
    return reply({"updated": updated})


@registry.write("set-job-endpoint")
def set_endpoint(call: Call, unit: Unit) -> Reply:
    """Point a job to another endpoint, with a new signing secret when asked."""
    job = find(unit.db, call)
    body = call.body(bodies.SetJobEndpointRequest)
    reach = unit.platform.reach
    changes: dict[str, object] = {
        "endpoint_url": addresses.endpoint(body.endpoint_url, "endpoint_url", reach)
    }
    if body.fallback_endpoint_url is not None:
        changes["fallback_endpoint_url"] = addresses.endpoint(
            body.fallback_endpoint_url, "fallback_endpoint_url", reach
        )
    secret = f"esec_{secrets.token_hex(32)}" if body.rotate_signing_secret else None
    changed = save(call, unit, replace(job, **changes), secret)
    answer: dict[str, object] = {"job": changed}
    if secret is not None:
        answer["signing_secret"] = secret
    return reply(answer)


@registry.other("verify-job-endpoint")
async def verify_endpoint(call: Call, platform: Platform) -> Reply:
    """Send a signed test message to a job's endpoint and tell what came back."""
    job = find(platform.reader, call)
    secret = _secret(platform, platform.reader, job.id)
    body = msgspec.json.encode({"type": "endpoint.test"})
    headers = signing_headers.signature(secret, body, call.now) if secret else []
    outbound = Outbound(
        max_body_bytes=64 * 1024, user_agent="Strait-Endpoint-Verify/1.0", reach=platform.reach
    )
    development, url = platform.development, job.endpoint_url
    if development is not None:
        url = development.now_at(url)
    started = time.perf_counter()
    answer: dict[str, object]
    try:
        async with asyncio.timeout(10.0):
            result = await outbound.post(url, headers, body)
        answer = {"success": 200 <= result.status < 300, "status_code": result.status}
        if not answer["success"]:
            answer["error"] = f"endpoint returned {result.status}"
    except (CallError, TimeoutError) as error:
        answer = {"success": False, "status_code": 0, "error": str(error) or "timed out"}
    finally:
        outbound.close()
    answer["latency_ms"] = round((time.perf_counter() - started) * 1000)
    return reply(answer)


def _secret(platform: Platform, db: sqlite3.Connection, job_id: str) -> str:
    entry = platform.jobs.get(db, job_id)
    return "" if entry is None else entry.signing_secret
