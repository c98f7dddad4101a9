"""Webhook deliveries: what was sent, what became of it, and sending it again."""

from __future__ import annotations

import sqlite3
from typing import Any

from strait.engine import deliveries as engine
from strait.engine.deliveries import WEBHOOK_KINDS, Delivery
from strait.server import checks
from strait.server.errors import ApiError, not_found
from strait.server.http import Call, Reply, page, reply
from strait.server.registry import Registry
from strait.server.unit import Unit
from strait.server.work import deliveries as work
from strait.store import deliveries, triggers

registry = Registry()

_GIVEN_UP = frozenset({"failed", "dead"})


def list_all(call: Call, db: sqlite3.Connection) -> Reply:
    """List the webhook deliveries of the project, newest first."""
    query = call.query
    limit = query["limit"]
    rows = deliveries.page(
        db,
        call.project_id,
        WEBHOOK_KINDS,
        status=query.get("status") or "",
        before=checks.cursor(query),
        limit=limit + 1,
    )
    return page([shown(row) for row in rows], limit, lambda row: str(row["created_at"]))


@registry.read("get-webhook-delivery")
def get(call: Call, db: sqlite3.Connection) -> Reply:
    """Show a webhook delivery."""
    return reply(shown(_find(call, db)))


def retry(call: Call, unit: Unit) -> Reply:
    """Send a delivery that was given up again, as the same delivery."""
    delivery = _find(call, unit.db)
    if delivery.status not in _GIVEN_UP:
        raise ApiError(
            409, f"only failed and dead deliveries can be retried, not {delivery.status}"
        )
    if delivery.kind == "rotation":
        raise ApiError(409, "the announcement of a key rotation cannot be retried")
    renewed = engine.renewed(delivery, unit.platform.clock.now())
    deliveries.save(unit.db, renewed)
    work.look(unit, renewed.address)
    return reply(shown(renewed))


@registry.write("replay-webhook-delivery")
def replay(call: Call, unit: Unit) -> Reply:
    """Send the message of a delivery as a new delivery, under the same replay key."""
    delivery = _find(call, unit.db)
    if delivery.kind == "rotation":
        raise ApiError(409, "the announcement of a key rotation cannot be replayed")
    if delivery.kind == "notice" and triggers.load(unit.db, delivery.target_id) is None:
        raise not_found("event trigger")
    return reply(shown(work.replay(unit, delivery)), 201)


for _operation in ("list-webhook-deliveries", "list-webhook-deliveries-legacy"):
    registry.read(_operation)(list_all)
for _operation in ("retry-webhook-delivery", "retry-webhook-delivery-legacy"):
    registry.write(_operation)(retry)


def _find(call: Call, db: sqlite3.Connection) -> Delivery:
    delivery_id = call.params.get("id") or call.params.get("deliveryID", "")
    delivery = deliveries.get(db, delivery_id)
    if (
        delivery is None
        or delivery.project_id != call.project_id
        or delivery.kind not in WEBHOOK_KINDS
    ):
        raise not_found("webhook delivery")
    return delivery


def shown(delivery: Delivery) -> dict[str, Any]:
    """Return a delivery as the API shows it: without its message, and with the address only."""
    answer: dict[str, Any] = {
        "id": delivery.id,
        "project_id": delivery.project_id,
        "webhook_url": delivery.address,
        "status": delivery.status,
        "attempts": delivery.attempts,
        "max_attempts": delivery.max_attempts,
        "created_at": delivery.created_at,
        "updated_at": delivery.updated_at,
    }
    optional = {
        "run_id": delivery.run_id,
        "job_id": delivery.job_id,
        "event_trigger_id": delivery.target_id if delivery.kind == "notice" else "",
        "subscription_id": delivery.target_id if delivery.kind == "webhook" else "",
        "last_status_code": delivery.last_status_code,
        "last_error": delivery.last_error,
        "next_retry_at": delivery.due_at if delivery.attempts else "",
        "delivered_at": delivery.delivered_at,
    }
    return answer | {name: value for name, value in optional.items() if value}
