"""A project with something of everything that a file can have."""

from __future__ import annotations

from strait import Client

ENDPOINT = "http://127.0.0.1:9/x"


def fill(client: Client) -> None:
    """Make the project; a second one of these is equal to it but for ids and times."""
    project = {"project_id": client.project_id}
    base = client.environments.create(
        {**project, "name": "Base", "slug": "base", "variables": {"A": "base-secret"}}
    )
    prod = client.environments.create(
        {
            **project,
            "name": "Shop",
            "slug": "shop",
            "parent_id": base.id,
            "variables": {"B": "shop-secret"},
        }
    )
    client.throttles.put("mail", limit=5, period_secs=60)
    group = client.job_groups.create({**project, "name": "Orders", "slug": "orders"})
    pay, ship, refund = (
        client.jobs.create(
            {
                **project,
                "name": slug.title(),
                "slug": slug,
                "endpoint_url": f"{ENDPOINT}/{slug}",
                "group_id": group.id,
                **more,
            }
        )
        for slug, more in (
            (
                "pay",
                {
                    "environment_id": prod.id,
                    "cron": "0 3 * * *",
                    "timezone": "Europe/Berlin",
                    "cron_overlap_policy": "skip",
                    "cron_catchup": "last",
                    "throttles": [{"name": "mail", "key": "customer"}],
                    "payload_schema": {"type": "object", "required": ["amount"]},
                    "tags": {"team": "money"},
                    "endpoint_signing_secret": "0123456789abcdef-signing",
                    "on_complete_trigger_job": "ship",
                    "on_complete_payload_mapping": {"id": "order.id"},
                },
            ),
            ("ship", {"max_attempts": 7, "retry_priority_boost": 0, "enabled": False}),
            ("refund", {"timeout_secs": 9}),
        )
    )
    client.jobs.create_dependency(ship.id, {"depends_on_job_id": pay.id, "condition": "completed"})
    client.secrets.create(
        {
            **project,
            "job_id": pay.id,
            "environment": "shop",
            "secret_key": "STRIPE",
            "value": "job-secret",
        }
    )
    inner = client.workflows.create(
        {
            **project,
            "name": "Inner",
            "slug": "z-inner",  # after the one that names it
            "steps": [{"step_ref": "one", "job_id": ship.id}],
        }
    )
    order = client.workflows.create(
        {
            **project,
            "name": "Order",
            "slug": "order",
            "cron": "*/5 * * * *",
            "cron_timezone": "UTC",
            "timeout_secs": 3600,
            "steps": [
                {
                    "step_ref": "pay",
                    "job_id": pay.id,
                    "compensation_job_id": refund.id,
                    "payload": {"amount": "{{amount}}"},
                },
                {
                    "step_ref": "approve",
                    "step_type": "approval",
                    "depends_on": ["pay"],
                    "approval_approvers": [],
                    "approval_timeout_secs": 60,
                },
                {
                    "step_ref": "inner",
                    "step_type": "sub_workflow",
                    "sub_workflow_id": inner.id,
                    "depends_on": ["approve"],
                },
            ],
        }
    )
    source = client.event_sources.create(
        {
            **project,
            "name": "git",
            "description": "pushes",
            "signature_header": "X-Git",
            "signature_algorithm": "hmac-sha256",
            "signature_secret": "source-secret",
        }
    )
    client.event_sources.subscribe(
        source.id,
        {
            "target_type": "workflow",
            "target_id": order.id,
            "filter_expr": {"eq": [["ref", "main"]]},
        },
    )
    client.event_sources.subscribe(source.id, {"target_type": "job", "target_id": refund.id})
    client.webhooks.create_subscription(
        {
            **project,
            "webhook_url": "https://hooks.test/in",
            "event_types": ["run.failed", "run.completed"],
        }
    )
    client.notification_channels.create(
        {
            "channel_type": "slack",
            "name": "ops",
            "config": {"webhook_url": "https://chat.test/channel-secret"},
        }
    )
    client.log_drains.create(
        {
            **project,
            "name": "logs",
            "drain_type": "http",
            "endpoint_url": "https://logs.test/in",
            "auth_type": "bearer",
            "auth_config": {"token": "drain-secret"},
        }
    )
    parent = client.rbac.create_role({"name": "readers", "permissions": ["jobs:read"]})
    client.rbac.create_role(
        {
            "name": "doers",
            "permissions": ["runs:read", "jobs:trigger"],
            "parent_role_id": parent.id,
        }
    )


SECRETS = (
    *("base-secret", "shop-secret", "job-secret", "channel-secret", "drain-secret"),
    *("0123456789abcdef-signing", "source-secret"),
)
VALUES = {
    "environments.base.variables.A": "base-secret",
    "environments.shop.variables.B": "shop-secret",
    "event_sources.git.signing.signature_secret": "source-secret",
    "notification_channels.ops.config.webhook_url": "https://chat.test/channel-secret",
    "log_drains.logs.auth_config.token": "drain-secret",
}
