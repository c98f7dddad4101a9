"""Event sources: what happens elsewhere, and the jobs and workflows that it starts (§9.2)."""

from __future__ import annotations

import sqlite3
from typing import Any

from msgspec import Raw, UnsetType, json
from msgspec.structs import replace

from strait.clock import SECOND, to_timestamp
from strait.engine import filters
from strait.engine.admission import Request
from strait.engine.model import Job, Workflow
from strait.engine.refusal import Refused
from strait.server import checks, source_signatures, within
from strait.server._generated import bodies
from strait.server.errors import ApiError, not_found
from strait.server.http import NO_CONTENT, Call, Reply, reply
from strait.server.registry import Registry
from strait.server.resource import Resource, given
from strait.server.unit import Unit
from strait.server.work import budgets, triggers, workflow_starts
from strait.store import records, signatures, workflows
from strait.store.records import Record

registry = Registry()

_SOURCE = "event_source"
_SUBSCRIPTION = "event_subscription"


def _prepare(call: Call, unit: Unit, source: Record) -> Record:
    del call
    algorithm = source.fields.get("signature_algorithm", "")
    if algorithm and algorithm not in source_signatures.ALGORITHMS:
        known = ", ".join(source_signatures.ALGORITHMS)
        raise ApiError(400, f"signature_algorithm must be one of {known}")
    if algorithm and not SOURCES.opened(unit, source, "signature_secret"):
        raise ApiError(400, "signature_secret is required with signature_algorithm")
    half = source.fields.get("signature_header") or source.sealed.get("signature_secret")
    if half and not algorithm:
        # It would look as if events were checked, and every one would be believed.
        raise ApiError(
            400, "signature_algorithm is required when signature_header or signature_secret is set"
        )
    checks.check_refs(source.fields.get("schema"), "schema")
    return replace(source, fields={"enabled": True, **source.fields})


SOURCES = Resource(
    kind=_SOURCE,
    param="sourceID",
    create="create-event-source",
    list="list-event-sources",
    get="get-event-source",
    update="update-event-source",
    delete="delete-event-source",
    shown={"name": "", "enabled": True},
    optional=("description", "schema", "signature_header", "signature_algorithm"),
    secret=("signature_secret",),
    unique=("name",),
    bare=True,
    silent=True,
    prepare=_prepare,
    removing=lambda _call, unit, source: records.delete_owned(unit.db, _SUBSCRIPTION, source.id),
)
SOURCES.serve(registry)


def _view(subscription: Record, db: sqlite3.Connection) -> dict[str, Any]:
    del db
    fields = subscription.fields
    shown = {
        "id": subscription.id,
        "source_id": subscription.owner_id,
        "target_type": fields["target_type"],
        "target_id": fields["target_id"],
        "enabled": fields.get("enabled", True),
        "created_at": subscription.created_at,
    }
    if "filter_expr" in fields:
        shown["filter_expr"] = fields["filter_expr"]
    return shown


SUBSCRIPTIONS = Resource(kind=_SUBSCRIPTION, param="subID", view=_view)


@registry.write("subscribe-to-event-source")
def subscribe(call: Call, unit: Unit) -> Reply:
    """Have a job or a workflow started by every event of a source that fits a filter."""
    source = SOURCES.find(unit.db, call)
    body = call.body(bodies.SubscribeToEventSourceRequest)
    fields = given(body)
    if "filter_expr" in fields:
        problem = filters.fault(fields["filter_expr"])
        if problem:
            raise ApiError(400, problem)
    if body.target_type == "job":
        unit.job(call.project_id, body.target_id)
    else:
        _workflow(unit.db, call.project_id, body.target_id)
    if not _is_seen(call, unit.db, fields):
        raise not_found(body.target_type)
    made = SUBSCRIPTIONS.insert(call, unit, fields, owner=source.id)
    return reply(SUBSCRIPTIONS.show(made, unit.db), 201)


@registry.read("list-event-source-subscriptions")
def list_subscriptions(call: Call, db: sqlite3.Connection) -> Reply:
    """List the subscriptions of a source, newest first."""
    source = SOURCES.find(db, call)
    rows = records.owned(db, _SUBSCRIPTION, source.id)
    return reply([SUBSCRIPTIONS.show(row, db) for row in rows if _is_seen(call, db, row.fields)])


@registry.write("delete-event-subscription")
def unsubscribe(call: Call, unit: Unit) -> Reply:
    """End a subscription."""
    source = SOURCES.find(unit.db, call)
    subscription = SUBSCRIPTIONS.find(unit.db, call)
    is_seen = _is_seen(call, unit.db, subscription.fields)
    if subscription.owner_id != source.id or not is_seen:
        raise not_found(SUBSCRIPTIONS.name)
    SUBSCRIPTIONS.remove(call, unit, subscription)
    return NO_CONTENT


# --------------------------------------------------------------------------------------- dispatch


@registry.write("dispatch-event")
def dispatch(call: Call, unit: Unit) -> Reply:
    """Start everything that is subscribed to a source and fits the event."""
    body = call.body(bodies.DispatchEventRequest)
    if body.project_id != call.project_id:
        raise ApiError(403, "project_id does not match authenticated project")
    source = records.by_key(unit.db, _SOURCE, call.project_id, SOURCES.key({"name": body.source}))
    if source is None:
        raise not_found("event source")
    if not source.fields.get("enabled", True):
        raise ApiError(400, "event source is disabled")
    _check_signature(call, unit, source, body.payload)
    text = checks.canonical(body.payload)
    event = json.decode(text)
    checks.schema(event, source.fields.get("schema"), "payload")
    started = 0
    passed_over = []
    for subscription in reversed(records.owned(unit.db, _SUBSCRIPTION, source.id)):
        fields = subscription.fields
        if not _is_seen(call, unit.db, fields):
            continue
        if not fields.get("enabled", True) or not filters.matches(fields.get("filter_expr"), event):
            continue
        try:
            _start(call, unit, source, fields, text)
        except (ApiError, Refused) as refusal:
            # One target that cannot be started keeps none of the others from it.
            passed_over.append({"subscription_id": subscription.id, "reason": refusal.message})
        else:
            started += 1
    return reply({"dispatched": started, "source": body.source, "skipped": passed_over})


def _check_signature(call: Call, unit: Unit, source: Record, payload: Raw | UnsetType) -> None:
    algorithm = source.fields.get("signature_algorithm", "")
    if not algorithm:
        return
    name = source_signatures.header_of(algorithm, source.fields.get("signature_header", ""))
    signature = call.header(name.lower().encode())
    secret = SOURCES.opened(unit, source, "signature_secret")
    signed = b"" if isinstance(payload, UnsetType) else bytes(payload)
    reason = source_signatures.rejection(algorithm, secret, signature, signed, call.now // SECOND)
    if reason:
        raise ApiError(401, f"invalid event signature: {reason}")
    if algorithm == "stripe-v1":
        _refuse_replay(unit, source, source_signatures.identity(signature, signed))


def _refuse_replay(unit: Unit, source: Record, identity: str) -> None:
    # A timestamp may lie on either side of our clock, so a signature is good for twice as long.
    oldest = to_timestamp(unit.now - 2 * source_signatures.TOLERANCE_SECS * SECOND)
    if not signatures.see(unit.db, f"{source.id}:{identity}", unit.stamp, oldest):
        raise ApiError(401, "invalid event signature: this event was taken already")


def _start(call: Call, unit: Unit, source: Record, fields: dict[str, Any], text: str) -> None:
    """Start the target of a subscription.

    Raises:
        ApiError: it is gone, off, paused, or takes no such trigger now.
        Refused: the workflow cannot be started.
    """
    tags = {"event_source": str(source.fields["name"])[:256]}
    if fields["target_type"] == "job":
        entry = unit.platform.jobs.get(unit.db, fields["target_id"])
        if entry is None:
            raise not_found("job")
        _start_job(call, unit, entry.job, text, tags)
        return
    workflow = workflows.get(unit.db, fields["target_id"])
    if workflow is None:
        raise not_found("workflow")
    if not workflow.enabled:
        raise ApiError(400, "workflow is disabled")
    budgets.check(unit, workflow.project_id)
    workflow_starts.start(
        unit,
        workflow,
        triggered_by="event",
        created_by=call.principal.actor,
        payload=json.decode(text),
        tags=tags,
    )


def _start_job(call: Call, unit: Unit, job: Job, text: str, tags: dict[str, str]) -> None:
    """Let an event in by the same gate as a trigger: its limits, schema and windows hold."""
    triggers.check_open(job)
    triggers.check_payload(job, Raw(text.encode()), text)
    budgets.check(unit, job.project_id)
    request = Request(
        triggered_by="event",
        created_by=call.principal.actor,
        tags=tags,
    )
    triggers.admit(unit, job, request, text)


def _is_seen(call: Call, db: sqlite3.Connection, fields: dict[str, Any]) -> bool:
    """Say whether the target of a subscription is within the environment of the caller's key."""
    own = call.principal.environment_id
    is_within = within.job if fields["target_type"] == "job" else within.workflow
    return not own or is_within(db, fields["target_id"], own)


def _workflow(db: sqlite3.Connection, project_id: str, workflow_id: str) -> Workflow:
    workflow = workflows.get(db, workflow_id)
    if workflow is None or workflow.project_id != project_id:
        raise not_found("workflow")
    return workflow
