"""Canaries of workflows: begun, moved, and rolled back (`contract/workflows.md` §5.1)."""

from __future__ import annotations

import sqlite3
from typing import Any

from msgspec import to_builtins

from strait.engine.model import Workflow
from strait.server import within
from strait.server._generated import bodies
from strait.server.errors import ApiError, not_found
from strait.server.http import Call, Reply, reply
from strait.server.registry import Registry
from strait.server.routes.workflows import find
from strait.server.unit import Unit
from strait.server.work import canaries
from strait.store import workflows as definitions
from strait.store.records import Record

registry = Registry()

# What is looked at more often would do nothing else.
_SECOND_NS = 10**9


@registry.write("create-canary-deployment")
def create(call: Call, unit: Unit) -> Reply:
    """Send a share of the runs of a workflow to another version.

    One that goes on by itself begins with the first of its steps, unless the request says where.
    """
    body = call.body(bodies.CreateCanaryDeploymentRequest)
    if body.source_version == body.target_version:
        raise ApiError(400, "source and target versions must be different")
    workflow = definitions.get(unit.db, body.workflow_id)
    if workflow is None or workflow.project_id != call.project_id:
        raise not_found("workflow")
    own = call.principal.environment_id
    if own and not within.workflow(unit.db, workflow.id, own):
        raise not_found("workflow")
    for number in (body.source_version, body.target_version):
        if definitions.at_version(unit.db, workflow.id, number) is None:
            raise ApiError(400, f"the workflow has no version {number}")
    fields: dict[str, Any] = {
        "source_version": body.source_version,
        "target_version": body.target_version,
        "traffic_pct": body.traffic_pct or 0,
    }
    if body.auto_promote is not None:
        config = fields["auto_promote_config"] = _auto_promote(body.auto_promote)
        # Where nothing runs there is nothing to go by: it would stay at nothing for ever.
        if config.get("enabled") and not config["steps"] and not body.traffic_pct:
            raise ApiError(
                400, "auto_promote needs `steps`, or a `traffic_pct` above 0 to be promoted from"
            )
        if body.traffic_pct is None and config.get("enabled"):
            fields["traffic_pct"] = config["steps"][0]
    try:
        record = canaries.begin(unit, workflow, fields)
    except sqlite3.IntegrityError as error:
        raise ApiError(
            409, "an active canary deployment already exists for this workflow"
        ) from error
    return reply(_view(record), 201)


@registry.read("get-canary-status")
def get(call: Call, db: sqlite3.Connection) -> Reply:
    """Show the canary that is active."""
    return reply(_view(_active(db, find(call, db))))


@registry.write("update-canary-deployment")
def update(call: Call, unit: Unit) -> Reply:
    """Give the canary another share; everything completes it."""
    record = _active(unit.db, find(call, unit.db))
    share = call.body(bodies.UpdateCanaryRequest).traffic_pct
    if share is None:
        raise ApiError(400, "traffic_pct is required")
    return reply(_view(canaries.move(unit, record, share)))


@registry.write("rollback-canary-deployment")
def roll_back(call: Call, unit: Unit) -> Reply:
    """End the canary; all runs follow the source version again."""
    workflow = find(call, unit.db)
    canaries.roll_back(unit, _active(unit.db, workflow))
    return reply({"workflow_id": workflow.id, "traffic_pct": 0, "status": "rolled_back"})


def _active(db: sqlite3.Connection, workflow: Workflow) -> Record:
    record = canaries.newest(db, workflow.id)
    if record is None or not canaries.is_active(record):
        raise ApiError(404, "no active canary deployment found for this workflow")
    return record


def _auto_promote(config: bodies.AutoPromoteConfig) -> dict[str, Any]:
    steps = list(config.steps or ())
    if any(not 1 <= step <= 100 for step in steps) or steps != sorted(set(steps)):
        raise ApiError(400, "auto_promote.steps must be percentages that grow, from 1 to 100")
    if config.interval and config.interval < _SECOND_NS:
        raise ApiError(
            400, f"auto_promote.interval is in nanoseconds: at least {_SECOND_NS}, which is 1 s"
        )
    if not 0 <= (config.failure_rate_threshold or 0) <= 100:
        raise ApiError(400, "auto_promote.failure_rate_threshold must be a percentage")
    if (config.latency_p99_threshold or 0) < 0:
        raise ApiError(400, "auto_promote.latency_p99_threshold must not be negative")
    given = {name: getattr(config, name) for name in config.__struct_fields__}
    kept: dict[str, Any] = to_builtins({k: v for k, v in given.items() if v is not None})
    return {**kept, "steps": steps}


def _view(record: Record) -> dict[str, Any]:
    fields = record.fields
    shown = {
        "id": record.id,
        "workflow_id": record.owner_id,
        "project_id": record.project_id,
        "source_version": fields["source_version"],
        "target_version": fields["target_version"],
        "traffic_pct": fields["traffic_pct"],
        "status": fields["status"],
        "created_at": record.created_at,
        "updated_at": record.updated_at,
    }
    optional = ("auto_promote_config", "completed_at")
    return shown | {name: fields[name] for name in optional if fields.get(name)}
