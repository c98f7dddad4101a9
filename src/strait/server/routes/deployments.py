"""Deployments: what code an environment runs, promoted and rolled back (`contract` §5.2)."""

from __future__ import annotations

import sqlite3
from typing import Any

from msgspec.structs import replace

from strait.cron import CronError, duration_ns
from strait.server import within
from strait.server._generated import bodies
from strait.server.errors import ApiError, not_found
from strait.server.http import Call, Reply, reply
from strait.server.registry import Registry
from strait.server.resource import Resource
from strait.server.unit import Unit
from strait.store import records
from strait.store.records import Record

registry = Registry()

_KIND = "deployment"


def _prepare(call: Call, unit: Unit, deployment: Record) -> Record:
    fields = {**deployment.fields, "updated_by": call.principal.actor}
    if "status" not in fields:
        own = call.principal.environment_id
        if own and fields["environment"] not in within.names(unit.db, own):
            raise ApiError(403, "environment does not match the environment of the key")
        fields |= {"status": "draft", "created_by": call.principal.actor, **_strategy(fields)}
    return replace(deployment, fields=fields)


def _strategy(fields: dict[str, Any]) -> dict[str, Any]:
    strategy = fields.get("strategy") or "direct"
    if strategy not in {"direct", "canary"}:
        raise ApiError(400, 'invalid strategy: must be "direct" or "canary"')
    if strategy == "canary" and not 1 <= fields.get("canary_percent", 0) <= 99:
        raise ApiError(400, "canary strategy requires canary_percent between 1 and 99")
    checked: dict[str, Any] = {"strategy": strategy}
    if fields.get("canary_duration"):
        try:
            checked["canary_duration"] = duration_ns(fields["canary_duration"])
        except CronError as error:
            raise ApiError(
                400, "invalid canary_duration: must be a valid Go duration string"
            ) from error
    return checked


DEPLOYMENTS = Resource(
    kind=_KIND,
    param="deploymentID",
    create="create-deployment",
    shown={"environment": "", "runtime": "", "artifact_uri": "", "status": "", "strategy": ""},
    optional=(
        "manifest", "checksum", "canary_percent", "canary_duration", "finalized_at", "promoted_at",
        "rollback_from_deployment_id", "created_by", "updated_by",
    ),
    prepare=_prepare,
)  # fmt: skip
DEPLOYMENTS.serve(registry)


@registry.read("list-deployments")
def list_all(call: Call, db: sqlite3.Connection) -> Reply:
    """List the deployments of the project or of an environment of it, newest first."""
    asked, own = call.query.get("environment"), call.principal.environment_id
    matching: dict[str, frozenset[str]] = {"environment": frozenset({str(asked)})} if asked else {}
    if own:
        allowed = within.names(db, own)
        matching["environment"] = matching.get("environment", allowed) & allowed
    return DEPLOYMENTS.listing(call, db, matching)


@registry.write("finalize-deployment")
def finalize(call: Call, unit: Unit) -> Reply:
    """Close a draft; what is promoted stays so."""
    deployment, _ = _named(call, unit)
    if deployment.fields["status"] != "draft":
        return reply(DEPLOYMENTS.show(deployment, unit.db))
    fields = {"status": "finalized", "finalized_at": unit.stamp}
    return reply(DEPLOYMENTS.show(DEPLOYMENTS.save(call, unit, deployment, fields), unit.db))


@registry.write("promote-deployment")
def promote(call: Call, unit: Unit) -> Reply:
    """Make a deployment the one of its environment."""
    deployment, environment = _named(call, unit)
    _step_down(call, unit, environment, besides=deployment.id)
    return reply(DEPLOYMENTS.show(_promoted(call, unit, deployment, {}), unit.db))


@registry.write("rollback-deployment")
def roll_back(call: Call, unit: Unit) -> Reply:
    """Go back to an earlier deployment, and say which one that was left."""
    deployment, environment = _named(call, unit)
    if deployment.fields["status"] == "promoted":
        # The answer to it was lost; what was left is still what it was.
        return reply(DEPLOYMENTS.show(deployment, unit.db))
    left = _step_down(call, unit, environment, besides=deployment.id)
    fields = {"rollback_from_deployment_id": left}
    return reply(DEPLOYMENTS.show(_promoted(call, unit, deployment, fields), unit.db))


def _named(call: Call, unit: Unit) -> tuple[Record, str]:
    body = call.body(bodies.DeploymentVersionMutationRequest)
    if body.project_id != call.project_id:
        raise ApiError(403, "project_id does not match authenticated project")
    own = call.principal.environment_id
    if own and body.environment not in within.names(unit.db, own):
        raise not_found("deployment version")
    deployment = records.get(unit.db, _KIND, call.params["deploymentID"])
    wanted = (call.project_id, body.environment)
    if deployment is None or (deployment.project_id, deployment.fields["environment"]) != wanted:
        raise not_found("deployment version")
    return deployment, body.environment


def _step_down(call: Call, unit: Unit, environment: str, *, besides: str) -> str:
    """Have the promoted deployment of an environment make room; return its id, or ""."""
    wanted = {"environment": environment, "status": "promoted"}
    left = ""
    for each in records.page(unit.db, _KIND, call.project_id, matching=wanted):
        if each.id != besides:
            left = each.id
            DEPLOYMENTS.save(call, unit, each, {"status": "finalized", "promoted_at": ""})
    return left


def _promoted(call: Call, unit: Unit, deployment: Record, fields: dict[str, Any]) -> Record:
    finalized = deployment.fields.get("finalized_at") or unit.stamp
    changes = {"status": "promoted", "promoted_at": unit.stamp, "finalized_at": finalized}
    return DEPLOYMENTS.save(call, unit, deployment, {**changes, **fields})
