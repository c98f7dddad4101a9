"""The limits that a project sets to its workflows (`contract/workflows.md` §1.5)."""

from __future__ import annotations

import sqlite3

from msgspec import Struct, json

from strait.clock import Timestamp
from strait.engine.workflows.policies import Policy
from strait.store import meta


class StoredPolicy(Struct, frozen=True, kw_only=True):
    """A policy as the API shows it (`WorkflowPolicy`)."""

    id: str
    project_id: str
    max_fan_out: int
    max_depth: int
    forbidden_step_types: tuple[str, ...]
    require_approval_for_deploy: bool
    created_at: Timestamp
    updated_at: Timestamp


def load(db: sqlite3.Connection, project_id: str) -> StoredPolicy | None:
    """Return the policy of a project, or None."""
    text = meta.get_meta(db, _name(project_id))
    return json.decode(text, type=StoredPolicy) if text else None


def save(db: sqlite3.Connection, policy: StoredPolicy) -> None:
    """Write the policy of a project."""
    meta.set_meta(db, _name(policy.project_id), json.encode(policy).decode())


def of_project(db: sqlite3.Connection, project_id: str) -> Policy | None:
    """Return the limits of a project, or None without any."""
    stored = load(db, project_id)
    if stored is None:
        return None
    return Policy(
        max_fan_out=stored.max_fan_out,
        max_depth=stored.max_depth,
        forbidden_step_types=stored.forbidden_step_types,
        require_approval_for_deploy=stored.require_approval_for_deploy,
    )


def _name(project_id: str) -> str:
    return f"project:{project_id}:workflow_policy"
