"""What each operation that changes something is called in the audit log (`contract` §5.17).

The name of an operation says it: `pause-job` is `job.paused`. Those that say it otherwise are named
here, and so are those that are not recorded, each with its reason.
"""

from __future__ import annotations

from functools import cache

from strait.server.schema import Route

_DONE = {
    "activate": "activated",
    "approve": "approved",
    "assign": "assigned",
    "cancel": "cancelled",
    "clone": "cloned",
    "compensate": "compensated",
    "create": "created",
    "delete": "deleted",
    "dispatch": "dispatched",
    "drop": "dropped",
    "finalize": "finalized",
    "pause": "paused",
    "promote": "promoted",
    "purge": "purged",
    "put": "updated",
    "reject": "rejected",
    "remove": "removed",
    "replay": "replayed",
    "reschedule": "rescheduled",
    "restart": "restarted",
    "resume": "resumed",
    "retry": "retried",
    "revoke": "revoked",
    "rollback": "rolled_back",
    "rotate": "rotated",
    "seed": "seeded",
    "send": "sent",
    "set": "set",
    "skip": "skipped",
    "test": "tested",
    "trigger": "triggered",
    "unmask": "unmasked",
    "update": "updated",
    "upsert": "updated",
    "verify": "verified",
}
_PLURALS = {"members": "member", "jobs": "job", "runs": "run", "roles": "role"}

# Operations whose names do not say it: (action, type of the resource).
_EXCEPTIONS = {
    "admin-purge-dlq": ("run.purged", "run"),
    "admin-purge-outbox": ("outbox.purged", "outbox"),
    "admin-replay-dlq": ("run.replayed", "run"),
    "admin-retry-outbox": ("outbox.retried", "outbox"),
    "admin-unmask-dlq": ("run.unmasked", "run"),
    "batch-create-jobs": ("job.batch_created", "job"),
    "batch-disable-jobs": ("job.batch_disabled", "job"),
    "batch-enable-jobs": ("job.batch_enabled", "job"),
    "bulk-assign-members": ("member.bulk_assigned", "member"),
    "bulk-cancel-all-runs": ("run.bulk_cancelled", "run"),
    "bulk-cancel-runs": ("run.bulk_cancelled", "run"),
    "bulk-cancel-workflow-runs": ("workflow_run.bulk_cancelled", "workflow_run"),
    "bulk-replay-dead-letter-runs": ("run.bulk_replayed", "run"),
    "bulk-replay-runs": ("run.bulk_replayed", "run"),
    "bulk-replay-workflow-runs": ("workflow_run.bulk_replayed", "workflow_run"),
    "force-complete-workflow-step": ("workflow_step.force_completed", "workflow_step"),
    "force-disconnect-worker": ("worker.disconnected", "worker"),
    "pause-all-jobs-by-group": ("job_group.paused", "job_group"),
    "purge-event-triggers": ("event_trigger.purged", "event_trigger"),
    "replay-dead-letter-run": ("run.replayed", "run"),
    "replay-workflow-subtree": ("workflow_run.subtree_replayed", "workflow_run"),
    "reset-idempotency-key": ("run.idempotency_key_reset", "run"),
    "resume-all-jobs-by-group": ("job_group.resumed", "job_group"),
    "retry-webhook-delivery-legacy": ("webhook_delivery.retried", "webhook_delivery"),
    "rotate-audit-signing-key": ("audit.key_rotated", "audit"),
    "send-event-by-prefix": ("event.sent", "event"),
    "set-audit-retention": ("audit.retention_updated", "audit"),
    "set-debug-mode": ("run.debug_mode_set", "run"),
    "set-job-endpoint": ("job.endpoint_updated", "job"),
    "subscribe-to-event-source": ("event_subscription.created", "event_subscription"),
    "update-audit-export-cap": ("audit.export_cap_updated", "audit"),
    "verify-job-endpoint": ("job.endpoint_verified", "job"),
}

UNRECORDED = {
    "trigger-job": "the hot path; the run that it makes says who triggered it",
    "bulk-trigger-job": "the hot path; the runs that it makes say who triggered them",
    "create-sse-token": "it changes nothing",
    "dry-run-workflow": "it changes nothing",
    "plan-workflow": "it changes nothing",
    "simulate-workflow": "it changes nothing",
    "drop-audit-deadletter": "the embedded server has no dead letters of its audit log",
    "replay-audit-deadletter": "the embedded server has no dead letters of its audit log",
}


SELF_RECORDED = frozenset({"bulk-cancel-all-runs"})
"""Operations of several transactions, which record themselves in the first that changes something:
whatever ends them in between, there is no change without its event."""


def is_recorded(route: Route) -> bool:
    """Tell whether a call of the operation goes into the audit log."""
    changes = route.plane == "v1" and route.method not in {"GET", "HEAD"}
    return changes and bool(route.platform) and route.id not in UNRECORDED


@cache
def action_of(operation: str) -> tuple[str, str]:
    """Return the name of an action and the type of what it is done to.

    Raises:
        LookupError: the name of the operation begins with no verb that is known here.
    """
    if operation in _EXCEPTIONS:
        return _EXCEPTIONS[operation]
    verb, _, rest = operation.partition("-")
    noun = rest.replace("-", "_")
    kind = _PLURALS.get(noun, noun)
    return f"{kind}.{_DONE[verb]}", kind
