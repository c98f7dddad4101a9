"""Notification channels: chat rooms that are told what needs a person (`workflows.md` §5.11)."""

from __future__ import annotations

import sqlite3
from typing import Any

from msgspec import Raw
from msgspec.structs import replace

from strait.engine.deliveries import Delivery
from strait.server import addresses, checks
from strait.server.envelopes import CHANNEL
from strait.server.errors import ApiError
from strait.server.http import Call, Reply, reply
from strait.server.registry import Registry
from strait.server.resource import Resource
from strait.server.unit import Unit
from strait.store import deliveries
from strait.store.records import Record

registry = Registry()

# Which entry of the config is the address, by type of channel.
_ADDRESS = {"slack": "webhook_url", "discord": "webhook_url", "webhook": "url"}
_DEFAULT_LIMIT = 50
_MAX_LIMIT = 100


def _prepare(call: Call, unit: Unit, channel: Record) -> Record:
    del call
    kind = channel.fields["channel_type"]
    if kind not in _ADDRESS:
        raise ApiError(400, f"unsupported channel type: {kind}")
    name = _ADDRESS[kind]
    config = CHANNELS.opened_values(unit, channel, "config")
    if name not in config:
        raise ApiError(400, f"{name} is required in config")
    for field, value in config.items():
        if not isinstance(value, str) or not value:
            raise ApiError(400, f"{field} must be a non-empty string")
    url = addresses.endpoint(config[name], name, unit.platform.reach)
    fields = {"enabled": True, **channel.fields, "address": addresses.shown(url)}
    return replace(channel, fields=fields)


CHANNELS = Resource(
    kind=CHANNEL,
    param="channelID",
    create="create-notification-channel",
    list="list-notification-channels",
    get="get-notification-channel",
    update="update-notification-channel",
    delete="delete-notification-channel",
    shown={"channel_type": "", "name": "", "config": {}, "enabled": True},
    redacted=("config",),
    bare=True,
    given_project=False,
    prepare=_prepare,
    changed=lambda _call, unit, _record: unit.platform.audience.forget(),
)
CHANNELS.serve(registry)


@registry.read("list-notification-deliveries")
def list_deliveries(call: Call, db: sqlite3.Connection) -> Reply:
    """List what channels of the project were sent, newest first."""
    limit = call.query.get("limit") or _DEFAULT_LIMIT
    rows = deliveries.page(
        db,
        call.project_id,
        ("channel",),
        before=checks.cursor(call.query),
        limit=min(limit, _MAX_LIMIT),
    )
    return reply([_shown(row) for row in rows])


def _shown(delivery: Delivery) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "id": delivery.id,
        "channel_id": delivery.target_id,
        "project_id": delivery.project_id,
        "event_type": delivery.event_type,
        "payload": Raw(delivery.body.encode()),
        "status": delivery.status,
        "attempts": delivery.attempts,
        "max_attempts": delivery.max_attempts,
        "created_at": delivery.created_at,
        "updated_at": delivery.updated_at,
    }
    optional = {
        "last_error": delivery.last_error,
        "next_retry_at": delivery.due_at if delivery.attempts else "",
        "delivered_at": delivery.delivered_at,
    }
    return answer | {name: value for name, value in optional.items() if value}
