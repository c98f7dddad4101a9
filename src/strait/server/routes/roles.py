"""Roles: named sets of scopes that inherit from each other (`contract/workflows.md` §5.6)."""

from __future__ import annotations

import sqlite3

from msgspec.structs import replace

from strait.server._generated import bodies
from strait.server.auth import check_grants, check_reach
from strait.server.errors import ApiError, invalid
from strait.server.http import Call, Reply, reply
from strait.server.registry import Registry
from strait.server.resource import Resource, given
from strait.server.unit import Unit
from strait.server.work import rbac
from strait.store import records
from strait.store.records import Record

registry = Registry()


def _prepare(call: Call, unit: Unit, role: Record) -> Record:
    wanted = role.fields.get("permissions") or []
    if not wanted:
        raise invalid("permissions: failed on 'min'")
    rbac.check_scopes(wanted)
    _check_parent(unit, role)
    check_grants(call.principal, rbac.permissions(unit.db, role))
    return replace(role, fields={**role.fields, "permissions": list(dict.fromkeys(wanted))})


def _check_parent(unit: Unit, role: Record) -> None:
    parent_id = str(role.fields.get("parent_role_id") or "")
    if not parent_id:
        return
    parent = rbac.role_of(unit.db, role.project_id, parent_id)
    if parent is None:
        raise ApiError(400, "parent role not found")
    above = [parent.id, *(each.id for each in rbac.ancestors(unit.db, parent))]
    if role.id in above:
        raise ApiError(400, "role cannot inherit from itself")
    below = records.levels_below(unit.db, rbac.ROLE, role.project_id, "parent_role_id", role.id)
    if len(above) + below > rbac.MAX_LINEAGE:
        raise ApiError(400, f"roles inherit at most {rbac.MAX_LINEAGE} levels deep")


def _removing(call: Call, unit: Unit, role: Record) -> None:
    del call
    for kind, name, who in (
        (rbac.MEMBER, "role_id", "members have it: give them another role first"),
        (rbac.ROLE, "parent_role_id", "other roles inherit from it"),
    ):
        if records.page(unit.db, kind, role.project_id, matching={name: role.id}, limit=1):
            raise ApiError(400, f"role cannot be deleted: {who}")


ROLES = Resource(
    kind=rbac.ROLE,
    param="roleID",
    create="create-role",
    list="list-roles",
    shown={"name": "", "permissions": [], "is_system": False},
    optional=("description", "parent_role_id"),
    unique=("name",),
    given_project=False,
    prepare=_prepare,
    removing=_removing,
)
ROLES.serve(registry)


@registry.read("get-role")
def get(call: Call, db: sqlite3.Connection) -> Reply:
    """Show a role, and those that it inherits from where they are asked for."""
    role = ROLES.find(db, call)
    if not call.query.get("include_lineage"):
        return reply(ROLES.show(role, db))
    lineage = [ROLES.show(each, db) for each in rbac.ancestors(db, role)]
    return reply({"role": ROLES.show(role, db), "lineage": lineage})


@registry.write("update-role")
def update(call: Call, unit: Unit) -> Reply:
    """Replace name, description, scopes and parent of a role."""
    role = _own(call, unit)
    body = call.body(bodies.UpdateRoleRequest)
    fields = {"description": "", "parent_role_id": "", **given(body)}
    return reply(ROLES.show(ROLES.save(call, unit, role, fields), unit.db))


@registry.write("delete-role")
def delete(call: Call, unit: Unit) -> Reply:
    """Delete a role that nobody has and nothing inherits from."""
    ROLES.remove(call, unit, _own(call, unit))
    return Reply(204)


@registry.write("seed-system-roles")
def seed(call: Call, unit: Unit) -> Reply:
    """Make the system's roles that the project lacks."""
    return reply([ROLES.show(role, unit.db) for role in rbac.seed(unit, call.project_id)])


def _own(call: Call, unit: Unit) -> Record:
    role = rbac.role_of(unit.db, call.project_id, call.params["roleID"])
    if role is None or role.fields.get("is_system"):
        raise ApiError(404, "role not found or is a system role")
    check_reach(call.principal, rbac.permissions(unit.db, role), "a role")
    return role
