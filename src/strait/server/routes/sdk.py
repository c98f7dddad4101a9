"""What a handler says of its run: progress, waits, children, the end (`contract/runs.md` §5)."""

from __future__ import annotations

from msgspec import Raw, UnsetType, json
from msgspec.structs import replace

from strait.engine import admission
from strait.engine import runs as engine
from strait.engine.entries import STATE_CHANGE, Entry
from strait.engine.model import Json, Run
from strait.engine.outcomes import MAX_RESULT_BYTES
from strait.reserved import spawn_key
from strait.server import addresses, auth, checks
from strait.server._generated import bodies
from strait.server.errors import ApiError, invalid, not_found
from strait.server.http import Call, Reply, raw, reply
from strait.server.registry import Registry
from strait.server.routes.run_reads import event
from strait.server.routes.runs import document
from strait.server.routes.triggers import trace
from strait.server.signing_headers import trace_of
from strait.server.unit import Unit
from strait.server.work import children, events, records, runs, suspensions, workflows
from strait.server.work.handlers import speaking, writing
from strait.store import jobs, ledger, meta
from strait.store import runs as run_rows

registry = Registry()

MAX_ANNOTATIONS = 50
MAX_EVENT_KEY = 512


def active(call: Call, unit: Unit) -> run_rows.Stored:
    """Return the run of the caller's token, which it may write for."""
    return writing(call, unit.db, unit.platform.token_key)


@registry.write("sdk-get-payload")
def payload(call: Call, unit: Unit) -> Reply:
    """Hand the payload to the handler once more."""
    stored = speaking(call, unit.db, unit.platform.token_key)
    return raw((run_rows.payload(unit.db, stored.run.id) or "null").encode())


@registry.write("sdk-log")
def log(call: Call, unit: Unit) -> Reply:
    """Append a line to the run's history."""
    run = active(call, unit).run
    body = call.body(bodies.SDKLogRequest)
    if body.type == STATE_CHANGE:
        # Streams end at it, and whoever follows the project believes it.
        raise ApiError(400, f"type {STATE_CHANGE!r} is for the platform alone; use another name")
    data = checks.json_value(body.data)
    entry = Entry(body.type or "log", body.message, body.level or "info", _object(data))
    return _recorded(unit, run, entry)


@registry.write("sdk-progress")
def progress(call: Call, unit: Unit) -> Reply:
    """Say how far the run is."""
    run = active(call, unit).run
    body = call.body(bodies.SDKProgressRequest)
    data: dict[str, Json] = {"percent": body.percent or 0}
    if body.step:
        data["step"] = body.step
    if body.eta_seconds:
        data["eta_seconds"] = body.eta_seconds
    return _recorded(unit, run, Entry("progress", body.message, "info", data))


def _recorded(unit: Unit, run: Run, entry: Entry) -> Reply:
    unit.record(run.id, run.project_id, (entry,))
    (last,) = unit.db.execute("SELECT max(seq) FROM ledger WHERE subject = ?", (run.id,)).fetchone()
    (line,) = ledger.lines(unit.db, run.id, after=last - 1, limit=1)
    return reply(event(line), 201)


def _object(data: Json) -> dict[str, Json]:
    return data if isinstance(data, dict) else {} if data is None else {"value": data}


@registry.write("sdk-annotate")
def annotate(call: Call, unit: Unit) -> Reply:
    """Attach keys and values to the run."""
    stored = active(call, unit)
    annotations = call.body(bodies.SDKAnnotateRequest).annotations or {}
    _check_annotations(annotations)
    run = replace(stored.run, metadata={**stored.run.metadata, **annotations})
    run_rows.save(unit.db, stored, replace(stored.state, run=run))
    entry = Entry("annotation", f"annotated: {', '.join(annotations)}", "info", dict(annotations))
    unit.record(run.id, run.project_id, (entry,))
    return document(unit, run.id)


def _check_annotations(annotations: dict[str, str]) -> None:
    if not 1 <= len(annotations) <= MAX_ANNOTATIONS:
        raise ApiError(400, f"annotations must have 1 to {MAX_ANNOTATIONS} entries")
    for key, value in annotations.items():
        if not key.strip() or len(key) > 128:
            raise ApiError(400, "annotation keys must be non-blank and at most 128 characters")
        if key.startswith(workflows.COMPENSATION_METADATA):
            # It says which workflow run goes on when this run ends.
            raise ApiError(400, f"annotation key {key!r} is the platform's own: choose another")
        if len(value) > 1024:
            raise ApiError(400, "annotation values must be at most 1024 characters")


@registry.write("sdk-heartbeat")
def heartbeat(call: Call, unit: Unit) -> Reply:
    """Say that the handler is alive."""
    stored = active(call, unit)
    run = replace(stored.run, heartbeat_at=unit.stamp)
    run_rows.save(unit.db, stored, replace(stored.state, run=run))
    return reply({"status": "ok"})


# ------------------------------------------------------------------------------------- the end


@registry.write("sdk-complete")
def complete(call: Call, unit: Unit) -> Reply:
    """End the run with a result."""
    stored = active(call, unit)
    body = call.body(bodies.SDKCompleteRequest)
    text = None if checks.is_absent(body.result) else _text(body.result)
    if text is not None and len(text.encode()) > MAX_RESULT_BYTES:
        raise ApiError(413, f"result is larger than {MAX_RESULT_BYTES} bytes")
    entry = unit.platform.jobs.for_run(unit.db, stored.run)
    if entry is not None and entry.job.result_schema is not None:
        checks.schema(
            None if text is None else json.decode(text),
            entry.job.result_schema,
            "result schema",
            status=422,
            code="result_schema_validation_failed",
        )
    runs.apply(unit, stored, engine.Completed(text))
    return document(unit, stored.run.id)


@registry.write("sdk-fail")
def fail(call: Call, unit: Unit) -> Reply:
    """End the run as failed, without another attempt."""
    stored = active(call, unit)
    body = call.body(bodies.SDKFailRequest)
    runs.apply(unit, stored, engine.Failed(body.error))
    return document(unit, stored.run.id)


# --------------------------------------------------------------------------------------- waiting


@registry.write("sdk-wait-for-event")
def wait_for_event(call: Call, unit: Unit) -> Reply:
    """Let the run wait; its handler ends, and is called again when the event is there."""
    stored = active(call, unit)
    body = call.body(bodies.SDKWaitForEventRequest)
    check_event_key(body.event_key)
    if stored.run.status != "executing":
        raise ApiError(409, "run must be executing to wait")
    notify_url = addresses.endpoint(body.notify_url, "notify_url", unit.platform.reach)
    trigger = events.for_run(
        unit,
        stored.run.id,
        stored.run.project_id,
        body.event_key,
        body.timeout_secs or 0,
        notify_url,
    )
    events.open_wait(unit, trigger)
    suspensions.forget(unit, stored.run.id)
    runs.apply(unit, stored, engine.Suspended(f"waits for event {body.event_key!r}"))
    return reply(
        {
            "status": "waiting",
            "event_key": trigger.event_key,
            "expires_at": trigger.expires_at,
            "trigger_id": trigger.id,
        }
    )


def check_event_key(key: str) -> None:
    """Refuse what cannot be the key of an event.

    Raises:
        ApiError: 400.
    """
    if len(key) > MAX_EVENT_KEY:
        raise ApiError(400, f"event_key must be at most {MAX_EVENT_KEY} characters")
    if any(ord(character) < 32 or ord(character) == 127 for character in key):
        raise ApiError(400, "event_key contains invalid control characters")


# -------------------------------------------------------------------------------------- children


@registry.write("sdk-spawn")
def spawn(call: Call, unit: Unit) -> Reply:
    """Make a child run, or find the one that the same call of an earlier dispatch has made."""
    stored = active(call, unit)
    parent = stored.run
    body = call.body(bodies.SDKSpawnRequest)
    name = _spawn_name(call)
    child = _spawned_before(unit, parent.id, name) if name else None
    if child is None:
        child = _spawn(unit, parent, body, _trace(call, parent))
        if name:
            records.set_state(unit, parent.id, spawn_key(name), json.encode(child.id).decode())
    answer: dict[str, object] = {
        "id": child.id,
        "job_id": child.job_id,
        "project_id": child.project_id,
        "status": child.status,
        "parent_run_id": parent.id,
        "triggered_by": "spawn",
    }
    if body.await_completion:
        answer["await_completion"] = True
        answer["await_event_key"] = events.AWAIT_PREFIX + child.id
        _await_children(unit, stored, child, body.await_timeout_secs or 0)
    return reply(answer, 201)


def _spawn_name(call: Call) -> str:
    """Return the name under which the host spawns, a field that the platform does not know."""
    if b'"spawn_key"' not in call.body_bytes:
        return ""
    fields = json.decode(call.body_bytes)
    name = fields.get("spawn_key") if isinstance(fields, dict) else None
    if name is not None and (not isinstance(name, str) or not 1 <= len(name) <= 512):
        raise invalid("spawn_key: must be a string of 1 to 512 characters")
    return name or ""


def _spawned_before(unit: Unit, parent_id: str, name: str) -> Run | None:
    kept = records.get_state(unit.db, parent_id, spawn_key(name))
    if kept is None:
        return None
    stored = run_rows.load(unit.db, json.decode(kept.value))
    return None if stored is None else stored.run


def _trace(call: Call, parent: Run) -> dict[str, str]:
    """Return the trace that a run which another makes belongs to: that of its handler, or of it."""
    return trace(call) or trace_of(parent.metadata)


def _spawn(unit: Unit, parent: Run, body: bodies.SDKSpawnRequest, metadata: dict[str, str]) -> Run:
    project_id, environment_id = _target(unit, parent, body)
    job = jobs.by_slug(unit.db, project_id, body.job_slug)
    if job is None or (environment_id and job.environment_id != environment_id):
        details = [f"job_slug: there is no job {body.job_slug[:128]!r} in project {project_id!r}"]
        raise ApiError(404, "job not found", details=details)
    request = admission.Request(
        triggered_by="spawn",
        created_by=f"run:{parent.id}",
        parent_run_id=parent.id,
        priority=parent.priority,
        metadata=metadata,
    )
    return runs.create(unit, job, request, checks.canonical(body.payload))


def _target(unit: Unit, parent: Run, body: bodies.SDKSpawnRequest) -> tuple[str, str]:
    """Return the project that a child belongs to, and the only environment there, or ""."""
    if body.project_id == parent.project_id:
        return parent.project_id, ""
    if not body.target_api_key:
        raise ApiError(400, "target_api_key is required to spawn into another project")
    record = meta.key_by_hash(unit.db, auth.hash_key(body.target_api_key))
    principal = auth.authenticate_key(record, unit.now)
    if principal.project_id != body.project_id:
        raise ApiError(403, "target_api_key does not belong to that project")
    principal.require("jobs:trigger")
    return body.project_id, principal.environment_id


def _await_children(unit: Unit, stored: run_rows.Stored, child: Run, timeout_secs: int) -> None:
    if not children.has_living_descendants(unit.db, stored.run.id):
        return  # there is nothing to wait for; the handler goes on
    trigger = events.for_run(
        unit,
        stored.run.id,
        stored.run.project_id,
        events.AWAIT_PREFIX + child.id,
        timeout_secs or events.MAX_TIMEOUT_SECS,
        "",
    )
    events.open_wait(unit, trigger)
    suspensions.forget(unit, stored.run.id)
    runs.apply(unit, stored, engine.Suspended("waits for its children"))


@registry.write("sdk-continue")
def continue_run(call: Call, unit: Unit) -> Reply:
    """Make a run that carries on with new input; this one ends by itself."""
    parent = active(call, unit).run
    body = call.body(bodies.SDKContinueRequest)
    if parent.lineage_depth >= admission.MAX_LINEAGE_DEPTH:
        raise ApiError(400, f"continuation depth exceeds {admission.MAX_LINEAGE_DEPTH}")
    entry = unit.platform.jobs.get(unit.db, parent.job_id)
    if entry is None:
        raise not_found("job")
    if checks.is_absent(body.payload):
        text = run_rows.payload(unit.db, parent.id) or "{}"
    else:
        text = checks.canonical(body.payload)
    request = admission.Request(
        triggered_by="manual",
        created_by=f"run:{parent.id}",
        priority=parent.priority,
        tags=parent.tags,
        metadata=_trace(call, parent),
        continuation_of=parent.id,
        lineage_depth=parent.lineage_depth + 1,
    )
    run = runs.create(unit, entry.job, request, text)
    return document(unit, run.id, 201)


def _text(value: Raw | UnsetType) -> str:
    return bytes(value).decode() if isinstance(value, Raw) else "null"
