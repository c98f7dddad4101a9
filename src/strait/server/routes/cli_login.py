"""Login of the command line by a code that a user approves elsewhere (`contract` §5.16)."""

from __future__ import annotations

import secrets
from hashlib import sha256
from typing import Any

from msgspec.structs import replace

from strait.clock import from_timestamp
from strait.engine.audit_chain import AuditEvent
from strait.server._generated import bodies
from strait.server.auth import KEY_ACTOR, SCOPES, key_problem
from strait.server.errors import ApiError, not_found
from strait.server.http import Call, Reply, reply
from strait.server.registry import Registry
from strait.server.routes.api_keys import DEFAULT_LIFETIME_DAYS
from strait.server.unit import Unit
from strait.server.work import api_keys, device_codes
from strait.store import meta, records
from strait.store.records import Record

registry = Registry()

_EXPIRES_SECS = 900
_INTERVAL_SECS = 7
# Without the letters and digits that are taken for each other.
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_USER_CODE_CHARS = 8
# What a command line needs; who approves hands on no more than it has itself.
_SCOPES = SCOPES - {"*", "rbac:manage", "api-keys:manage", "projects:manage", "outbox:purge"}


@registry.write("request-device-code")
def request(call: Call, unit: Unit) -> Reply:
    """Begin a login: a code to poll with, and one to show to the user."""
    del call
    device_codes.forget_expired(unit)
    device_code = secrets.token_hex(32)
    user_code = "".join(secrets.choice(_LETTERS) for _ in range(_USER_CODE_CHARS))
    record = Record(
        # Whoever reads the database learns no code that can be exchanged.
        id=_hash(device_code),
        project_id="",
        created_at=unit.stamp,
        updated_at=unit.stamp,
        unique_key=user_code,
        fields={"status": "pending", "expires_at": unit.in_secs(_EXPIRES_SECS)},
    )
    records.insert(unit.db, device_codes.KIND, record)
    return reply(
        {
            "device_code": device_code,
            "user_code": user_code,
            "verification_url": "/cli/authorize",
            "expires_in": _EXPIRES_SECS,
            "interval": _INTERVAL_SECS,
        }
    )


@registry.write("approve-device-code")
def approve(call: Call, unit: Unit) -> Reply:
    """Let the command line that shows this code in, with scopes that the caller has."""
    body = call.body(bodies.ApproveDeviceCodeRequest)
    if body.project_id != call.project_id:
        raise ApiError(403, "project_id does not match authenticated project")
    record = records.by_key(unit.db, device_codes.KIND, "", body.user_code.strip().upper())
    if record is None:
        raise not_found("device code")
    if record.fields["status"] != "pending":
        raise ApiError(409, "device code is not pending")
    if _is_over(unit, record):
        raise ApiError(400, "device code has expired")
    scopes = sorted(scope for scope in _SCOPES if call.principal.grants(scope))
    if not scopes:
        # A key without scopes would be one for everything.
        raise ApiError(403, "the caller has no permission that it could hand on to a command line")
    _save(
        unit,
        record,
        status="approved",
        project_id=body.project_id,
        scopes=scopes,
        environment_id=call.principal.environment_id,
        approved_by=call.principal.actor,
    )
    return reply({"status": "approved"})


@registry.write("poll-device-token")
def exchange(call: Call, unit: Unit) -> Reply:
    """Give a key for a code that was approved, once."""
    body = call.body(bodies.DeviceTokenRequest)
    if not body.device_code:
        raise ApiError(400, "device_code is required")
    if body.grant_type != "device_code":
        raise ApiError(400, "grant_type must be device_code")
    record = records.get(unit.db, device_codes.KIND, _hash(body.device_code))
    if record is None or _is_over(unit, record):
        return reply({"error": "expired_token"}, 400)
    match record.fields["status"]:
        case "pending":
            return reply({"error": "authorization_pending"}, 400)
        case "exchanged":
            return reply({"error": "token_already_exchanged"}, 400)
    fields = record.fields
    if not _is_still_trusted(unit, fields.get("approved_by", "")):
        return reply({"error": "expired_token"}, 400)
    most = api_keys.max_lifetime_days(unit.db, fields["project_id"])
    days = min(most or DEFAULT_LIFETIME_DAYS, DEFAULT_LIFETIME_DAYS)
    made, key = api_keys.make(
        unit,
        project_id=fields["project_id"],
        name="command line",
        scopes=list(fields["scopes"]),
        lifetime_days=days,
        environment_id=fields["environment_id"],
    )
    _save(unit, record, status="exchanged")
    api_keys.record(
        unit, made, "created", _by(call, fields["approved_by"]), operation=call.route.id
    )
    answer = {"api_key": key, "project_id": fields["project_id"], "scopes": fields["scopes"]}
    return reply(answer)


def _by(call: Call, approver: str) -> AuditEvent:
    """Return who is behind the key of a login: whoever approved it, from where it was fetched."""
    return AuditEvent(
        id="", project_id="", actor_id=approver, action="", resource_type="", resource_id="",
        actor_type="api_key" if approver.startswith(KEY_ACTOR) else "user", created_at="",
        remote_ip=call.remote_ip, request_id=call.request_id,
    )  # fmt: skip


def _save(unit: Unit, record: Record, **fields: Any) -> None:
    changed = replace(record, fields={**record.fields, **fields}, updated_at=unit.stamp)
    records.update(unit.db, device_codes.KIND, changed)


def _is_still_trusted(unit: Unit, actor: str) -> bool:
    """Say whether who approved a code could still do so: its key was not revoked since."""
    key_id = actor.removeprefix(KEY_ACTOR)
    # An internal caller has none.
    return key_id == actor or not key_problem(meta.key_by_id(unit.db, key_id), unit.now)


def _is_over(unit: Unit, record: Record) -> bool:
    return from_timestamp(record.fields["expires_at"]) <= unit.now


def _hash(device_code: str) -> str:
    return sha256(device_code.encode()).hexdigest()
