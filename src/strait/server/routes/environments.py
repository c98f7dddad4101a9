"""Environments: variables under a name, inherited from a parent (`contract/workflows.md` §5.3)."""

from __future__ import annotations

import sqlite3
from typing import Any

from strait.server import addresses
from strait.server.checks import END_OF_TIME
from strait.server.decode import decode_body
from strait.server.errors import ApiError, not_found
from strait.server.http import Call, Reply, page, reply
from strait.server.platform import Platform
from strait.server.registry import Registry
from strait.server.resource import Resource, given
from strait.server.unit import Unit
from strait.server.work import environments
from strait.store import jobs, records
from strait.store.records import Record

registry = Registry()


# By its names it is found where one is named freely, and from its parent it gets what that has.
_PLACE = ("name", "slug", "parent_id")


def _prepare(call: Call, unit: Unit, environment: Record) -> Record:
    if call.principal.environment_id:
        _check_bound(unit, environment)
    asked = decode_body(call.route, call.body_bytes)
    variables = given(asked).get("variables")
    if variables is not None and not call.principal.grants("secrets:write"):
        raise ApiError(403, "environment variables require secrets:write")
    if variables and variables.get("ENDPOINT_URL"):
        # Jobs would go on at their own address, as if it had not been given.
        addresses.endpoint(variables["ENDPOINT_URL"], "ENDPOINT_URL", unit.platform.reach)
    parent_id = str(environment.fields.get("parent_id") or "")
    if parent_id == environment.id:
        raise ApiError(400, "environment cannot inherit from itself")
    if parent_id:
        _check_parent(call, unit, environment, parent_id)
    return environment


def _check_bound(unit: Unit, environment: Record) -> None:
    """Check that a key of one environment does not make it another, or the heir of another."""
    present = records.get(unit.db, environments.ENVIRONMENT, environment.id)
    if present is None:
        raise ApiError(403, "an environment-scoped key cannot create environments")
    for name in _PLACE:
        if (environment.fields.get(name) or "") != (present.fields.get(name) or ""):
            raise ApiError(403, f"an environment-scoped key cannot change {name}")


def _check_parent(call: Call, unit: Unit, environment: Record, parent_id: str) -> None:
    parent = records.get(unit.db, environments.ENVIRONMENT, parent_id)
    if parent is None or parent.project_id != call.project_id:
        raise not_found("parent environment")
    above = [each.id for each in environments.lineage(unit.db, parent)]
    if environment.id in above:
        raise ApiError(400, "environment cannot inherit from one that inherits from it")
    below = records.levels_below(
        unit.db, environments.ENVIRONMENT, call.project_id, "parent_id", environment.id
    )
    if len(above) + 1 + below > environments.MAX_DEPTH:
        raise ApiError(400, f"environments inherit at most {environments.MAX_DEPTH} levels deep")


def _removing(call: Call, unit: Unit, environment: Record) -> None:
    if call.principal.environment_id:
        raise ApiError(403, "an environment-scoped key cannot delete environments")
    if environment.fields.get("is_standard"):
        raise ApiError(403, "cannot delete standard environment")
    children = records.page(
        unit.db,
        environments.ENVIRONMENT,
        environment.project_id,
        matching={"parent_id": environment.id},
        limit=1,
    )
    if children:
        raise ApiError(409, f"environment {children[0].fields['slug']!r} inherits from it")
    inside = jobs.page(
        unit.db, environment.project_id, environment_id=environment.id, before=END_OF_TIME, limit=1
    )
    if inside:
        # It would go on, without the variables and the secrets that it counts on.
        raise ApiError(409, f"job {inside[0].slug!r} runs in it; move or delete that first")


def _view(environment: Record, db: sqlite3.Connection) -> dict[str, Any]:
    """Show an environment; values never leave but through its variables."""
    del db
    fields = environment.fields
    shown: dict[str, Any] = {
        "id": environment.id,
        "project_id": environment.project_id,
        "name": fields.get("name", ""),
        "slug": fields.get("slug", ""),
        "is_standard": bool(fields.get("is_standard")),
        "created_at": environment.created_at,
        "updated_at": environment.updated_at,
    }
    if fields.get("parent_id"):
        shown["parent_id"] = fields["parent_id"]
    if fields.get("variables"):
        shown["variable_keys"] = sorted(fields["variables"])
    return shown


ENVIRONMENTS = Resource(
    kind=environments.ENVIRONMENT,
    param="envID",
    create="create-environment",
    update="update-environment",
    delete="delete-environment",
    redacted=("variables",),
    unique=("slug",),
    prepare=_prepare,
    removing=_removing,
    changed=lambda _call, unit, _record: environments.changed(unit),
    view=_view,
)
ENVIRONMENTS.serve(registry)


@registry.read("list-environments")
def list_all(call: Call, db: sqlite3.Connection) -> Reply:
    """List the environments of the project, newest first; a key of one sees that one."""
    own = records.get(db, environments.ENVIRONMENT, call.principal.environment_id)
    if call.principal.environment_id:
        return page([] if own is None else [ENVIRONMENTS.show(own, db)], 1, str)
    return ENVIRONMENTS.listing(call, db, {})


@registry.read("get-environment")
def get(call: Call, db: sqlite3.Connection) -> Reply:
    """Show an environment, with the keys that it inherits."""
    environment = ENVIRONMENTS.find(db, call)
    shown = ENVIRONMENTS.show(environment, db)
    keys = {
        key
        for each in environments.lineage(db, environment)
        for key in each.fields.get("variables", {})
    }
    if keys:
        shown["resolved_variable_keys"] = sorted(keys)
    return reply(shown)


@registry.other("get-resolved-variables")
async def resolved(call: Call, platform: Platform) -> Reply:
    """Give out the variables of an environment, those that it inherits included."""
    environment = ENVIRONMENTS.find(platform.reader, call)
    return reply(
        {"variables": environments.variables(platform.reader, platform.vault, environment)}
    )
