"""Event triggers: who waits for which event, and sending it (`contract/runs.md` §9.1)."""

from __future__ import annotations

import sqlite3

from msgspec import UNSET, Raw, json

from strait.clock import SECOND, to_timestamp
from strait.engine.model import EventTrigger
from strait.server import checks, within
from strait.server._generated import bodies
from strait.server.errors import ApiError, not_found
from strait.server.http import Call, Reply, page, reply
from strait.server.platform import Platform
from strait.server.registry import Registry
from strait.server.routes.sdk import check_event_key
from strait.server.unit import Unit
from strait.server.work import events
from strait.store import triggers

registry = Registry()

MAX_PURGE_DAYS = 36_500
_DAY_US = 24 * 3600 * SECOND


@registry.other("list-event-triggers")
async def list_all(call: Call, platform: Platform) -> Reply:
    """List the waits of the project that fit the filters, newest first."""
    if call.principal.environment_id or any(call.query.get(name) for name in _FILTERS):
        # A filter may have to look at every wait that there was.
        return await platform.analyst.ask(lambda db: _page(call, db))
    return _page(call, platform.reader)


_FILTERS = ("status", "workflow_run_id", "source_type")


def _page(call: Call, db: sqlite3.Connection) -> Reply:
    query = call.query
    limit = query["limit"]
    own = call.principal.environment_id
    rows = triggers.page(
        db,
        call.project_id,
        status=query.get("status") or "",
        workflow_run_id=query.get("workflow_run_id") or "",
        source_type=query.get("source_type") or "",
        environment_id=own,
        among=within.workflows_of(db, call.project_id, own) if own else "[]",
        before=checks.cursor(query),
        limit=limit + 1,
    )
    return page(rows, limit, lambda trigger: trigger.requested_at)


@registry.read("get-event-trigger-stats")
def stats(call: Call, db: sqlite3.Connection) -> Reply:
    """Count the waits of the project."""
    by_status, mean = triggers.counts(db, call.project_id)
    return reply(
        {
            "total_count": sum(by_status.values()),
            "waiting_count": by_status.get("waiting", 0),
            "received_count": by_status.get("received", 0),
            "timed_out_count": by_status.get("timed_out", 0),
            "canceled_count": by_status.get("canceled", 0),
            "avg_wait_duration_secs": mean,
        }
    )


@registry.read("get-event-trigger")
def get(call: Call, db: sqlite3.Connection) -> Reply:
    """Show the newest wait for a key."""
    return reply(find(call, db))


def find(call: Call, db: sqlite3.Connection) -> EventTrigger:
    """Return the newest wait for the key that a path names.

    Raises:
        ApiError: 404.
    """
    trigger = triggers.newest(db, call.project_id, call.params["eventKey"])
    if trigger is None:
        raise not_found("event trigger")
    return trigger


@registry.write("send-event")
def send(call: Call, unit: Unit) -> Reply:
    """Hand an event to who waits for it, or hold it for a while for who will."""
    payload = _payload(call)
    hold_secs = call.body(bodies.SendEventRequest).hold_secs or 0
    trigger = triggers.newest(unit.db, call.project_id, call.params["eventKey"])
    if hold_secs and (trigger is None or trigger.status != "waiting"):
        key = call.params["eventKey"]
        check_event_key(key)  # nobody could ever wait for another one
        held = events.hold(
            unit,
            call.project_id,
            key,
            payload,
            hold_secs,
            _sender(call),
            environment_id=call.principal.environment_id,
        )
        return reply(held)
    if trigger is None:
        raise not_found("event trigger")
    call.principal.require(_scope(trigger))
    if trigger.status == "received" and _same_json(trigger.response_payload, payload):
        return reply(trigger)
    if trigger.status != "waiting":
        raise ApiError(409, "event trigger is not in waiting state")
    return reply(events.receive(unit, trigger, payload, _sender(call)))


@registry.write("send-event-by-prefix")
def send_by_prefix(call: Call, unit: Unit) -> Reply:
    """Hand an event to all who wait for a key that begins so."""
    payload = _payload(call)
    own = call.principal.environment_id
    resolved = [
        events.receive(unit, trigger, payload, _sender(call))
        for trigger in triggers.waiting_under(unit.db, call.project_id, call.params["prefix"])
        if call.principal.grants(_scope(trigger))
        and (not own or within.trigger(unit.db, trigger, own))
    ]
    return reply({"resolved": len(resolved), "triggers": resolved})


@registry.write("cancel-event-trigger")
def cancel(call: Call, unit: Unit) -> Reply:
    """End a wait without its event, and with it the run that waits."""
    trigger = find(call, unit.db)
    if trigger.status != "waiting":
        raise ApiError(409, "event trigger is not in waiting state")
    closed = events.close(unit, trigger, "canceled", "event trigger canceled by user")
    return reply(closed)


@registry.write("purge-event-triggers")
def purge(call: Call, unit: Unit) -> Reply:
    """Delete waits that were over long ago, or count them."""
    body = call.body(bodies.PurgeEventTriggersRequest)
    days = body.older_than_days or 0
    if not 1 <= days <= MAX_PURGE_DAYS:
        raise ApiError(400, f"older_than_days must be between 1 and {MAX_PURGE_DAYS}")
    before = to_timestamp(max(0, unit.now - days * _DAY_US))
    count = triggers.purge(unit.db, call.project_id, before, dry_run=bool(body.dry_run))
    if body.dry_run:
        return reply({"dry_run": True, "would_delete": count})
    return reply({"deleted": count})


def _payload(call: Call) -> object:
    payload = call.body(bodies.SendEventRequest).payload
    return json.decode(payload) if isinstance(payload, Raw) else None


def _same_json(one: object, other: object) -> bool:
    # As text, because Python takes 1 and true for equal.
    return _sorted(None if one is UNSET else one) == _sorted(other)


_sorted = json.Encoder(order="sorted").encode


def _scope(trigger: EventTrigger) -> str:
    return "jobs:trigger" if trigger.source_type == "job_run" else "workflows:trigger"


def _sender(call: Call) -> str:
    return "internal" if call.principal.internal else f"api-key:{call.project_id}"
