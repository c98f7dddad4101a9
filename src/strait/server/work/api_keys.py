"""Making API keys, and rotating them: by hand, or by the clock (`contract/workflows.md` §5.7).

A key with an interval gets a successor when its time comes. The successor is handed over in a
signed message to the key's `rotation_webhook_url`, and only once that has arrived does the old key
begin to end: nobody is locked out by a receiver that was down.
"""

from __future__ import annotations

import logging
import sqlite3
from functools import partial

from msgspec import Raw, json
from msgspec.structs import replace

from strait.clock import SECOND, from_timestamp
from strait.engine.audit_chain import AuditEvent
from strait.engine.deliveries import Delivery
from strait.server.auth import hash_key, new_key
from strait.server.envelopes import ROTATION, sealed_place
from strait.server.unit import Unit
from strait.server.vault import field_place
from strait.server.work import audit, deliveries
from strait.store import meta, records
from strait.store.records import Record

logger = logging.getLogger("strait.server")

DEFAULT_GRACE_MINUTES = 60
_DAY = 24 * 3600
_TIMER = "key_rotation"
_CLOCK = AuditEvent(
    id="", project_id="", actor_id="system:key_rotation", actor_type="system", action="",
    resource_type="", resource_id="", created_at="",
)  # fmt: skip


def make(
    unit: Unit,
    *,
    project_id: str,
    name: str,
    scopes: list[str],
    lifetime_days: int | None,
    key: str = "",
    org_id: str = "",
    environment_id: str = "",
    rotation_interval_days: int = 0,
    rotation_webhook_url: str = "",
    rotation_secret: str = "",
) -> tuple[meta.ApiKey, str]:
    """Make a key and return its record and its secret; None days is for ever."""
    key = key or new_key()
    unit.tick()
    rotation = rotation_interval_days * _DAY
    if rotation and lifetime_days is not None:
        # One that has ended first locks its owner out, and would come back to life at its rotation.
        rotation = min(rotation, lifetime_days * _DAY - 60 * DEFAULT_GRACE_MINUTES)
    record = meta.ApiKey(
        id=unit.new_id(),
        project_id=project_id,
        name=name,
        key_prefix=key[:12],
        scopes=scopes,
        created_at=unit.stamp,
        expires_at="" if lifetime_days is None else unit.in_secs(lifetime_days * _DAY),
        org_id=org_id,
        environment_id=environment_id,
        rotation_interval_days=rotation_interval_days,
        next_rotation_at=unit.in_secs(rotation) if rotation else "",
        rotation_webhook_url=rotation_webhook_url,
    )
    meta.put_key(unit.db, record, hash_key(key))
    if rotation_secret:
        _keep_secret(unit, record, rotation_secret)
    _watch(unit, record)
    return record, key


def successor(unit: Unit, old: meta.ApiKey) -> tuple[meta.ApiKey, str]:
    """Make the key that takes the place of another one, with its rights and its lifetime.

    It lives no longer than the project lets keys live by now.
    """
    lifetime = max_lifetime_days(unit.db, old.project_id)
    if old.expires_at:
        whole = from_timestamp(old.expires_at) - from_timestamp(old.created_at)
        days = max(1, whole // (_DAY * SECOND))
        lifetime = days if lifetime is None else min(days, lifetime)
    return make(
        unit,
        project_id=old.project_id,
        name=f"{old.name} (rotated)",
        scopes=old.scopes,
        lifetime_days=lifetime,
        org_id=old.org_id,
        environment_id=old.environment_id,
        rotation_interval_days=old.rotation_interval_days,
        rotation_webhook_url=old.rotation_webhook_url,
        rotation_secret=_secret(unit, old),
    )


def max_lifetime_days(db: sqlite3.Connection, project_id: str) -> int | None:
    """Return how long keys of a project may live, or None without a bound."""
    value = meta.get_meta(db, lifetime_setting(project_id))
    return int(value) if value else None


def lifetime_setting(project_id: str) -> str:
    """Return the name under which the bound on the lifetime of keys is kept."""
    return f"project:{project_id}:max_key_lifetime_days"


def save(unit: Unit, key: meta.ApiKey) -> None:
    """Write a key that was changed."""
    meta.update_key(unit.db, key)
    unit.after(unit.platform.keys.forget)
    unit.after(unit.platform.workers.keys_changed)


def revoke(unit: Unit, key: meta.ApiKey) -> None:
    """End a key at once, whatever grace it had."""
    save(unit, replace(key, revoked_at=key.revoked_at or unit.stamp, grace_expires_at=""))


def record(unit: Unit, key: meta.ApiKey, action: str, by: AuditEvent, **details: str) -> None:
    """Write into the audit log what became of a key in a way that is no call about keys."""
    event = replace(
        by, action=f"api_key.{action}", resource_type="api_key", resource_id=key.id,
        details=Raw(json.encode(details)),
    )  # fmt: skip
    audit.append(unit, key.project_id, event)


# ------------------------------------------------------------------------------------- by the clock


def rotation_due(unit: Unit, key_id: str) -> None:
    """Make the successor of a key whose time has come, and send it to whom it belongs."""
    old = meta.key_by_id(unit.db, key_id)
    if old is None or old.revoked_at or not old.next_rotation_at:
        return
    if old.next_rotation_at > unit.stamp or not old.rotation_webhook_url:
        return
    new, key = successor(unit, old)
    record(unit, new, "created", _CLOCK, replaces=old.id)
    save(unit, replace(old, next_rotation_at=""))
    delivery_id = unit.new_id()
    body = json.encode(
        {
            "type": "api_key.rotated",
            "old_key_id": old.id,
            "new_key_id": new.id,
            "project_id": new.project_id,
            "name": new.name,
            "key": key,
            "key_prefix": new.key_prefix,
            "scopes": new.scopes,
            "expires_at": new.expires_at or None,
            "grace_period_minutes": DEFAULT_GRACE_MINUTES,
            "timestamp": unit.stamp,
        }
    ).decode()
    deliveries.post(
        unit,
        "rotation",
        old.id,
        old.rotation_webhook_url,
        "api_key.rotated",
        unit.platform.vault.seal(body, sealed_place(delivery_id)),
        project_id=old.project_id,
        subject_id=new.id,
        delivery_id=delivery_id,
    )


def handed_over(unit: Unit, delivery: Delivery) -> None:
    """End the old key once the new one has arrived, or drop the new one if it never did."""
    old = meta.key_by_id(unit.db, delivery.target_id)
    new = meta.key_by_id(unit.db, delivery.subject_id)
    if old is None or new is None:
        return
    if delivery.status == "delivered":
        grace = unit.in_secs(60 * DEFAULT_GRACE_MINUTES)
        ended = replace(
            old, revoked_at=unit.stamp, grace_expires_at=grace, replaced_by_key_id=new.id
        )
        if not old.revoked_at:
            save(unit, ended)
            record(unit, old, "rotated", _CLOCK, replaced_by=new.id)
        return
    save(unit, replace(new, revoked_at=unit.stamp, next_rotation_at=""))
    record(unit, new, "revoked", _CLOCK, replaces=old.id)
    if not old.revoked_at:
        logger.warning(
            "key %s was not rotated, since its webhook did not take the new one: %s; "
            "again in a day",
            old.id, delivery.last_error,
        )  # fmt: skip
        again = replace(old, next_rotation_at=unit.in_secs(_DAY))
        save(unit, again)
        _watch(unit, again)


def after_restart(unit: Unit) -> None:
    """Watch the keys whose time will come."""
    for key in meta.rotating_keys(unit.db):
        _watch(unit, key)


def _watch(unit: Unit, key: meta.ApiKey) -> None:
    if key.next_rotation_at and not key.revoked_at:
        instant = from_timestamp(key.next_rotation_at)
        unit.after(partial(unit.platform.timers.set, (_TIMER, key.id), instant))


def _keep_secret(unit: Unit, key: meta.ApiKey, secret: str) -> None:
    sealed = unit.platform.vault.seal(secret, field_place(ROTATION, key.id, "secret"))
    record = Record(
        id=key.id,
        project_id=key.project_id,
        created_at=unit.stamp,
        updated_at=unit.stamp,
        fields={},
        sealed={"secret": sealed},
    )
    records.insert(unit.db, ROTATION, record)


def _secret(unit: Unit, key: meta.ApiKey) -> str:
    record = records.get(unit.db, ROTATION, key.id)
    sealed = "" if record is None else record.sealed["secret"]
    return unit.platform.vault.open(sealed, field_place(ROTATION, key.id, "secret"))
