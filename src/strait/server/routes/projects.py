"""Projects and their settings."""

from __future__ import annotations

import sqlite3

from strait.server import checks
from strait.server._generated import bodies
from strait.server.errors import ApiError, not_found
from strait.server.http import NO_CONTENT, Call, Reply, reply
from strait.server.registry import Registry
from strait.server.unit import Unit
from strait.server.work import api_keys, device_codes, rbac
from strait.store import meta

registry = Registry()


@registry.write("create-project")
def create(call: Call, unit: Unit) -> Reply:
    """Make a project, or rename the one that is there."""
    if not call.principal.internal:
        raise ApiError(403, "project creation requires internal secret")
    body = call.body(bodies.CreateProjectRequest)
    present = meta.get_project(unit.db, body.id)
    if present is not None and present.org_id != body.org_id:
        raise ApiError(409, "project already exists in a different organization")
    if present is None:
        _check_name_is_free(unit, body.id, body.org_id)
    project = meta.Project(
        id=body.id,
        org_id=body.org_id,
        name=body.name,
        created_at=unit.stamp if present is None else present.created_at,
        updated_at=unit.stamp,
    )
    meta.put_project(unit.db, project)
    rbac.seed(unit, project.id)
    return reply(project, 201)


def _check_name_is_free(unit: Unit, project_id: str, org_id: str) -> None:
    """Check that no other organization had a project of this name: its history is still there."""
    if meta.get_meta(unit.db, _owner(project_id)) not in {None, org_id}:
        raise ApiError(409, "project existed in a different organization")


@registry.read("list-projects")
def list_all(call: Call, db: sqlite3.Connection) -> Reply:
    """List the projects of an organization."""
    if not call.principal.internal:
        raise ApiError(403, "project listing requires internal secret")
    org_id = call.query.get("org_id")
    if not org_id:
        raise ApiError(400, "org_id is required")
    return reply(meta.projects_of(db, org_id))


@registry.read("get-project")
def get(call: Call, db: sqlite3.Connection) -> Reply:
    """Show the caller's project."""
    project_id = _own(call)
    project = meta.get_project(db, project_id)
    if project is None:
        raise not_found("project")
    return reply(project)


@registry.write("delete-project")
def delete(call: Call, unit: Unit) -> Reply:
    """Delete a project that has no jobs left, and end its keys and those that were promised."""
    if not call.principal.internal:
        raise ApiError(403, "project deletion requires internal secret")
    project_id = call.params["projectID"]
    row = unit.db.execute(
        "SELECT 1 FROM jobs WHERE project_id = ? UNION ALL "
        "SELECT 1 FROM workflows WHERE project_id = ? LIMIT 1",
        (project_id, project_id),
    ).fetchone()
    if row is not None:
        raise ApiError(409, "project has jobs or workflows -- delete them first")
    project = meta.get_project(unit.db, project_id)
    if project is None:
        raise not_found("project")
    for key in meta.keys_of(unit.db, project_id, before=checks.END_OF_TIME, limit=-1):
        api_keys.revoke(unit, key)
    device_codes.forget(unit, project_id)
    meta.set_meta(unit.db, _owner(project_id), project.org_id)
    meta.delete_project(unit.db, project_id)
    return NO_CONTENT


@registry.read("get-project-settings")
def get_settings(call: Call, db: sqlite3.Connection) -> Reply:
    """Show the settings of the caller's project."""
    return reply(_settings(db, _own(call)))


@registry.write("update-project-settings")
def put_settings(call: Call, unit: Unit) -> Reply:
    """Change the settings of the caller's project."""
    project_id = _own(call)
    body = call.body(bodies.UpdateProjectSettingsRequest)
    value = "" if body.max_key_lifetime_days is None else str(body.max_key_lifetime_days)
    meta.set_meta(unit.db, api_keys.lifetime_setting(project_id), value)
    return reply(_settings(unit.db, project_id))


def _settings(db: sqlite3.Connection, project_id: str) -> dict[str, object]:
    return {
        "project_id": project_id,
        "plan_tier": "free",
        "max_key_lifetime_days": api_keys.max_lifetime_days(db, project_id),
    }


def _owner(project_id: str) -> str:
    return f"project:{project_id}:organization"


def _own(call: Call) -> str:
    project_id = call.params["projectID"]
    bare = call.principal.internal and not call.project_id
    if not bare and project_id != call.project_id:
        raise ApiError(403, "access denied")
    return project_id
