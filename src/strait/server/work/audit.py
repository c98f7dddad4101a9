"""The audit log: what a call has changed is signed into the chain of its project, as it happens.

An event is written in the transaction of what it records, so that there is neither one without the
other (`contract/workflows.md` §5.17).
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from strait.clock import SECOND, to_timestamp
from strait.engine import audit_chain
from strait.engine.audit_chain import AuditEvent, Seal, Signed
from strait.server._generated.bodies import UpdateWorkflowRequest
from strait.server.audit_actions import action_of, is_recorded
from strait.server.http import Call, Reply
from strait.server.unit import Unit
from strait.server.vault import Vault
from strait.store import audit, meta
from strait.store.connection import StoreError

if TYPE_CHECKING:
    import sqlite3

DEFAULT_RETENTION_DAYS = 365
DEFAULT_EXPORT_CAP = 10_000
_DAY = 24 * 3600
_MAX_AGENT_CHARS = 256
_PRUNED_AT_ONCE = 1_000
_encode = msgspec.json.Encoder().encode


class _Made(Struct):
    """What an answer says of the thing that was made."""

    id: str = ""
    project_id: str = ""
    new_key_id: str = ""


class SigningKeys:
    """The keys of audit chains, opened once and kept in memory."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._known: dict[tuple[str, int], bytes] = {}

    def __repr__(self) -> str:
        return "SigningKeys(…)"

    def find(self, db: sqlite3.Connection, project_id: str, epoch: int) -> bytes:
        """Return the key of an epoch, or b"" when there is none, or one that was tampered with."""
        place = (project_id, epoch)
        if place not in self._known:
            sealed = audit.get_key(db, project_id, epoch)
            try:
                opened = self._vault.open(sealed, _place(project_id, epoch))
            except StoreError:
                return b""
            if not opened:
                return b""
            self._known[place] = bytes.fromhex(opened)
        return self._known[place]

    def make(self, db: sqlite3.Connection, project_id: str, epoch: int) -> bytes:
        """Make the key of an epoch, in the place of one that is no use any more."""
        key = secrets.token_bytes(32)
        audit.put_key(db, project_id, epoch, self._vault.seal(key.hex(), _place(project_id, epoch)))
        return key

    def forget(self) -> None:
        """Read all keys anew; called when a transaction was undone."""
        self._known.clear()


def _place(project_id: str, epoch: int) -> str:
    return f"audit:{project_id}:{epoch}"


# ------------------------------------------------------------------------------------- recording


def record(call: Call, unit: Unit, answer: Reply) -> None:
    """Write down what a call has done, if it has done something that is recorded."""
    if not is_recorded(call.route) or not 200 <= answer.status < 300:
        return
    made = _made(answer) if call.route.method == "POST" else _Made()
    project_id = _project_of(call, made)
    if project_id:
        action, kind = _action(call)
        append(unit, project_id, _event(call, action, kind, _resource_id(call, made)))


def _action(call: Call) -> tuple[str, str]:
    action, kind = action_of(call.route.id)
    if call.route.id == "update-workflow" and call.body(UpdateWorkflowRequest).breaking_change:
        action = "workflow.updated_breaking"  # that is all that the field does
    return action, kind


def append(unit: Unit, project_id: str, event: AuditEvent) -> AuditEvent:
    """Sign an event into the chain of a project."""
    seal, genuine = _seal_to_write(unit, project_id)
    key = unit.platform.audit_keys.find(unit.db, project_id, seal.epoch)
    if not key:
        key = unit.platform.audit_keys.make(unit.db, project_id, seal.epoch)
    unit.tick()
    event = replace(
        event,
        id=unit.new_id(),
        project_id=project_id,
        created_at=unit.stamp,
        schema_version=audit_chain.SCHEMA_VERSION,
        rotation_epoch=seal.epoch,
        is_anchor=seal.last_seq == 0 or event.action == "audit.key_rotated",
        previous_hash=seal.last_hash,
    )
    seq, doc = seal.last_seq + 1, _encode(event)
    signed = Signed(seq, doc, audit_chain.sign(key, seq, doc))
    audit.insert(unit.db, event, signed)
    ended = replace(seal, last_seq=seq, last_hash=audit_chain.hash_of(signed))
    _put_seal(unit, ended, genuine=genuine)
    hub = unit.platform.activity_hub
    unit.after(lambda: hub.publish(project_id, event.id))
    return event


def _event(call: Call, action: str, kind: str, resource_id: str) -> AuditEvent:
    principal = call.principal
    return AuditEvent(
        id="",
        project_id="",
        actor_id=principal.actor,
        actor_type=principal.actor_type,
        action=action,
        resource_type=kind,
        resource_id=resource_id,
        created_at="",
        details=Raw(_encode(_details(call))),
        remote_ip=call.remote_ip,
        user_agent=call.header(b"user-agent")[:_MAX_AGENT_CHARS],
        request_id=call.request_id,
        trace_id=_trace_id(call),
    )


def _details(call: Call) -> dict[str, Any]:
    """Say what was given, by name only: values may be secret."""
    details: dict[str, Any] = {"operation": call.route.id}
    if len(call.params) > 1:
        details["path"] = call.params
    try:
        body = msgspec.json.decode(call.body_bytes, type=dict[str, Raw])
    except (msgspec.DecodeError, msgspec.ValidationError):
        return details
    if body:
        details["fields"] = sorted(body)
    return details


def _resource_id(call: Call, made: _Made) -> str:
    """Return what the call was about: what it names last, or what it has made."""
    named = list(call.params.values())
    if call.route.id.startswith(("create-", "subscribe-", "assign-")) or not named:
        return made.id or made.new_key_id or call.project_id
    return named[-1]


def _made(answer: Reply) -> _Made:
    try:
        return msgspec.json.decode(answer.body, type=_Made)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return _Made()


def _project_of(call: Call, made: _Made) -> str:
    """Return the project that a call was about; a bare internal caller has none of its own."""
    if call.route.path.startswith("/v1/projects/"):
        return next(iter(call.params.values()))
    if call.route.id == "create-project":
        return made.id
    return call.project_id or made.project_id


def _trace_id(call: Call) -> str:
    parts = call.header(b"traceparent").split("-")
    return parts[1] if len(parts) == 4 and len(parts[1]) == 32 else ""


# ------------------------------------------------------------------------------------------ seals


def read_seal(
    db: sqlite3.Connection, keys: SigningKeys, project_id: str
) -> tuple[Seal | None, str]:
    """Return the seal of a chain, or None when there is none, and what is wrong with it."""
    stored = audit.get_seal(db, project_id)
    if stored is None:
        lost = bool(audit.get_key(db, project_id, 1))
        return None, "the seal of the chain is missing" if lost else ""
    doc, signature = stored
    try:
        seal = msgspec.json.decode(doc, type=Seal)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None, "the seal of the chain was changed"
    key = keys.find(db, project_id, seal.epoch)
    right = audit_chain.is_sealed(key, doc, signature)
    return seal, "" if right else "the seal of the chain was changed"


def _seal_to_write(unit: Unit, project_id: str) -> tuple[Seal, bool]:
    seal, problem = read_seal(unit.db, unit.platform.audit_keys, project_id)
    seal = seal or Seal(project_id=project_id)
    if problem:
        # What was tampered with must not stop the work: the events go on behind what is there.
        seal = replace(seal, last_seq=max(seal.last_seq, audit.last_seq(unit.db, project_id)))
    return seal, not problem


def _put_seal(unit: Unit, seal: Seal, *, genuine: bool) -> None:
    """Write a seal; one that was tampered with is never signed again, and so stays found out."""
    doc = _encode(seal)
    key = unit.platform.audit_keys.find(unit.db, seal.project_id, seal.epoch)
    signature = audit_chain.sign_seal(key, doc) if genuine else ""
    audit.put_seal(unit.db, seal.project_id, doc, signature)


def verified(unit: Unit, project_id: str, seen: Signed) -> None:
    """Remember up to where a chain was found whole, for the next incremental verification."""
    seal, genuine = _seal_to_write(unit, project_id)
    if seal.verified_seq < seen.seq:
        reached = replace(seal, verified_seq=seen.seq, verified_hash=audit_chain.hash_of(seen))
        _put_seal(unit, reached, genuine=genuine)


def rotate(unit: Unit, project_id: str) -> tuple[int, int]:
    """Begin a new epoch of a chain and return the number of the old one and of the new one.

    The event of the rotation itself, which follows, is the first one with the new key.
    """
    seal, genuine = _seal_to_write(unit, project_id)
    if not unit.platform.audit_keys.find(unit.db, project_id, seal.epoch):
        unit.platform.audit_keys.make(unit.db, project_id, seal.epoch)
    unit.platform.audit_keys.make(unit.db, project_id, seal.epoch + 1)
    _put_seal(unit, replace(seal, epoch=seal.epoch + 1), genuine=genuine)
    return seal.epoch, seal.epoch + 1


# -------------------------------------------------------------------------------------- retention


def retention_days(db: sqlite3.Connection, project_id: str) -> int | None:
    """Return how long a project keeps its events, or None for the default."""
    kept = meta.get_meta(db, f"project:{project_id}:audit_retention_days")
    return int(kept) if kept else None


def set_retention_days(db: sqlite3.Connection, project_id: str, days: int) -> None:
    """Set how long a project keeps its events."""
    meta.set_meta(db, f"project:{project_id}:audit_retention_days", str(days))


def export_cap(db: sqlite3.Connection, project_id: str) -> int:
    """Return how many events one export may hold."""
    return int(meta.get_meta(db, f"project:{project_id}:audit_export_cap") or DEFAULT_EXPORT_CAP)


def set_export_cap(db: sqlite3.Connection, project_id: str, rows: int) -> None:
    """Set how many events one export may hold."""
    meta.set_meta(db, f"project:{project_id}:audit_export_cap", str(rows))


def prune(unit: Unit, project_id: str) -> bool:
    """Drop events that are too old, some at a time; return whether there may be more.

    The seal keeps the hash of the last one that went, so that the rest can still be verified.
    """
    days = retention_days(unit.db, project_id) or DEFAULT_RETENTION_DAYS
    before = to_timestamp(unit.now - days * _DAY * SECOND)
    last_seq = audit.last_before(unit.db, project_id, before, _PRUNED_AT_ONCE)
    last = audit.at(unit.db, project_id, last_seq) if last_seq else None
    if last is None:
        return False
    seal, genuine = _seal_to_write(unit, project_id)
    audit.drop_up_to(unit.db, project_id, last.seq)
    hashed = audit_chain.hash_of(last)
    shorter = replace(seal, first_seq=last.seq + 1, base_hash=hashed)
    if shorter.verified_seq < last.seq:
        shorter = replace(shorter, verified_seq=last.seq, verified_hash=hashed)
    _put_seal(unit, shorter, genuine=genuine)
    return True
