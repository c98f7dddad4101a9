"""Canaries: a share of a workflow's runs goes to another version (`contract/workflows.md` §5.1).

The newest canary of a workflow says which version its runs follow: while it is active by chance,
once it is completed the target, once it is rolled back the source. A later change of the workflow
ends that: its newest version is what counts again.
"""

from __future__ import annotations

import sqlite3
from functools import partial
from typing import Any

from msgspec import Raw, convert
from msgspec.structs import replace

from strait.clock import SECOND, Timestamp, from_timestamp
from strait.engine import canary
from strait.engine.audit_chain import AuditEvent
from strait.engine.canary import AutoPromote, Health
from strait.engine.model import Workflow
from strait.server.unit import Unit
from strait.server.work import audit
from strait.store import records
from strait.store import workflows as definitions
from strait.store.records import Record

KIND = "canary"
_NS_PER_INSTANT = 10**9 // SECOND
# What is being undone, or was, had failed before.
_UNDONE = frozenset({"compensating", "compensated", "compensation_failed"})
_FAILED = frozenset({"failed", "timed_out"}) | _UNDONE
# A run that somebody has ended says nothing of the version.
_JUDGED = _FAILED | {"completed"}


def newest(db: sqlite3.Connection, workflow_id: str) -> Record | None:
    """Return the newest canary of a workflow, in whatever state, or None."""
    found = records.owned(db, KIND, workflow_id)
    return found[0] if found else None


def is_active(record: Record) -> bool:
    """Tell whether a canary still shares out the traffic."""
    return bool(record.fields["status"] == "active")


def choose(unit: Unit, workflow: Workflow) -> Workflow:
    """Return the workflow as it is at the version that a new run follows."""
    record = newest(unit.db, workflow.id)
    if record is None:
        return workflow
    fields = record.fields
    if not is_active(record) and workflow.version != fields["latest_version"]:
        return workflow
    # One that has ended sends everything one way: there is nothing to be decided.
    chance = unit.platform.outside.chance() if is_active(record) else 0.0
    to_target = canary.goes_to_target(fields["traffic_pct"], chance)
    number = fields["target_version"] if to_target else fields["source_version"]
    version = definitions.at_version(unit.db, workflow.id, number)
    if version is None or number == workflow.version:
        return workflow
    # Whether it runs at all is said of the workflow, not of one of its versions.
    return replace(version.workflow, enabled=workflow.enabled)


def begin(unit: Unit, workflow: Workflow, fields: dict[str, Any]) -> Record:
    """Make the canary of a workflow.

    Raises:
        sqlite3.IntegrityError: there is an active one.
    """
    unit.tick()
    record = Record(
        id=unit.new_id(),
        project_id=workflow.project_id,
        owner_id=workflow.id,
        created_at=unit.stamp,
        updated_at=unit.stamp,
        unique_key=workflow.id,
        fields={**fields, "status": "active", "step_at": unit.stamp},
    )
    records.insert(unit.db, KIND, record)
    return move(unit, record, fields["traffic_pct"])


def move(unit: Unit, record: Record, traffic_pct: int) -> Record:
    """Give a canary another share of the traffic; everything completes it."""
    if traffic_pct >= 100:
        return _end(unit, record, "completed", 100)
    unit.tick()
    fields = {**record.fields, "traffic_pct": traffic_pct, "step_at": unit.stamp}
    moved = replace(record, fields=fields, updated_at=unit.stamp)
    records.update(unit.db, KIND, moved)
    _watch(unit, moved)
    return moved


def roll_back(unit: Unit, record: Record) -> Record:
    """End a canary; all runs follow its source again."""
    return _end(unit, record, "rolled_back", 0)


def due(unit: Unit, canary_id: str) -> None:
    """Look at the health of a canary and go on with it as it says."""
    record = records.get(unit.db, KIND, canary_id)
    if record is None or not is_active(record):
        return
    config = config_of(record)
    match canary.evaluate(config, _health(unit.db, record)):
        case "hold":
            _watch(unit, record, from_now=True)
        case "rollback":
            roll_back(unit, record)
            _record(unit, record, "canary_deployment.rolled_back")
        case "promote":
            move(unit, record, canary.next_step(config.steps, record.fields["traffic_pct"]))
            _record(unit, record, "canary_deployment.promoted")


def after_restart(unit: Unit) -> None:
    """Watch the canaries that go on by themselves."""
    for record in records.everything(unit.db, KIND):
        if is_active(record):
            _watch(unit, record)


def config_of(record: Record) -> AutoPromote:
    """Return when a canary goes on by itself."""
    return convert(record.fields.get("auto_promote_config") or {}, AutoPromote)


def _watch(unit: Unit, record: Record, *, from_now: bool = False) -> None:
    config = config_of(record)
    if not config.enabled:
        return
    begun = unit.now if from_now else from_timestamp(record.fields["step_at"])
    instant = begun + config.interval_ns // _NS_PER_INSTANT
    unit.after(partial(unit.platform.timers.set, ("canary", record.id), instant))


def _end(unit: Unit, record: Record, status: str, traffic_pct: int) -> Record:
    unit.tick()
    workflow = definitions.get(unit.db, record.owner_id)
    ended = replace(
        record,
        updated_at=unit.stamp,
        unique_key=None,
        fields={
            **record.fields,
            "status": status,
            "traffic_pct": traffic_pct,
            "completed_at": unit.stamp,
            "latest_version": workflow.version if workflow is not None else 0,
        },
    )
    records.update(unit.db, KIND, ended)
    unit.after(lambda: unit.platform.timers.cancel(("canary", record.id)))
    return ended


def _health(db: sqlite3.Connection, record: Record) -> Health:
    """Look at the runs of the target version that ended since the present share began."""
    rows = db.execute(
        "SELECT status, doc ->> '$.started_at', doc ->> '$.finished_at' FROM workflow_runs "
        "WHERE workflow_id = ? AND created_at >= ? AND doc ->> '$.workflow_version' = ?",
        (record.owner_id, record.fields["step_at"], record.fields["target_version"]),
    )
    ended = [row for row in rows if row[0] in _JUDGED]
    failed = sum(status in _FAILED for status, _, _ in ended)
    return Health(failed, [_took_ns(begun, done) for _, begun, done in ended])


def _took_ns(begun: Timestamp | None, done: Timestamp | None) -> int:
    if not begun or not done:
        return 0
    return (from_timestamp(done) - from_timestamp(begun)) * _NS_PER_INSTANT


def _record(unit: Unit, record: Record, action: str) -> None:
    event = AuditEvent(
        id="",
        project_id="",
        actor_id="system:canary",
        actor_type="system",
        action=action,
        resource_type="canary_deployment",
        resource_id=record.id,
        created_at="",
        details=Raw(b'{"workflow_id":"%s"}' % record.owner_id.encode()),
    )
    audit.append(unit, record.project_id, event)
