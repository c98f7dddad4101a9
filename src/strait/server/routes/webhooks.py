"""Webhook subscriptions: who is told of the ends of runs, signed (`contract/runs.md` §9.3)."""

from __future__ import annotations

import asyncio
import secrets

from msgspec import json
from msgspec.structs import replace

from strait.clock import SECOND, to_timestamp
from strait.server import addresses, signing_headers
from strait.server._generated import bodies
from strait.server.envelopes import SUBSCRIPTION
from strait.server.errors import ApiError
from strait.server.http import Call, Reply, reply
from strait.server.outbound import CallError
from strait.server.platform import Platform
from strait.server.registry import Registry
from strait.server.resource import Resource, given
from strait.server.unit import Unit
from strait.store.records import Record

registry = Registry()

EVENT_TYPES = frozenset(
    {
        "run.completed", "run.failed", "run.timed_out", "run.canceled",
        "workflow.completed", "workflow.failed",
        "slo.budget_warning", "billing.cap_warning", "billing.cap_reached", "billing.cap_disabled",
        "billing.overage_disabled", "billing.suspended", "billing.delinquent",
        "billing.payment_succeeded", "schedule.suspended", "workflow.registration_rejected",
        "sla.credit_issued",
    }
)  # fmt: skip
DEFAULT_GRACE_MINUTES = 60
_MAX_GRACE_MINUTES = 7 * 24 * 60
_ANSWER_SECS = 10
_MAX_ANSWER_BYTES = 65_536
_MAX_SHOWN_CHARS = 4_096


def _prepare(call: Call, unit: Unit, subscription: Record) -> Record:
    del call
    fields = subscription.fields
    addresses.endpoint(fields["webhook_url"], "webhook_url", unit.platform.reach)
    for event_type in fields["event_types"]:
        if event_type not in EVENT_TYPES:
            raise ApiError(400, f'invalid event type: "{event_type}"')
    return replace(subscription, fields={"active": True, **fields})


SUBSCRIPTIONS = Resource(
    kind=SUBSCRIPTION,
    param="id",
    list="list-webhook-subscriptions",
    delete="delete-webhook-subscription",
    shown={"webhook_url": "", "event_types": [], "active": True},
    secret=("signing_secret", "old_secret"),
    bare=True,
    updated=False,
    prepare=_prepare,
    changed=lambda _call, unit, _record: unit.platform.audience.forget(),
)
SUBSCRIPTIONS.serve(registry)


@registry.write("create-webhook-subscription")
def create(call: Call, unit: Unit) -> Reply:
    """Subscribe an address; its signing secret is in this answer and nowhere else."""
    body = call.body(bodies.CreateWebhookSubscriptionRequest)
    if body.project_id != call.project_id:
        raise ApiError(403, "project_id does not match authenticated project")
    secret = new_secret()
    made = SUBSCRIPTIONS.insert(call, unit, {**given(body), "signing_secret": secret})
    shown = SUBSCRIPTIONS.show(made, unit.db)
    return reply({"subscription": shown, "signing_secret": secret}, 201)


@registry.write("rotate-webhook-secret")
def rotate(call: Call, unit: Unit) -> Reply:
    """Make a new signing secret; for a while the old one signs too."""
    subscription = SUBSCRIPTIONS.find(unit.db, call)
    body = call.body(bodies.RotateWebhookSecretRequest)
    minutes = body.grace_period_minutes
    minutes = DEFAULT_GRACE_MINUTES if minutes is None else minutes
    if not 0 <= minutes <= _MAX_GRACE_MINUTES:
        raise ApiError(400, f"grace_period_minutes must be between 0 and {_MAX_GRACE_MINUTES}")
    secret = new_secret()
    until = unit.now + minutes * 60 * SECOND
    fields = {
        "signing_secret": secret,
        "old_secret": SUBSCRIPTIONS.opened(unit, subscription, "signing_secret"),
        "grace_until": until,
    }
    SUBSCRIPTIONS.save(call, unit, subscription, fields)
    return reply(
        {
            "subscription_id": subscription.id,
            "new_secret": secret,
            "grace_expires_at": to_timestamp(until),
            "grace_period_minutes": minutes,
        }
    )


@registry.other("test-webhook")
async def test(call: Call, platform: Platform) -> Reply:
    """Send a test message to an address now, and tell what came back; it is not kept."""
    body = call.body(bodies.TestWebhookRequest)
    url = addresses.endpoint(body.url, "url", platform.reach)
    message = json.encode({"type": "webhook.test", "timestamp": to_timestamp(call.now)})
    headers = signing_headers.signature(body.secret, message, call.now) if body.secret else []
    headers += [(b"X-Webhook-Signature", value) for name, value in headers[1:]]
    outbound = platform.outside.outbound(max_body_bytes=_MAX_ANSWER_BYTES, reach=platform.reach)
    loop = asyncio.get_running_loop()
    started = loop.time()
    try:
        async with asyncio.timeout(_ANSWER_SECS):
            answer = await outbound.post(url, headers, message)
    except (CallError, TimeoutError) as error:
        reason = str(error) or f"no answer within {_ANSWER_SECS} s"
        latency_ms = round((loop.time() - started) * 1000)
        return reply({"success": False, "error": reason, "latency_ms": latency_ms})
    finally:
        outbound.close()
    return reply(
        {
            "success": 200 <= answer.status < 300,
            "status_code": answer.status,
            "latency_ms": round((loop.time() - started) * 1000),
            "response_body": answer.body.decode("utf-8", "replace")[:_MAX_SHOWN_CHARS],
        }
    )


def new_secret() -> str:
    """Return a fresh signing secret."""
    return f"whsec_{secrets.token_hex(32)}"
