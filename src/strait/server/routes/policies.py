"""Policies: what a user may do with one resource, or with all that have a tag (`contract` §5.6)."""

from __future__ import annotations

from msgspec.structs import replace

from strait.server.auth import check_grants
from strait.server.decode import decode_body
from strait.server.errors import ApiError, invalid
from strait.server.http import Call, Reply, reply
from strait.server.registry import Registry, Write
from strait.server.resource import Resource, given
from strait.server.unit import Unit
from strait.server.work import rbac
from strait.store import records
from strait.store.records import Record

registry = Registry()


def _prepare(call: Call, unit: Unit, policy: Record) -> Record:
    del unit
    if policy.fields["resource_type"] not in rbac.RESOURCE_TYPES:
        raise ApiError(400, f"resource_type must be one of {', '.join(rbac.RESOURCE_TYPES)}")
    actions = policy.fields.get("actions") or []
    if not actions:
        raise invalid("actions: failed on 'min'")
    rbac.check_scopes(actions, "invalid action")
    check_grants(call.principal, frozenset(actions))
    return replace(policy, fields={**policy.fields, "actions": list(dict.fromkeys(actions))})


RESOURCE_POLICIES = Resource(
    kind=rbac.RESOURCE_POLICY,
    param="policyID",
    list="list-resource-policies",
    delete="delete-resource-policy",
    shown={"resource_type": "", "resource_id": "", "user_id": "", "actions": []},
    unique=("resource_type", "resource_id", "user_id"),
    filters=("resource_type", "resource_id"),
    updated=False,
    prepare=_prepare,
)
TAG_POLICIES = Resource(
    kind=rbac.TAG_POLICY,
    param="policyID",
    list="list-tag-policies",
    delete="delete-tag-policy",
    shown={"resource_type": "", "user_id": "", "tag_key": "", "actions": []},
    optional=("tag_value",),
    unique=("resource_type", "user_id", "tag_key", "tag_value"),
    filters=("resource_type", "user_id"),
    updated=False,
    prepare=_prepare,
)


def _upsert(policies: Resource) -> Write:
    def put(call: Call, unit: Unit) -> Reply:
        """Make a policy, or give the one for the same user and resource other actions."""
        body = decode_body(call.route, call.body_bytes)
        fields = given(body)
        if fields.pop("project_id", "") != call.project_id:
            raise ApiError(403, "project_id does not match authenticated project")
        key = policies.key(fields)
        present = records.by_key(unit.db, policies.kind, call.project_id, key)
        if present is None:
            made = policies.insert(call, unit, fields)
        else:
            made = policies.save(call, unit, present, fields)
        return reply(policies.show(made, unit.db), 201)

    return put


for _operation, _policies in (
    ("create-resource-policy", RESOURCE_POLICIES),
    ("create-tag-policy", TAG_POLICIES),
):
    _policies.serve(registry)
    registry.write(_operation)(_upsert(_policies))
