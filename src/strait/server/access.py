"""Whether a caller may do what it asks for: scopes, roles, policies, and keys of one environment.

An internal caller is trusted. When it names a user (`X-Actor-Id`) in a project that has members, it
acts as that user and may do what the user may: what its role allows, and what policies add for the
resource that the path names. Policies never add anything to an API key.
"""

from __future__ import annotations

import sqlite3
from dataclasses import replace

from strait.server.errors import ApiError, not_found
from strait.server.http import Call
from strait.server.work import environments, rbac
from strait.store import meta, records, workflows

_RESOURCES = {"jobID": "job", "workflowID": "workflow", "runID": "run",
              "workflowRunID": "workflow_run"}  # fmt: skip
# These reach over all jobs of a project, whose environments a key of one must not touch.
_WIDE = ("batch-", "bulk-cancel", "bulk-replay", "export-", "purge-event", "list-dead-letter",
         "stream-project")  # fmt: skip


def check(call: Call, db: sqlite3.Connection) -> None:
    """Check a call before anything of it is read or done.

    Raises:
        ApiError: 403 naming what is missing; 404 for what is outside of the key's environment.
    """
    principal = call.principal
    if principal.actor_type == "user" and principal.project_id:
        if rbac.has_members(db, principal.project_id):
            call.principal = replace(principal, scopes=_scopes_of_user(call, db))
    elif principal.environment_id:
        _check_environment(call, db)
    call.principal.require(call.route.permission or None)


def _scopes_of_user(call: Call, db: sqlite3.Connection) -> frozenset[str]:
    project_id, user_id = call.project_id, call.principal.actor
    scopes = rbac.of_user(db, project_id, user_id)
    for param, kind in _RESOURCES.items():
        if param in call.params:
            scopes |= rbac.by_policies(db, project_id, user_id, (kind, call.params[param]))
    return scopes


def _check_environment(call: Call, db: sqlite3.Connection) -> None:
    own = call.principal.environment_id
    if call.route.id.startswith(_WIDE):
        raise ApiError(403, f"{call.route.id} requires a project-wide key")
    params = call.params
    if "jobID" in params and _environment_of_job(db, params["jobID"]) != own:
        raise not_found("job")
    if "runID" in params and _environment_of_run(db, params["runID"]) != own:
        raise not_found("run")
    if "workflowID" in params and _reaches_outside(db, params["workflowID"], own):
        raise not_found("workflow")
    if "workflowRunID" in params and _reaches_outside(
        db, _workflow_of_run(db, params["workflowRunID"]), own
    ):
        raise not_found("workflow run")
    if "envID" in params and params["envID"] != own:
        raise not_found("environment")
    if "keyID" in params and _environment_of_key(db, params["keyID"]) != own:
        raise not_found("api key")
    if "secretID" in params and _environment_of_secret(db, params["secretID"]) != own:
        raise not_found("secret")


def _environment_of_job(db: sqlite3.Connection, job_id: str) -> str:
    row = db.execute("SELECT doc ->> '$.environment_id' FROM jobs WHERE id = ?", (job_id,))
    return str((row.fetchone() or ("",))[0] or "")


def _workflow_of_run(db: sqlite3.Connection, run_id: str) -> str:
    row = db.execute("SELECT workflow_id FROM workflow_runs WHERE id = ?", (run_id,)).fetchone()
    return str(row[0]) if row is not None else ""


def _reaches_outside(db: sqlite3.Connection, workflow_id: str, environment_id: str) -> bool:
    """Say whether a workflow has a job of another environment, below its sub-workflows too.

    Workflows belong to no environment; one that did would be a way around the key's.
    """
    seen: set[str] = set()
    to_look_at = [workflow_id]
    while to_look_at:
        workflow = workflows.get(db, to_look_at.pop())
        if workflow is None or workflow.id in seen:
            continue
        seen.add(workflow.id)
        for step in workflows.steps(db, workflow):
            if step.job_id and _environment_of_job(db, step.job_id) != environment_id:
                return True
            if step.sub_workflow_id:
                to_look_at.append(step.sub_workflow_id)
    return False


def _environment_of_secret(db: sqlite3.Connection, secret_id: str) -> str:
    secret = records.get(db, environments.SECRET, secret_id)
    return str(secret.fields["environment"]) if secret is not None else ""


def _environment_of_key(db: sqlite3.Connection, key_id: str) -> str:
    key = meta.key_by_id(db, key_id)
    return key.environment_id if key is not None else ""


def _environment_of_run(db: sqlite3.Connection, run_id: str) -> str:
    row = db.execute("SELECT job_id FROM runs WHERE id = ?", (run_id,)).fetchone()
    return _environment_of_job(db, row[0]) if row is not None else ""
