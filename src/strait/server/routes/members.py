"""Members of a project: users and their roles (`contract/workflows.md` §5.6)."""

from __future__ import annotations

from strait.server._generated import bodies
from strait.server.auth import check_grants, check_reach
from strait.server.errors import ApiError, not_found
from strait.server.http import NO_CONTENT, Call, Reply, reply
from strait.server.registry import Registry
from strait.server.resource import Resource
from strait.server.unit import Unit
from strait.server.work import rbac
from strait.store import records
from strait.store.records import Record

registry = Registry()

_MAX_AT_ONCE = 100

MEMBERS = Resource(
    kind=rbac.MEMBER,
    param="userID",
    list="list-members",
    shown={"user_id": "", "role_id": ""},
    optional=("granted_by",),
    unique=("user_id",),
    updated=False,
)
MEMBERS.serve(registry)


@registry.write("assign-member")
def assign(call: Call, unit: Unit) -> Reply:
    """Give a user a role, in place of the one that it has."""
    body = call.body(bodies.AssignMemberRequest)
    member = _assign(call, unit, body.user_id, body.role_id)
    return reply(MEMBERS.show(member, unit.db), 201)


@registry.write("bulk-assign-members")
def assign_many(call: Call, unit: Unit) -> Reply:
    """Give several users roles; each succeeds or fails by itself."""
    items = call.body(bodies.BulkAssignMembersRequest).items or []
    if not 1 <= len(items) <= _MAX_AT_ONCE:
        raise ApiError(400, f"items must have between 1 and {_MAX_AT_ONCE} entries")
    results = [_result(call, unit, item) for item in items]
    return reply({"results": results, "total": len(results)})


def _result(call: Call, unit: Unit, item: bodies.AssignMemberRequest) -> dict[str, str]:
    result = {"user_id": item.user_id, "role_id": item.role_id, "status": "assigned"}
    try:
        _assign(call, unit, item.user_id, item.role_id)
    except ApiError as error:
        result |= {"status": "error", "error": error.message}
    return result


@registry.write("remove-member")
def remove(call: Call, unit: Unit) -> Reply:
    """Take a user out of the project."""
    member = records.by_key(unit.db, rbac.MEMBER, call.project_id, call.params["userID"])
    if member is None:
        raise not_found("member")
    _check_reach(call, unit, member)
    if len(records.page(unit.db, rbac.MEMBER, call.project_id, limit=2)) == 1:
        # Without members every user may do everything, so who takes out the last one hands that on.
        _check_last(call)
    MEMBERS.remove(call, unit, member)
    return NO_CONTENT


def _check_last(call: Call) -> None:
    if not call.principal.grants("*"):
        raise ApiError(
            403,
            "cannot remove the last member: without members every user may do everything, "
            "which the caller may not",
        )


def _check_reach(call: Call, unit: Unit, member: Record) -> None:
    """Check that a caller takes no rights away that it could not give back.

    Raises:
        ApiError: 403 naming the first scope of the member that the caller lacks.
    """
    user_id = str(member.fields["user_id"])
    if user_id != call.principal.actor:
        held = rbac.of_user(unit.db, call.project_id, user_id)
        check_reach(call.principal, held, "a member")


def _assign(call: Call, unit: Unit, user_id: str, role_id: str) -> Record:
    if not user_id:
        raise ApiError(400, "user_id is required")
    if user_id == call.principal.actor:
        raise ApiError(403, "cannot assign a role to yourself")
    role = rbac.role_of(unit.db, call.project_id, role_id)
    if role is None:
        raise ApiError(400, "role not found")
    check_grants(call.principal, rbac.permissions(unit.db, role))
    fields = {"user_id": user_id, "role_id": role_id, "granted_by": call.principal.actor}
    present = records.by_key(unit.db, rbac.MEMBER, call.project_id, user_id)
    if present is None:
        return MEMBERS.insert(call, unit, fields)
    _check_reach(call, unit, present)
    return MEMBERS.save(call, unit, present, fields)
