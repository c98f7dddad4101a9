"""The outbox for administrators: messages on their way to the outside, and those given up.

On the platform its rows are triggers that a queue has not taken over yet. Here a trigger is on disk
once it is answered, and what waits to be taken over are messages: webhooks, notices, chat rooms.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from msgspec import Raw

from strait.engine.deliveries import Delivery
from strait.server import checks
from strait.server.errors import ApiError, not_found
from strait.server.http import Call, Reply, page, reply
from strait.server.registry import Registry
from strait.server.unit import Unit
from strait.server.work import deliveries as work
from strait.store import deliveries, triggers

registry = Registry()


@registry.read("admin-list-outbox")
def list_all(call: Call, db: sqlite3.Connection) -> Reply:
    """List what waits to be sent and what was given up, newest first."""
    limit = call.query["limit"]
    instant, _, last_id = str(call.query.get("cursor") or "").partition("|")
    before = checks.canonical_instant(instant) if instant else checks.END_OF_TIME
    rows = deliveries.outbox(db, call.project_id, (before, last_id), limit=limit + 1)
    shown = [_shown(row) for row in rows]
    return page(shown, limit, lambda row: f"{row['created_at']}|{row['id']}")


@registry.read("admin-get-outbox")
def get(call: Call, db: sqlite3.Connection) -> Reply:
    """Show a message, also one that has arrived."""
    return reply(_shown(_find(call, db)))


@registry.write("admin-retry-outbox")
def retry(call: Call, unit: Unit) -> Reply:
    """Send the message of one that was given up as a new one, which names the old one."""
    delivery = _given_up(call, unit, "retried")
    if delivery.kind == "rotation":
        raise ApiError(409, "the announcement of a key rotation cannot be retried")
    if delivery.kind == "notice" and triggers.load(unit.db, delivery.target_id) is None:
        raise not_found("event trigger")
    again = work.replay(unit, delivery)
    return reply({"outbox_id": delivery.id, "retry_outbox_id": again.id, "ok": True})


@registry.write("admin-purge-outbox")
def purge(call: Call, unit: Unit) -> Reply:
    """Delete a message that was given up."""
    delivery = _given_up(call, unit, "purged")
    deliveries.delete(unit.db, delivery.id)
    return reply({"outbox_id": delivery.id, "ok": True})


def _find(call: Call, db: sqlite3.Connection) -> Delivery:
    delivery = deliveries.get(db, call.params["outbox_id"])
    if delivery is None or delivery.project_id != call.project_id:
        raise not_found("outbox row")
    return delivery


def _given_up(call: Call, unit: Unit, wish: str) -> Delivery:
    delivery = _find(call, unit.db)
    if delivery.status == "pending":
        raise ApiError(409, f"it is still being sent, and cannot be {wish}")
    if delivery.status == "delivered":
        raise ApiError(409, f"it has arrived, and cannot be {wish}")
    return delivery


def _shown(delivery: Delivery) -> dict[str, Any]:
    """Return a message as the API shows it; that of a key rotation is sealed, and stays so."""
    sealed = delivery.kind == "rotation"
    row: dict[str, Any] = {
        "id": delivery.id,
        "project_id": delivery.project_id,
        "job_id": delivery.job_id,
        "payload": "***" if sealed else Raw(delivery.body.encode()),
        "metadata": {
            "kind": delivery.kind,
            "event_type": delivery.event_type,
            "address": delivery.address,
            "status": delivery.status,
            "attempts": delivery.attempts,
            "max_attempts": delivery.max_attempts,
        },
        "idempotency_key": delivery.origin_id,
        "priority": 0,
        "created_at": delivery.created_at,
        "consumed_at": delivery.delivered_at or None,
        "error": delivery.last_error,
    }
    if delivery.due_at:
        row["scheduled_at"] = delivery.due_at
    if delivery.replay_of:
        row["retry_of_outbox_id"] = delivery.replay_of
    return row
