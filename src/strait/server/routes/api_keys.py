"""API keys: made once, stored as hashes, rotated with a grace period (`contract/runs.md` §7.1)."""

from __future__ import annotations

import secrets
import sqlite3

from msgspec.structs import replace

from strait.clock import SECOND, from_timestamp, to_timestamp
from strait.server import addresses, checks
from strait.server._generated import bodies
from strait.server.auth import SCOPES, check_grants
from strait.server.errors import ApiError, not_found
from strait.server.http import Call, Reply, page, reply
from strait.server.registry import Registry
from strait.server.unit import Unit
from strait.server.work import environments
from strait.server.work.api_keys import (
    DEFAULT_GRACE_MINUTES,
    make,
    max_lifetime_days,
    save,
    successor,
)
from strait.server.work.api_keys import revoke as end
from strait.store import meta, records

registry = Registry()

_DAY = 24 * 3600
DEFAULT_LIFETIME_DAYS = 90
MAX_GRACE_MINUTES = 7 * 24 * 60


@registry.write("create-api-key")
def create(call: Call, unit: Unit) -> Reply:
    """Make a key; its secret is in this answer and nowhere else."""
    body = call.body(bodies.CreateAPIKeyRequest)
    if call.project_id and body.project_id != call.project_id:
        raise ApiError(403, "project_id does not match authenticated project")
    _check_scopes(call, body.scopes)
    environment_id = _environment(call, unit.db, body.project_id, body.environment_id or "")
    _check_organization(call, unit.db, body.project_id, body.org_id or "")
    days = _lifetime_days(unit.db, body.project_id, body.expires_in_days)
    if body.rotation_interval_days and not body.rotation_webhook_url:
        raise ApiError(400, "rotation_webhook_url is required with rotation_interval_days")
    rotation_secret = f"whsec_{secrets.token_hex(32)}" if body.rotation_webhook_url else ""
    record, key = make(
        unit,
        project_id=body.project_id,
        name=body.name,
        scopes=list(body.scopes or ()),
        lifetime_days=days,
        org_id=body.org_id or "",
        environment_id=environment_id,
        rotation_interval_days=body.rotation_interval_days or 0,
        rotation_webhook_url=addresses.secret_endpoint(
            body.rotation_webhook_url, "rotation_webhook_url", unit.platform.reach
        ),
        rotation_secret=rotation_secret,
    )
    answer: dict[str, object] = {
        "id": record.id,
        "project_id": record.project_id,
        "name": record.name,
        "key": key,
        "key_prefix": record.key_prefix,
        "scopes": record.scopes,
        "created_at": record.created_at,
    }
    if record.expires_at:
        answer["expires_at"] = record.expires_at
    if rotation_secret:
        answer["rotation_webhook_secret"] = rotation_secret
    return reply(answer, 201)


@registry.read("list-api-keys")
def list_all(call: Call, db: sqlite3.Connection) -> Reply:
    """List the keys of the project, newest first."""
    limit = call.query["limit"]
    rows = meta.keys_of(
        db,
        call.project_id,
        org_id=call.query.get("org_id") or "",
        environment_id=call.principal.environment_id,
        before=checks.cursor(call.query),
        limit=limit + 1,
    )
    return page(rows, limit, lambda key: key.created_at)


@registry.read("list-expiring-keys")
def expiring(call: Call, db: sqlite3.Connection) -> Reply:
    """List the keys that end soon, and those that never do."""
    within = int(call.query.get("within_days") or 30) * _DAY
    horizon = to_timestamp(call.now + within * SECOND)
    keys = meta.keys_of(
        db,
        call.project_id,
        environment_id=call.principal.environment_id,
        before=checks.END_OF_TIME,
        limit=10_000,
    )
    soon = [k for k in keys if not k.revoked_at and (not k.expires_at or k.expires_at <= horizon)]
    return reply([_expiring(key, call.now) for key in soon])


def _expiring(key: meta.ApiKey, now: int) -> dict[str, object]:
    days_left = None
    if key.expires_at:
        days_left = max(0, (from_timestamp(key.expires_at) - now) // (_DAY * SECOND))
    return {
        "id": key.id,
        "name": key.name,
        "key_prefix": key.key_prefix,
        "expires_at": key.expires_at or None,
        "days_left": days_left,
        "no_expiry": not key.expires_at,
        "created_at": key.created_at,
    }


@registry.write("rotate-api-key")
def rotate(call: Call, unit: Unit) -> Reply:
    """Make a successor of a key; the old one goes on working for a grace period."""
    body = call.body(bodies.RotateAPIKeyRequest)
    old = _own(call, unit.db)
    if old.revoked_at:
        raise ApiError(409, "api key is already revoked")
    # Who rotates a key holds its successor then: nobody comes to more than it has by that.
    check_grants(call.principal, old.scopes or ["*"])
    _check_organization(call, unit.db, old.project_id, old.org_id)
    minutes = body.grace_period_minutes
    if minutes is None:
        minutes = DEFAULT_GRACE_MINUTES
    if not 0 <= minutes <= MAX_GRACE_MINUTES:
        raise ApiError(400, f"grace_period_minutes must be between 0 and {MAX_GRACE_MINUTES}")
    grace = unit.in_secs(60 * minutes)
    record, key = successor(unit, old)
    save(
        unit,
        replace(old, revoked_at=unit.stamp, grace_expires_at=grace, replaced_by_key_id=record.id),
    )
    answer: dict[str, object] = {
        "old_key_id": old.id,
        "new_key_id": record.id,
        "project_id": record.project_id,
        "name": record.name,
        "key": key,
        "key_prefix": record.key_prefix,
        "scopes": record.scopes,
        "expires_at": record.expires_at or None,
        "created_at": record.created_at,
        "grace_expires_at": grace,
    }
    return reply(answer, 201)


@registry.write("revoke-api-key")
def revoke(call: Call, unit: Unit) -> Reply:
    """End a key at once."""
    end(unit, _own(call, unit.db))
    return reply({"status": "revoked"})


def _own(call: Call, db: sqlite3.Connection) -> meta.ApiKey:
    key = meta.key_by_id(db, call.params["keyID"])
    bare = call.principal.internal and not call.project_id
    if key is None or (not bare and key.project_id != call.project_id):
        raise not_found("api key")
    return key


def _check_scopes(call: Call, scopes: list[str] | None) -> None:
    if not scopes:
        raise ApiError(400, "scopes must contain at least one explicit permission")
    for scope in scopes:
        if scope not in SCOPES:
            raise ApiError(400, f'unknown scope: "{scope}"')
    check_grants(call.principal, scopes)


def _environment(call: Call, db: sqlite3.Connection, project_id: str, asked: str) -> str:
    """Return the environment of a new key; a key of one makes keys of that one only."""
    own = call.principal.environment_id
    if own:
        if asked not in {"", own}:
            raise ApiError(403, "environment_id does not match the environment of the key")
        return own
    found = records.get(db, environments.ENVIRONMENT, asked) if asked else None
    if asked and (found is None or found.project_id != project_id):
        raise ApiError(400, "environment not found")
    return asked


def _check_organization(call: Call, db: sqlite3.Connection, project_id: str, asked: str) -> None:
    """Check that a key for a whole organization is made by who sees the whole of it.

    Raises:
        ApiError: 400, the project is in another one; 403, the caller does not see the whole.
    """
    if not asked:
        return
    project = meta.get_project(db, project_id)
    if project is not None and project.org_id != asked:
        raise ApiError(400, "org_id does not match the organization of the project")
    if not call.principal.internal and call.principal.org_id != asked:
        raise ApiError(403, "an org-scoped key is made with internal secret or an org-scoped key")


def _lifetime_days(db: sqlite3.Connection, project_id: str, asked: int | None) -> int:
    most = max_lifetime_days(db, project_id)
    if asked is None and most is None:
        raise ApiError(
            400, "expires_in_days is required when project max_key_lifetime_days is not configured"
        )
    days = asked or min(most or DEFAULT_LIFETIME_DAYS, DEFAULT_LIFETIME_DAYS)
    if most is not None and days > most:
        raise ApiError(400, f"expires_in_days exceeds project maximum of {most} days")
    return days
