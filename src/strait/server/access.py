"""Whether a caller may do what it asks for: scopes, roles, policies, and keys of one environment.

An internal caller is trusted. When it names a user (`X-Actor-Id`) in a project that has members, it
acts as that user and may do what the user may: what its role allows, and what policies add for the
resource that the path names. Policies never add anything to an API key, nor to who is no member.
"""

from __future__ import annotations

import sqlite3
from dataclasses import replace

from strait.server import within
from strait.server.errors import ApiError, not_found
from strait.server.http import Call
from strait.server.work import environments, rbac
from strait.store import meta, records, triggers

_RESOURCES = {"jobID": "job", "workflowID": "workflow", "runID": "run",
              "workflowRunID": "workflow_run"}  # fmt: skip
# These reach over all jobs of a project, whose environments a key of one must not touch: they count
# or change what is everybody's, or tell of it without saying whose it is.
_WIDE = (
    "admin-", "batch-", "bulk-cancel", "bulk-replay", "export-", "get-audit-event",
    "get-batch-operation", "get-event-trigger-stats", "get-job-group-stats", "get-stats",
    "get-webhook-delivery", "list-audit-", "list-batch-operations", "list-dead-letter",
    "list-jobs-by-group", "list-notification-deliveries", "list-resource-policies",
    "list-webhook-deliveries", "pause-all-jobs", "purge-event", "replay-webhook-delivery",
    "resume-all-jobs", "retry-webhook-delivery", "stream-project", "unrouted-webhooks-",
)  # fmt: skip
_WIDE_PATHS = ("/v1/analytics/", "/v1/usage/")
# So do these changes: who is told of all runs, who may do what, and what everybody shares.
_WIDE_CHANGES = frozenset(
    {
        "create-webhook-subscription", "delete-webhook-subscription", "rotate-webhook-secret",
        "create-notification-channel", "update-notification-channel",
        "delete-notification-channel", "create-log-drain", "update-log-drain", "delete-log-drain",
        "create-role", "update-role", "delete-role", "seed-system-roles", "assign-member",
        "bulk-assign-members", "remove-member", "create-resource-policy", "delete-resource-policy",
        "create-tag-policy", "delete-tag-policy", "update-event-source", "delete-event-source",
        "put-throttle", "delete-throttle", "update-project-settings", "update-project-budget",
        "update-spending-limit", "update-anomaly-config",
    }
)  # fmt: skip


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
    if not rbac.is_member(db, project_id, user_id):
        return frozenset()
    scopes = rbac.of_user(db, project_id, user_id)
    for param, kind in _RESOURCES.items():
        if param in call.params:
            scopes |= rbac.by_policies(db, project_id, user_id, (kind, call.params[param]))
    return scopes


def _check_environment(call: Call, db: sqlite3.Connection) -> None:
    own = call.principal.environment_id
    if _is_wide(call):
        raise ApiError(403, f"{call.route.id} requires a project-wide key")
    params = call.params
    for param, (is_within, what) in _WITHIN.items():
        if param in params and not is_within(db, params[param], own):
            raise not_found(what)
    if "envID" in params and params["envID"] != own:
        raise not_found("environment")
    if "keyID" in params and _environment_of_key(db, params["keyID"]) != own:
        raise not_found("api key")
    if "secretID" in params and _environment_of_secret(db, params["secretID"]) != own:
        raise not_found("secret")
    if "eventKey" in params:
        waiting = triggers.newest(db, call.project_id, params["eventKey"])
        if waiting is not None and not within.trigger(db, waiting, own):
            raise not_found("event trigger")


_WITHIN = {
    "jobID": (within.job, "job"),
    "runID": (within.run, "run"),
    "workflowID": (within.workflow, "workflow"),
    "workflowRunID": (within.workflow_run, "workflow run"),
    "otherRunID": (within.workflow_run, "workflow run"),
}


def _is_wide(call: Call) -> bool:
    if call.route.id.startswith(_WIDE) or call.route.id in _WIDE_CHANGES:
        return True
    # What the path names is looked at by itself.
    return call.route.path.startswith(_WIDE_PATHS) and not call.params


def _environment_of_secret(db: sqlite3.Connection, secret_id: str) -> str:
    secret = records.get(db, environments.SECRET, secret_id)
    return str(secret.fields["environment"]) if secret is not None else ""


def _environment_of_key(db: sqlite3.Connection, key_id: str) -> str:
    key = meta.key_by_id(db, key_id)
    return key.environment_id if key is not None else ""
