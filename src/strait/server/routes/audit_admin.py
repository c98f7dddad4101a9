"""What the owner of the platform sets about audit logs: retention, keys, and size of downloads."""

from __future__ import annotations

import sqlite3

from strait.server._generated import bodies
from strait.server.errors import ApiError, not_found
from strait.server.http import Call, Reply, reply
from strait.server.registry import Registry
from strait.server.unit import Unit
from strait.server.work import audit as log
from strait.store import meta

registry = Registry()

_MAX_RETENTION_DAYS = 3_650
_MAX_EXPORT_ROWS = 1_000_000


@registry.read("get-audit-retention")
def retention(call: Call, db: sqlite3.Connection) -> Reply:
    """Show how long the events of a project are kept."""
    project_id = _project(call, db)
    days = log.retention_days(db, project_id)
    return reply(
        {
            "project_id": project_id,
            "days": days or log.DEFAULT_RETENTION_DAYS,
            "inherited_from_default": days is None,
        }
    )


@registry.write("set-audit-retention")
def set_retention(call: Call, unit: Unit) -> Reply:
    """Set how long the events of a project are kept; older ones go at the next round."""
    project_id = _project(call, unit.db)
    days = call.body(bodies.SetAuditRetentionRequest).days or 0
    if not 1 <= days <= _MAX_RETENTION_DAYS:
        raise ApiError(400, f"days must be between 1 and {_MAX_RETENTION_DAYS}")
    log.set_retention_days(unit.db, project_id, days)
    return reply({"project_id": project_id, "days": days})


@registry.write("update-audit-export-cap")
def set_export_cap(call: Call, unit: Unit) -> Reply:
    """Set how many events one download may hold."""
    project_id = _project(call, unit.db)
    rows = call.body(bodies.UpdateAuditExportCapRequest).row_cap or 0
    if not 1 <= rows <= _MAX_EXPORT_ROWS:
        raise ApiError(400, f"row_cap must be between 1 and {_MAX_EXPORT_ROWS}")
    log.set_export_cap(unit.db, project_id, rows)
    return reply({"project_id": project_id, "row_cap": rows})


@registry.write("rotate-audit-signing-key")
def rotate(call: Call, unit: Unit) -> Reply:
    """Sign with a new key from now on; what is signed already stays so."""
    previous, new = log.rotate(unit, _project(call, unit.db))
    return reply({"previous_epoch": previous, "new_epoch": new})


# Events are written in the transaction of what they record: where one cannot be written, nothing
# was done. So no event is ever left over here, and there is none to replay or to drop.


@registry.read("list-audit-deadletter")
def dead_letters(call: Call, db: sqlite3.Connection) -> Reply:
    """List the events that could not be written: none."""
    _require_internal(call)
    return reply({"entries": []})


@registry.write("replay-audit-deadletter")
def replay(call: Call, unit: Unit) -> Reply:
    """Write an event that could not be written: there is none."""
    _require_internal(call)
    raise not_found("audit dead letter")


@registry.write("drop-audit-deadletter")
def drop(call: Call, unit: Unit) -> Reply:
    """Drop an event that could not be written: there is none."""
    _require_internal(call)
    if not call.query.get("reason"):
        raise ApiError(400, "reason is required")
    raise not_found("audit dead letter")


def _require_internal(call: Call) -> None:
    if not call.principal.internal:
        raise ApiError(403, "audit administration requires internal secret")


def _project(call: Call, db: sqlite3.Connection) -> str:
    _require_internal(call)
    project_id = call.params["id"]
    if meta.get_project(db, project_id) is None:
        raise not_found("project")
    return project_id
