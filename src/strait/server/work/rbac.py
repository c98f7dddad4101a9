"""What users may do: roles with what they inherit, members, and policies (`contract` §5.6)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator

from strait.server.auth import SCOPES
from strait.server.errors import ApiError
from strait.server.unit import Unit
from strait.store import records
from strait.store.records import Record

ROLE = "role"
MEMBER = "member"
RESOURCE_POLICY = "resource_policy"
TAG_POLICY = "tag_policy"
MAX_LINEAGE = 20

_READS = ("jobs:read", "runs:read", "workflows:read", "stats:read", "projects:read", "dlq:read")
SYSTEM_ROLES: dict[str, tuple[str, tuple[str, ...]]] = {
    "admin": ("everything", ("*",)),
    "operator": (
        "runs the platform: jobs, workflows and what fails",
        (
            "jobs:read", "jobs:write", "jobs:trigger", "runs:read", "runs:write", "workflows:read",
            "workflows:write", "workflows:trigger", "secrets:read", "stats:read", "rbac:manage",
            "projects:read", "projects:write", "dlq:read", "dlq:replay", "outbox:read",
            "outbox:retry", "outbox:purge",
        ),
    ),
    "viewer": ("looks and changes nothing", _READS),
    "triggerer": (
        "starts runs and looks at them",
        ("jobs:read", "jobs:trigger", "runs:read", "workflows:read", "workflows:trigger",
         "projects:read"),
    ),
}  # fmt: skip


def seed(unit: Unit, project_id: str) -> list[Record]:
    """Make the system's roles that a project lacks, and return all of them."""
    found = []
    for name, (description, permissions) in SYSTEM_ROLES.items():
        present = records.by_key(unit.db, ROLE, project_id, name)
        if present is None:
            unit.tick()
            present = Record(
                id=unit.new_id(),
                project_id=project_id,
                created_at=unit.stamp,
                updated_at=unit.stamp,
                unique_key=name,
                fields={
                    "name": name,
                    "description": description,
                    "permissions": list(permissions),
                    "is_system": True,
                },
            )
            records.insert(unit.db, ROLE, present)
        found.append(present)
    return found


def role_of(db: sqlite3.Connection, project_id: str, role_id: str) -> Record | None:
    """Return a role of a project, or None."""
    role = records.get(db, ROLE, role_id)
    return role if role is not None and role.project_id == project_id else None


def ancestors(db: sqlite3.Connection, role: Record) -> Iterator[Record]:
    """Iterate over the roles that a role inherits from, nearest first."""
    seen = {role.id}
    parent_id = str(role.fields.get("parent_role_id") or "")
    while parent_id and parent_id not in seen and len(seen) <= MAX_LINEAGE:
        parent = role_of(db, role.project_id, parent_id)
        if parent is None:
            return
        yield parent
        seen.add(parent_id)
        parent_id = str(parent.fields.get("parent_role_id") or "")


def permissions(db: sqlite3.Connection, role: Record) -> frozenset[str]:
    """Return what a role allows, with what it inherits."""
    found = set(role.fields["permissions"])
    for above in ancestors(db, role):
        found |= set(above.fields["permissions"])
    return frozenset(found)


def has_members(db: sqlite3.Connection, project_id: str) -> bool:
    """Tell whether anybody is a member of a project."""
    return bool(records.page(db, MEMBER, project_id, limit=1))


def is_member(db: sqlite3.Connection, project_id: str, user_id: str) -> bool:
    """Tell whether a user is a member of a project."""
    return records.by_key(db, MEMBER, project_id, user_id) is not None


def of_user(db: sqlite3.Connection, project_id: str, user_id: str) -> frozenset[str]:
    """Return what the role of a user allows; nothing to who is no member."""
    member = records.by_key(db, MEMBER, project_id, user_id)
    role = role_of(db, project_id, str(member.fields["role_id"])) if member else None
    return permissions(db, role) if role is not None else frozenset()


def by_policies(
    db: sqlite3.Connection, project_id: str, user_id: str, resource: tuple[str, str]
) -> frozenset[str]:
    """Return what policies allow a user to do with one resource, given as its type and id."""
    kind, resource_id = resource
    found: set[str] = set()
    matching = {"user_id": user_id, "resource_type": kind}
    exact = {**matching, "resource_id": resource_id}
    for policy in records.page(db, RESOURCE_POLICY, project_id, matching=exact):
        found |= set(policy.fields["actions"])
    tags = _tags(db, kind, resource_id)
    for policy in records.page(db, TAG_POLICY, project_id, matching=matching):
        key, value = str(policy.fields["tag_key"]), policy.fields.get("tag_value")
        if key in tags and value in {None, "", tags[key]}:
            found |= set(policy.fields["actions"])
    return frozenset(found)


_TABLES = {"job": "jobs", "workflow": "workflows", "run": "runs", "workflow_run": "workflow_runs"}
RESOURCE_TYPES = tuple(_TABLES)


def _tags(db: sqlite3.Connection, kind: str, resource_id: str) -> dict[str, str]:
    rows = db.execute(
        f"SELECT tag.key, tag.value FROM {_TABLES[kind]} AS of, json_each(of.doc, '$.tags') AS tag "
        "WHERE of.id = ?",
        (resource_id,),
    )
    return {str(key): str(value) for key, value in rows}


def check_scopes(scopes: Iterable[str], what: str = "unknown scope") -> None:
    """Check that scopes exist.

    Raises:
        ApiError: 400 naming the first that does not.
    """
    for scope in scopes:
        if scope not in SCOPES:
            quoted = f'"{scope}"' if what == "unknown scope" else scope
            raise ApiError(400, f"{what}: {quoted}")
