"""Triggering jobs: one run, many runs, or a look at what would happen (`contract/runs.md` §3)."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Raw, Struct, json

from strait.clock import SECOND, from_timestamp, to_timestamp
from strait.engine import admission
from strait.engine.model import Job, Run
from strait.server import checks, idempotency
from strait.server._generated import bodies
from strait.server.errors import ApiError, invalid
from strait.server.http import Call, Reply, replayed, reply
from strait.server.registry import Registry
from strait.server.unit import Unit
from strait.server.work import budgets, runs, triggers
from strait.store import ledger
from strait.store import runs as run_rows

registry = Registry()

MAX_BULK_ITEMS = 500
MAX_KEY_CHARS = 256
MAX_TTL_SECS = 30 * 24 * 3600
KEY_SECS = 24 * 3600
_TRACE_HEADERS = (
    (b"traceparent", "_trace_parent", 256),
    (b"tracestate", "_trace_state", 8192),
    (b"sentry-trace", "_sentry_trace", 8192),
    (b"baggage", "_baggage", 8192),
)


class Asked(Struct, frozen=True):
    """What one trigger asks for, checked; `payload` is canonical JSON text."""

    payload: str
    tags: dict[str, str]
    scheduled_at: int
    priority: int
    ttl_secs: int
    concurrency_key: str
    idempotency_key: str
    metadata: dict[str, str]


@registry.write("trigger-job")
def trigger(call: Call, unit: Unit) -> Reply:
    """Make a run of a job, or answer with the one that its idempotency key has made."""
    job = unit.job(call.project_id, call.params["jobID"])
    if call.idempotency_key and (
        job.debounce_window_secs or job.batch_window_secs or job.dedup_window_secs
    ):
        # No run has the key of a trigger that is buffered, or that another run stands for, so that
        # its answer itself is kept.
        return idempotency.once(call, unit, lambda: _trigger(call, unit, job), keeps=_is_let_in)
    return _trigger(call, unit, job)


def _is_let_in(answer: Reply) -> bool:
    """Tell whether a trigger was let in; a dry run must not answer for the trigger after it."""
    return answer.status == 201


def _trigger(call: Call, unit: Unit, job: Job) -> Reply:
    key = call.idempotency_key
    present = _present(unit, job, key) if key else None
    if present is not None and present.created_by == call.principal.actor:
        return _replayed(call, unit, present)
    triggers.check_open(job)
    body = call.body(bodies.TriggerRequest)
    metadata = trace(call)
    payload = checks.canonical(body.payload)
    asked = Asked(
        payload=payload,
        tags=checks.tags(body.tags),
        scheduled_at=_scheduled_at(body.scheduled_at, unit.now),
        priority=body.priority or 0,
        ttl_secs=body.ttl_secs or 0,
        concurrency_key=body.concurrency_key or "",
        idempotency_key=key,
        metadata={**metadata, **_dependency_key(payload)},
    )
    triggers.check_payload(job, body.payload, payload)
    if body.dry_run:
        return _dry_run(job, asked, unit)
    if present is not None:
        return reply({"id": present.id, "status": present.status, "idempotency_hit": True})
    budgets.check(unit, job.project_id)
    return _admitted(call, unit, job, asked, body)


def _admitted(call: Call, unit: Unit, job: Job, asked: Asked, body: bodies.TriggerRequest) -> Reply:
    """Let a checked trigger in, and say what became of it."""
    admitted = triggers.admit(
        unit,
        job,
        _request(call, asked),
        asked.payload,
        debounce_key=body.debounce_key or "",
        batch_key=body.batch_key or "",
    )
    if admitted.fire_at:
        return reply({"debounced": True, "fire_at": admitted.fire_at}, 201)
    run = admitted.run
    if run is None:
        return reply({"buffered": True}, 201)
    if admitted.batched:
        return reply({"id": run.id, "status": run.status, "batch": True}, 201)
    return reply(_created(run, asked.payload), 201)


@registry.write("bulk-trigger-job")
def bulk(call: Call, unit: Unit) -> Reply:
    """Make many runs of a job, all or none."""
    job = unit.job(call.project_id, call.params["jobID"])
    triggers.check_open(job)
    items = call.body(bodies.BulkTriggerRequest).items or []
    if not items:
        raise invalid("items: failed on 'min'")
    if len(items) > MAX_BULK_ITEMS:
        raise ApiError(400, f"too many items (max {MAX_BULK_ITEMS})")
    asked = [_bulk_item(job, item, index, unit.now) for index, item in enumerate(items)]
    budgets.check(unit, job.project_id)
    triggers.check_rate(unit, job, len(asked))
    batch_id = unit.new_id()
    answers, fresh = _sorted_out(unit, job, asked)
    wanted = [(_request(call, item, batch_id=batch_id), item.payload) for item in fresh]
    made = runs.create_all(unit, job, wanted)
    results = [_result(answer, made) for answer in answers]
    _keep_batch(call, unit, job, batch_id, len(asked), len(made))
    return reply(
        {"batch_id": batch_id, "results": results, "total": len(asked), "created": len(made)}, 201
    )


class _Answer(NamedTuple):
    # The run that was there, or the place of the new one among those that are made.
    run: Run | int
    is_hit: bool


def _sorted_out(unit: Unit, job: Job, asked: list[Asked]) -> tuple[list[_Answer], list[Asked]]:
    """Return which run answers each item, and the items that runs are made of."""
    answers: list[_Answer] = []
    fresh: list[Asked] = []
    places: dict[str, int] = {}
    for item in asked:
        key = item.idempotency_key
        present = _present(unit, job, key) if key else None
        if present is not None:
            answers.append(_Answer(present, is_hit=True))
        elif key in places:
            answers.append(_Answer(places[key], is_hit=True))
        else:
            answers.append(_Answer(len(fresh), is_hit=False))
            if key:
                places[key] = len(fresh)
            fresh.append(item)
    return answers, fresh


def _result(answer: _Answer, made: list[Run]) -> dict[str, object]:
    run = made[answer.run] if isinstance(answer.run, int) else answer.run
    return {"id": run.id, "status": run.status, "idempotency_hit": answer.is_hit}


def _request(call: Call, asked: Asked, *, batch_id: str = "") -> admission.Request:
    return admission.Request(
        triggered_by="manual",
        created_by=call.principal.actor,
        tags=asked.tags,
        metadata=asked.metadata,
        scheduled_at=asked.scheduled_at,
        priority=asked.priority,
        ttl_secs=asked.ttl_secs,
        idempotency_key=asked.idempotency_key,
        concurrency_key=asked.concurrency_key,
        batch_id=batch_id,
    )


# ---------------------------------------------------------------------------------- idempotency


def _present(unit: Unit, job: Job, key: str) -> Run | None:
    """Return the run that a key has made, until 24 hours after its end."""
    return run_rows.by_key(unit.db, job.id, key, to_timestamp(unit.now - KEY_SECS * SECOND))


def _replayed(call: Call, unit: Unit, run: Run) -> Reply:
    """Answer a caller as the first time; what is in the body now is not looked at but compared."""
    payload = run_rows.payload(unit.db, run.id) or "{}"
    try:
        same_body = checks.canonical(call.body(bodies.TriggerRequest).payload) == payload
    except ApiError:
        same_body = False
    first = {**_created(run, payload), "status": _first_status(unit, run)}
    return replayed(reply(first, 201), same_body=same_body)


def _first_status(unit: Unit, run: Run) -> str:
    """Return what a run was when it was made, as the first line of its history tells."""
    lines = ledger.lines(unit.db, run.id, limit=1)
    facts = json.decode(lines[0].data) if lines and lines[0].data else {}
    return str(facts.get("to", "queued"))


def _created(run: Run, payload: str) -> dict[str, object]:
    return {
        "id": run.id,
        "status": run.status,
        "payload_hash": checks.payload_hash(payload),
        "idempotency_hit": False,
    }


# --------------------------------------------------------------------------------------- checks


def _scheduled_at(text: str | None, now: int) -> int:
    if not text:
        return 0
    try:
        instant = from_timestamp(text)
    except ValueError as error:
        raise ApiError(400, f"invalid scheduled_at: {error}") from error
    if instant < now:
        raise ApiError(400, "scheduled_at must not be in the past")
    if instant > now + admission.MAX_SCHEDULE_AHEAD_SECS * SECOND:
        raise ApiError(400, "scheduled_at must be within 30 days")
    return instant


def _bulk_item(job: Job, item: bodies.BulkTriggerItem, index: int, now: int) -> Asked:
    """Return what one item asks for.

    Raises:
        ApiError: 400 or 422, naming the item.
    """
    _check_bounds(item, index)
    try:
        payload = checks.canonical(item.payload)
        asked = _asked_by(item, payload, now)
    except ApiError as error:
        raise ApiError(error.status, f"item {index}: {error.message}") from error
    triggers.check_payload(job, item.payload, payload, f" for item {index}")
    return asked


def _check_bounds(item: bodies.BulkTriggerItem, index: int) -> None:
    """Check what the platform leaves unchecked in an item, and would refuse in a single trigger."""
    broken = [
        f"items[{index}].{name}: failed on 'max'"
        for name in ("concurrency_key", "idempotency_key")
        if len(getattr(item, name) or "") > MAX_KEY_CHARS
    ]
    ttl_secs = item.ttl_secs or 0
    if not 0 <= ttl_secs <= MAX_TTL_SECS:
        broken.append(f"items[{index}].ttl_secs: failed on '{'min' if ttl_secs < 0 else 'max'}'")
    if broken:
        raise invalid(*broken)


def _asked_by(item: bodies.BulkTriggerItem, payload: str, now: int) -> Asked:
    return Asked(
        payload=payload,
        tags=checks.tags(item.tags),
        scheduled_at=_scheduled_at(item.scheduled_at, now),
        priority=min(max(item.priority or 0, 0), 10),
        ttl_secs=item.ttl_secs or 0,
        concurrency_key=item.concurrency_key or "",
        idempotency_key=item.idempotency_key or "",
        metadata=_dependency_key(payload),
    )


def trace(call: Call) -> dict[str, str]:
    """Return the trace headers of a request, as they are kept with what it starts.

    Raises:
        ApiError: 400, one of them is too long.
    """
    metadata = {}
    for header, name, longest in _TRACE_HEADERS:
        value = call.headers.get(header)
        if value:
            if len(value) > longest:
                raise ApiError(400, f"header {header.decode()} is longer than {longest} characters")
            metadata[name] = value.decode("latin-1")
    return metadata


def _dependency_key(payload: str) -> dict[str, str]:
    if '"dependency_key"' not in payload:
        return {}
    value = json.decode(payload)
    key = value.get("dependency_key") if isinstance(value, dict) else None
    return {"dependency_key": key} if isinstance(key, str) else {}


# ---------------------------------------------------------------------------------------- others


def _dry_run(job: Job, asked: Asked, unit: Unit) -> Reply:
    scheduled_at = admission.in_window(job, asked.scheduled_at, unit.now)
    base = scheduled_at or unit.now
    ttl = asked.ttl_secs or admission.time_to_live(job)
    shown = {
        "id": job.id,
        "name": job.name,
        "slug": job.slug,
        "execution_mode": job.execution_mode,
        "queue": job.queue,
        "timeout_secs": job.timeout_secs,
        "max_attempts": job.max_attempts,
        "version": job.version,
        "version_id": job.version_id,
    }
    answer: dict[str, object] = {
        "job": shown,
        "payload_hash": checks.payload_hash(asked.payload),
        "payload": Raw(asked.payload.encode()),
        "expires_at": to_timestamp(base + ttl * SECOND),
    }
    if scheduled_at:
        answer["scheduled_at"] = to_timestamp(scheduled_at)
    return reply(answer)


def _keep_batch(call: Call, unit: Unit, job: Job, batch_id: str, items: int, created: int) -> None:
    batch = {
        "id": batch_id,
        "project_id": job.project_id,
        "job_id": job.id,
        "item_count": items,
        "created_count": created,
        "created_by": call.principal.actor,
        "created_at": unit.stamp,
        "finished_at": unit.stamp,
    }
    unit.db.execute(
        "INSERT INTO batches (id, project_id, created_at, doc) VALUES (?, ?, ?, ?)",
        (batch_id, job.project_id, unit.stamp, json.encode(batch).decode()),
    )
